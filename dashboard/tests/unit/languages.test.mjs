// Every language has every text, with the same values in it and the plural forms that its grammar asks for.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { transformWithOxc } from 'vite';

const folder = new URL('../../src/i18n/', import.meta.url);
const LANGUAGES = ['en', 'fa', 'ar', 'ru', 'zh'];

async function read(name) {
  const { code } = await transformWithOxc(readFileSync(new URL(name, folder), 'utf8'), name);
  return (await import(`data:text/javascript,${encodeURIComponent(code)}`)).default;
}

/** Texts of the first load, and of the screens that are loaded later. */
async function messages(language) {
  const [first, more] = [await read(`${language}.ts`), await read(`more/${language}.ts`)];
  const doubled = Object.keys(more).filter((key) => key in first);
  assert.deepEqual(doubled, [], `${language}: in both files`);
  return { ...first, ...more };
}

const values = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort().join();

test('no language misses a text, a value or a plural form', async () => {
  const english = await messages('en');
  const wrong = [];
  for (const language of LANGUAGES) {
    const texts = await messages(language);
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const [key, source] of Object.entries(english)) {
      const text = texts[key];
      if (text === undefined) wrong.push(`${language}: ${key} is missing`);
      else if (typeof source !== typeof text) wrong.push(`${language}: ${key} has plural forms in one language only`);
      else if (typeof text === 'string') {
        if (text.trim() === '') wrong.push(`${language}: ${key} is empty`);
        if (values(text) !== values(source)) wrong.push(`${language}: ${key} has the values ${values(text)}, not ${values(source)}`);
      } else {
        for (const form of forms) if (!text[form]) wrong.push(`${language}: ${key} has no form "${form}"`);
        // A form for one or two may say the number in a word.
        for (const form of ['few', 'many', 'other']) {
          if (text[form] && values(text[form]) !== values(source.other)) wrong.push(`${language}: ${key}.${form} has the values ${values(text[form])}`);
        }
      }
    }
    for (const key of Object.keys(texts)) if (!(key in english)) wrong.push(`${language}: ${key} is not a text of English`);
  }
  assert.deepEqual(wrong, []);
});

test('every text is used', () => {
  const files = readdirSync(new URL('../../src/', import.meta.url), { recursive: true }).filter((name) => /\.tsx?$/.test(name) && !name.startsWith('i18n'));
  const source = files.map((name) => readFileSync(new URL(`../../src/${name}`, import.meta.url), 'utf8')).join('\n');
  const english = ['en.ts', 'more/en.ts'].map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  const keys = [...english.matchAll(/^ {2}'([\w.]+)':/gm)].map((found) => found[1]);
  assert.ok(keys.length > 200, `${keys.length} keys`);
  // Keys that are put together, such as `state.${state}`, count by their beginning.
  const beginnings = [...source.matchAll(/`([\w.]+\.)\$\{/g)].map((found) => found[1]);
  const unused = keys.filter((key) => !source.includes(`'${key}'`) && !beginnings.some((beginning) => key.startsWith(beginning)));
  assert.deepEqual(unused, []);
});

/** What is loaded with the texts of later screens. */
const LATER = ['screens/more.ts', 'shell/Palette.tsx'];

test('the first load has the texts that its screens use, and no others', async () => {
  const [first, later] = [Object.keys(await read('en.ts')), Object.keys(await read('more/en.ts'))];
  const source = new URL('../../src/', import.meta.url);
  const textOf = (name) => readFileSync(new URL(name, source), 'utf8');
  const resolved = (name, path) => new URL(path, new URL(name, source)).href.slice(source.href.length);
  /** A module and all that it imports, as far as it is loaded with it. */
  const closure = (name, found = new Set()) => {
    if (found.has(name)) return found;
    found.add(name);
    for (const [, path] of textOf(name).matchAll(/^(?:import|export) (?!type )[^;]*?'(\.[^']+\.tsx?)';/gm)) closure(resolved(name, path), found);
    return found;
  };
  const modules = closure('main.tsx');
  assert.ok(modules.has('screens/users/UserPage.tsx') && !modules.has('screens/more.ts'), [...modules].join());
  const loaded = [...modules].filter((name) => !name.startsWith('i18n/')).flatMap((name) => [...textOf(name).matchAll(/import\('(\.[^']+)'\)/g)].map(([, path]) => resolved(name, path)));
  assert.ok(loaded.includes('screens/more.ts') && loaded.includes('screens/users/UserEditor.tsx'), loaded.join());
  for (const name of loaded) if (!LATER.includes(name)) closure(name, modules);
  const code = [...modules].map(textOf).join('\n');
  // Keys that are put together, such as `state.${state}`, count by their beginning.
  const beginnings = [...code.matchAll(/`([\w.]+\.)\$\{/g)].map(([, beginning]) => beginning);
  const used = (key) => code.includes(`'${key}'`) || beginnings.some((beginning) => key.startsWith(beginning));
  assert.deepEqual(later.filter(used), [], 'texts in i18n/more/ that are needed at once');
  assert.deepEqual(first.filter((key) => !used(key)), [], 'texts for i18n/more/, which only later screens use');
});
