// Checks JSON as engines read it: with comments (`//`, `#`, `/* */`) and a comma after the last element.

/** The place of the first fault, as an index into the text; null: there is none. */
export function faultOfJson(text: string): number | null {
  let at = 0;
  const blank = (): void => {
    for (;;) {
      while (at < text.length && ' \t\n\r\ufeff'.includes(text[at] as string)) at += 1;
      if (text.startsWith('//', at) || text[at] === '#') {
        const end = text.indexOf('\n', at);
        at = end < 0 ? text.length : end;
      } else if (text.startsWith('/*', at)) {
        const end = text.indexOf('*/', at + 2);
        at = end < 0 ? text.length : end + 2;
      } else return;
    }
  };
  const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
  const plain = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y;
  const token = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) return false;
    at += found[0].length;
    return true;
  };
  // Closing characters of the open lists and objects; no recursion, so that depth is no limit.
  const open: string[] = [];
  let wants: 'value' | 'first' | 'key' | 'next' = 'value';
  for (;;) {
    blank();
    const closing = open[open.length - 1];
    if (wants === 'next' && closing === undefined) return at < text.length ? at : null;
    if (at >= text.length) return at;
    const next = text[at] as string;
    if (wants === 'next') {
      at += 1;
      if (next === closing) open.pop();
      else if (next === ',') wants = closing === '}' ? 'key' : 'first';
      else return at - 1;
    } else if ((wants === 'key' || wants === 'first') && next === closing) {
      at += 1;
      open.pop();
      wants = 'next';
    } else if (wants === 'key') {
      if (!token(string)) return at;
      blank();
      if (text[at] !== ':') return at;
      at += 1;
      wants = 'value';
    } else if (next === '{' || next === '[') {
      at += 1;
      open.push(next === '{' ? '}' : ']');
      wants = next === '{' ? 'key' : 'first';
    } else if (token(string) || token(plain)) wants = 'next';
    else return at;
  }
}
