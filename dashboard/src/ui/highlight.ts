// Colours for documents that apps get: JSON, YAML, WireGuard's INI, and lists of links. Reads a line at a time and never fails:
// what it does not know stays plain.

export type Language = 'json' | 'yaml' | 'ini' | 'links';
export type Kind = 'key' | 'text' | 'number' | 'word' | 'mark' | 'note' | '';
export interface Token { kind: Kind; text: string }

type Rule = [Kind, RegExp];

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const RULES: Record<Language, Rule[]> = {
  json: [
    ['key', /"(?:[^"\\]|\\.)*"(?=\s*:)/y],
    ['text', /"(?:[^"\\]|\\.)*"?/y],
    ['number', NUMBER],
    ['word', /\b(?:true|false|null)\b/y],
    ['mark', /[{}[\],:]/y],
  ],
  yaml: [
    ['note', /#.*/y],
    ['key', /(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[\w.*][\w.* -]*)(?=:(?:\s|$))/y],
    ['text', /"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?/y],
    ['number', NUMBER],
    ['word', /\b(?:true|false|null)\b(?=\s*(?:[,}\]#]|$))/y],
    ['mark', /[{}[\],:]|-(?=\s)/y],
  ],
  ini: [
    ['note', /[#;].*/y],
    ['mark', /\[[^\]]*\]/y],
    ['key', /\w+(?=\s*=)/y],
    ['mark', /=/y],
  ],
  links: [
    ['key', /^[\w+.-]+:\/\//y],
    ['note', /#.*/y],
    ['mark', /[?&=@]/y],
  ],
};

/** The parts of a line, which together are the line. */
export function tokens(line: string, language: Language): Token[] {
  const found: Token[] = [];
  let plain = '';
  const flush = () => {
    if (plain !== '') found.push({ kind: '', text: plain });
    plain = '';
  };
  for (let at = 0; at < line.length;) {
    let length = 0;
    for (const [kind, pattern] of RULES[language]) {
      // A word ends where letters end: `true` in `trueish`, and a number in a name, are plain.
      if (kind === 'number' && /[\w.]/.test(line[at - 1] ?? '')) continue;
      pattern.lastIndex = at;
      const text = pattern.exec(line)?.[0] ?? '';
      if (text === '') continue;
      flush();
      found.push({ kind, text });
      length = text.length;
      break;
    }
    if (length === 0) {
      plain += line[at];
      length = 1;
    }
    at += length;
  }
  flush();
  return found;
}

/** The language of a format of subscriptions. */
export function languageOf(format: string): Language {
  if (format === 'xray' || format === 'sing-box') return 'json';
  if (format === 'clash' || format === 'clash-meta') return 'yaml';
  return format === 'wireguard' ? 'ini' : 'links';
}

/** Text of base64; the text itself if it is none. */
export function decoded(text: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(atob(text.trim()), (sign) => sign.charCodeAt(0)));
  } catch {
    return text;
  }
}
