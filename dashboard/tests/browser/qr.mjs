// Reads a QR code of byte mode and level M from the path of its modules. Written apart from the encoder, so that a fault of
// one is not repeated by the other. Blocks are put together without correction: a drawn code has no errors.

// By version: data codewords of each block, and error-correction codewords per block, at level M.
const BLOCKS = {
  1: [[16], 10], 2: [[28], 16], 3: [[44], 26], 4: [[32, 32], 18], 5: [[43, 43], 24], 6: [[27, 27, 27, 27], 16],
  7: [[31, 31, 31, 31], 18], 8: [[38, 38, 39, 39], 22], 9: [[36, 36, 36, 37, 37], 22], 10: [[43, 43, 43, 43, 44], 26],
};
const ALIGNMENT = { 1: [], 2: [6, 18], 3: [6, 22], 4: [6, 26], 5: [6, 30], 6: [6, 34], 7: [6, 22, 38], 8: [6, 24, 42], 9: [6, 26, 46], 10: [6, 28, 50] };
const MASKS = [
  (r, c) => (r + c) % 2 === 0, (r) => r % 2 === 0, (r, c) => c % 3 === 0, (r, c) => (r + c) % 3 === 0,
  (r, c) => (Math.floor(r / 2) + Math.floor(c / 3)) % 2 === 0, (r, c) => ((r * c) % 2) + ((r * c) % 3) === 0,
  (r, c) => (((r * c) % 2) + ((r * c) % 3)) % 2 === 0, (r, c) => (((r + c) % 2) + ((r * c) % 3)) % 2 === 0,
];

export function decode(path, viewBox) {
  const all = Number(viewBox.split(' ')[2]);
  const dark = new Set([...path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)].map(([, x, y]) => `${y} ${x}`));
  let border = 0;
  while (!dark.has(`${border} ${border}`)) border += 1;
  const size = all - 2 * border;
  const version = (size - 17) / 4;
  const at = (row, column) => dark.has(`${row + border} ${column + border}`);
  const places = ALIGNMENT[version];
  const reserved = (r, c) => {
    if (r < 9 && (c < 9 || c >= size - 8)) return true;
    if (r >= size - 8 && c < 9) return true;
    if (r === 6 || c === 6) return true;
    if (version >= 7 && ((r < 6 && c >= size - 11) || (c < 6 && r >= size - 11))) return true;
    return places.some((y) => places.some((x) => {
      const corner = (y === 6 && (x === 6 || x === places.at(-1))) || (x === 6 && y === places.at(-1));
      return !corner && Math.abs(r - y) <= 2 && Math.abs(c - x) <= 2;
    }));
  };
  // The format: two bits of level, three of mask, under a fixed mask.
  let format = 0;
  for (const column of [0, 1, 2, 3, 4]) format = (format << 1) | (at(8, column) ? 1 : 0);
  format ^= 0b10101;
  if (format >> 3 !== 0) throw new Error('not level M');
  const mask = MASKS[format & 7];
  const bits = [];
  let up = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right -= 1;
    for (let step = 0; step < size; step += 1) {
      const row = up ? size - 1 - step : step;
      for (const column of [right, right - 1]) if (!reserved(row, column)) bits.push(at(row, column) !== mask(row, column) ? 1 : 0);
    }
    up = !up;
  }
  const words = Array.from({ length: bits.length >> 3 }, (_, index) => Number.parseInt(bits.slice(index * 8, index * 8 + 8).join(''), 2));
  const [sizes] = BLOCKS[version];
  const blocks = sizes.map(() => []);
  let next = 0;
  for (let index = 0; index < Math.max(...sizes); index += 1) {
    for (const [block, length] of sizes.entries()) if (index < length) blocks[block].push(words[next++]);
  }
  const data = blocks.flat().flatMap((word) => [...word.toString(2).padStart(8, '0')].map(Number));
  const take = (count) => Number.parseInt(data.splice(0, count).join(''), 2);
  if (take(4) !== 4) throw new Error('not in byte mode');
  const length = take(version < 10 ? 8 : 16);
  return Buffer.from(Array.from({ length }, () => take(8))).toString('utf8');
}
