// Loads a TypeScript module of the dashboard that imports nothing at run time.

import { readFileSync } from 'node:fs';
import { transformWithOxc } from 'vite';

export async function load(name) {
  const { code } = await transformWithOxc(readFileSync(new URL(`../../src/${name}`, import.meta.url), 'utf8'), name);
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}
