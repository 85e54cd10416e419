// Lines of an engine's log: cleaned, with their level, and bounded in number.

export type Level = 'error' | 'warning' | 'info' | 'debug' | 'none';
export interface LogLine { id: number; text: string; level: Level }
/** Lines that were received one after another. A full block never changes again. */
export interface Block { id: number; lines: readonly LogLine[] }

/** Most lines that are held, and the lines of a block. */
export const MOST_LINES = 5_000;
const BLOCK = 100;
/** Characters of a line that are shown. */
const LONGEST = 4_000;

const WORDS: [RegExp, Level][] = [
  [/\b(fatal|panic|error|failed|failure)\b/i, 'error'],
  [/\bwarn(ing)?\b/i, 'warning'],
  [/\binfo\b/i, 'info'],
  [/\b(debug|trace)\b/i, 'debug'],
];
/** Characters in which an engine writes the level. */
const HEAD = 90;

/** The level of a line: in brackets, as Xray writes it, or else the first word that names one. */
export function levelOf(text: string): Level {
  const head = text.slice(0, HEAD);
  const bracketed = /\[(\w+)\]|"level":"(\w+)"/i.exec(head);
  const named = bracketed?.[1] ?? bracketed?.[2];
  for (const [word, level] of WORDS) if (named !== undefined && word.test(named)) return level;
  let first: [number, Level] = [HEAD, 'none'];
  for (const [word, level] of WORDS) {
    const at = head.search(word);
    if (at >= 0 && at < first[0]) first = [at, level];
  }
  return first[1];
}

const RANK: Record<Level, number> = { error: 3, warning: 2, info: 1, debug: 0, none: -1 };

/** Whether a line is of this level or a graver one; lines without a level are of none. */
export function isAtLeast(line: LogLine, level: Level): boolean {
  return RANK[line.level] >= RANK[level];
}

/** A line without its end, colours and characters that steer a terminal. */
export function clean(text: string): string {
  return text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '').replace(/[\r\n]+$/, '').replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '\ufffd').slice(0, LONGEST);
}

/** The latest lines of a log. */
export class LineBuffer {
  /** Lines received in all. */
  count = 0;
  private full: Block[] = [];
  private open: LogLine[] = [];
  /** How often each text is among the lines, while lines are received again. */
  private known: Set<string> | null = null;

  push(raw: string): boolean {
    const text = clean(raw);
    if (this.known?.has(text)) return false;
    this.known = null;
    this.open.push({ id: this.count, text, level: levelOf(text) });
    this.count += 1;
    if (this.open.length === BLOCK) {
      this.full.push({ id: this.count, lines: this.open });
      this.open = [];
      if (this.full.length > MOST_LINES / BLOCK) this.full.shift();
    }
    return true;
  }

  /** A new connection begins with lines that are here already: they are left out until the first new one. */
  repeats(): void {
    this.known = new Set(this.lines().map((line) => line.text));
  }
  repeatsEnd(): void {
    this.known = null;
  }

  clear(): void {
    this.full = [];
    this.open = [];
  }

  blocks(): Block[] {
    return this.open.length === 0 ? [...this.full] : [...this.full, { id: -1, lines: [...this.open] }];
  }

  lines(): LogLine[] {
    return this.blocks().flatMap((block) => block.lines);
  }
}
