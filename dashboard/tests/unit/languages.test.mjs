// Every language has every text, with the same values in it and the plural forms that its grammar asks for.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { transformWithOxc } from 'vite';

const folder = new URL('../../src/i18n/', import.meta.url);
const LANGUAGES = ['en', 'fa', 'ar', 'ru', 'zh'];

async function messages(language) {
  const { code } = await transformWithOxc(readFileSync(new URL(`${language}.ts`, folder), 'utf8'), `${language}.ts`);
  return (await import(`data:text/javascript,${encodeURIComponent(code)}`)).default;
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
  const english = readFileSync(new URL('en.ts', folder), 'utf8');
  const keys = [...english.matchAll(/^ {2}'([\w.]+)':/gm)].map((found) => found[1]);
  assert.ok(keys.length > 200, `${keys.length} keys`);
  // Keys that are put together, such as `state.${state}`, count by their beginning.
  const beginnings = [...source.matchAll(/`([\w.]+\.)\$\{/g)].map((found) => found[1]);
  const unused = keys.filter((key) => !source.includes(`'${key}'`) && !beginnings.some((beginning) => key.startsWith(beginning)));
  assert.deepEqual(unused, []);
});
