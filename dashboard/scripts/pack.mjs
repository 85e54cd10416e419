// Takes Vite's output from `build` to ../src/dashboard/dist: `?v=` on every reference, each file compressed, and a list of
// the files with their versions. The same sources give the same content on every machine.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';

const from = new URL('../build/', import.meta.url);
const to = new URL('../../src/dashboard/dist/', import.meta.url);
const check = process.argv.includes('--check');

const hash = (...parts) => parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex').slice(0, 12);

const names = readdirSync(from).filter((name) => name !== 'index.html').sort();
const contents = new Map(names.map((name) => [name, readFileSync(new URL(name, from))]));

// Libraries change rarely and import nothing of ours: they keep their version, and so browsers their copies, when the rest
// changes. The rest shares one version, because its modules import each other.
const versions = new Map();
const libraries = ['aria.js', 'codemirror.js', 'rolldown-runtime.js', 'vendor.js'].filter((name) => contents.has(name));
const rest = names.filter((name) => !libraries.includes(name));
const common = hash(...libraries.map((name) => contents.get(name)));
for (const name of libraries) {
  versions.set(name, common);
  const ours = [...contents.get(name).toString('utf8').matchAll(/(?:from|import\()\s*["'`]\.\/([\w-]+\.js)/g)].map((found) => found[1]);
  const wrong = ours.filter((other) => !libraries.includes(other));
  if (wrong.length > 0) throw new Error(`${name} imports ${wrong.join(', ')}: give it to a group of vite.config.ts`);
}
const version = hash(common, ...rest.flatMap((name) => [name, contents.get(name)]));
for (const name of rest) versions.set(name, version);

function versioned(text) {
  return text.replace(/(["'`])(\.\/)?([\w-]+\.(?:js|css|svg))\1/g, (whole, quote, dot = '', name) =>
    versions.has(name) ? `${quote}${dot}${name}?v=${versions.get(name)}${quote}` : whole,
  );
}

// Inserted by Vite for a fetch with cookies; a module of the page's own origin needs none.
const built = readFileSync(new URL('index.html', from), 'utf8').replaceAll(' crossorigin', '');
// Before everything else, so that texts and data arrive beside the libraries.
const page = versioned(built.replace('<script', '<script type="module" src="./begin.js"></script>\n<script'));
const files = new Map([['index.html', Buffer.from(page)]]);
for (const [name, content] of contents) {
  files.set(`${name}.gz`, name.endsWith('.js') || name.endsWith('.css') ? Buffer.from(versioned(content.toString('utf8'))) : content);
}
// What the binary embeds, as an expression of Rust.
files.set('files.in', Buffer.from(`[\n${names.map((name) => `    ("${name}", include_bytes!("${name}.gz").as_slice()),\n`).join('')}]\n`));
files.set('versions.txt', Buffer.from([...versions].sort().map(([name, version]) => `${name} ${version}\n`).join('')));

if (check) {
  const stale = [];
  const found = readdirSync(to).sort();
  if (found.join() !== [...files.keys()].sort().join()) stale.push(`the list of files: ${found.join(' ')}`);
  for (const [name, content] of files) {
    if (!found.includes(name)) continue;
    const stored = readFileSync(new URL(name, to));
    // Compressed bytes differ between versions of zlib; what they hold does not.
    if (!(name.endsWith('.gz') ? gunzipSync(stored) : stored).equals(content)) stale.push(name);
  }
  if (stale.length > 0) {
    console.error(`src/dashboard/dist is not what dashboard/ builds: ${stale.join(', ')}; run \`make dashboard\` and commit the result`);
    process.exit(1);
  }
} else {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const [name, content] of files) writeFileSync(new URL(name, to), name.endsWith('.gz') ? gzipSync(content, { level: 9 }) : content);
}

let total = 0;
for (const [name, content] of files) {
  const size = name.endsWith('.gz') ? gzipSync(content, { level: 9 }).length : content.length;
  total += size;
  console.log(`${name.padEnd(24)} ${String(content.length).padStart(9)} ${String(size).padStart(9)}`);
}
console.log(`${'all'.padEnd(24)} ${''.padStart(9)} ${String(total).padStart(9)}`);
