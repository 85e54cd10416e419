// A module of the dashboard that imports nothing but types, or what is given, for tests in Node.

import { readFileSync } from 'node:fs';
import { transformWithOxc } from 'vite';

const text = (code) => `data:text/javascript,${encodeURIComponent(code)}`;

/** Loads `src/PATH`; its imports of the named files are taken from `src`, too. */
export async function load(path, imports = {}) {
  const source = readFileSync(new URL(`../../src/${path}`, import.meta.url), 'utf8');
  let { code } = await transformWithOxc(source, path.split('/').at(-1));
  for (const [name, from] of Object.entries(imports)) {
    const other = await transformWithOxc(readFileSync(new URL(`../../src/${from}`, import.meta.url), 'utf8'), from.split('/').at(-1));
    code = code.replaceAll(JSON.stringify(name), JSON.stringify(text(other.code))).replaceAll(`'${name}'`, JSON.stringify(text(other.code)));
  }
  return import(text(code));
}
