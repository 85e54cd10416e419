// The difference of two texts by line: the shortest list of removed and added lines (Myers 1986).

export type Part = { kind: 'same' | 'removed' | 'added'; text: string; before: number; after: number };
/** Lines that differ with some of those around them; between two hunks are only equal lines. */
export type Hunk = Part[];

/** Differing lines beyond which all of them count as replaced: the search is quadratic in their number. */
const MOST = 1_000;
/** Equal lines that the search passes before it gives up likewise: with many diagonals, it passes the same ones again. */
const MOST_PASSED = 5_000_000;
/** Equal lines around a difference. */
const AROUND = 3;

export function difference(before: string, after: string): Part[] {
  const a = before.split('\n');
  const b = after.split('\n');
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const parts: Part[] = [];
  const put = (kind: Part['kind'], x: number, y: number) => parts.push({ kind, text: (kind === 'added' ? b[y] : a[x]) ?? '', before: x + 1, after: y + 1 });
  for (let at = 0; at < start; at += 1) put('same', at, at);
  for (const [kind, x, y] of middle(a.slice(start, a.length - end), b.slice(start, b.length - end))) put(kind, x + start, y + start);
  for (let at = end; at > 0; at -= 1) put('same', a.length - at, b.length - at);
  return parts;
}

function middle(a: string[], b: string[]): [Part['kind'], number, number][] {
  const replaced = (): [Part['kind'], number, number][] => [
    ...a.map((_, x): [Part['kind'], number, number] => ['removed', x, 0]),
    ...b.map((_, y): [Part['kind'], number, number] => ['added', a.length, y]),
  ];
  // Numbers in place of lines, which compare at once however long they are.
  const numbers = new Map<string, number>();
  const numbered = (lines: string[]) => lines.map((line) => {
    const number = numbers.get(line) ?? numbers.size;
    numbers.set(line, number);
    return number;
  });
  const [as, bs] = [numbered(a), numbered(b)];
  const most = Math.min(a.length + b.length, MOST);
  // How far each diagonal reaches, by its number plus `most + 1`.
  const reach = new Int32Array(2 * most + 3);
  const zero = most + 1;
  const at = (k: number) => reach[zero + k] ?? 0;
  /** The diagonals that a step starts from: 0 to `steps` on both sides, and one more. */
  const history: Int32Array[] = [];
  let passed = 0;
  for (let steps = 0; steps <= most; steps += 1) {
    history.push(reach.slice(zero - steps - 1, zero + steps + 2));
    for (let k = -steps; k <= steps; k += 2) {
      let x = k === -steps || (k !== steps && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
      let y = x - k;
      while (x < as.length && y < bs.length && as[x] === bs[y]) { x += 1; y += 1; passed += 1; }
      reach[zero + k] = x;
      if (x >= a.length && y >= b.length) return back(history, a.length, b.length);
    }
    if (passed > MOST_PASSED) break;
  }
  return replaced();
}

function back(history: Int32Array[], x: number, y: number): [Part['kind'], number, number][] {
  const found: [Part['kind'], number, number][] = [];
  for (let steps = history.length - 1; steps >= 0; steps -= 1) {
    const at = (k: number) => history[steps]?.[k + steps + 1] ?? 0;
    const k = x - y;
    const down = k === -steps || (k !== steps && at(k - 1) < at(k + 1));
    const former = down ? k + 1 : k - 1;
    const fromX = steps === 0 ? 0 : at(former);
    const fromY = steps === 0 ? 0 : fromX - former;
    while (x > fromX && y > fromY) { x -= 1; y -= 1; found.push(['same', x, y]); }
    if (steps > 0) found.push(down ? ['added', x, y - 1] : ['removed', x - 1, y]);
    x = fromX;
    y = fromY;
  }
  return found.reverse();
}

/** The parts that differ, with a few lines around them. */
export function hunks(parts: Part[]): Hunk[] {
  const found: Hunk[] = [];
  let last = -1;
  parts.forEach((part, at) => {
    if (part.kind === 'same') return;
    const from = Math.max(at - AROUND, last + 1);
    if (from > last + 1 || found.length === 0) found.push([]);
    const hunk = found[found.length - 1];
    for (let index = from; index <= at; index += 1) hunk?.push(parts[index] as Part);
    last = at;
    // Equal lines behind the difference, as far as no other difference begins.
    for (let index = at + 1; index <= at + AROUND && parts[index]?.kind === 'same'; index += 1) {
      hunk?.push(parts[index] as Part);
      last = index;
    }
  });
  return found;
}
