// The difference of two texts by line: the shortest list of removed and added lines (Myers 1986).

export type Part = { kind: 'same' | 'removed' | 'added'; text: string; before: number; after: number };
/** Lines that differ with some of those around them; between two hunks are only equal lines. */
export type Hunk = Part[];

/** Differing lines beyond which all of them count as replaced: the search is quadratic in their number. */
const MOST = 1_000;
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
  const most = Math.min(a.length + b.length, MOST);
  let reach = new Map<number, number>([[1, 0]]);
  const history: Map<number, number>[] = [];
  for (let steps = 0; steps <= most; steps += 1) {
    history.push(new Map(reach));
    for (let k = -steps; k <= steps; k += 2) {
      const down = k === -steps || (k !== steps && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
      let x = down ? (reach.get(k + 1) ?? 0) : (reach.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) { x += 1; y += 1; }
      reach.set(k, x);
      if (x >= a.length && y >= b.length) return back(history, a.length, b.length);
    }
    reach = new Map(reach);
  }
  return replaced();
}

function back(history: Map<number, number>[], x: number, y: number): [Part['kind'], number, number][] {
  const found: [Part['kind'], number, number][] = [];
  for (let steps = history.length - 1; steps >= 0; steps -= 1) {
    const reach = history[steps] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -steps || (k !== steps && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
    const former = down ? k + 1 : k - 1;
    const fromX = steps === 0 ? 0 : (reach.get(former) ?? 0);
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
