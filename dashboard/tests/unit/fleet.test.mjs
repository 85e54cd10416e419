// Log lines, JSON as engines read it, differences, days of a time zone, advice about nodes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { load } from './module.mjs';

const { LineBuffer, MOST_LINES, clean, isAtLeast, levelOf } = await load('screens/nodes/lines.ts');
const { faultOfJson } = await load('editor/json.ts');
const { withLines } = await load('screens/nodes/lineEnds.ts');
const { difference, hunks } = await load('ui/diff.ts');
const { days, startOf } = await load('ui/series.ts');
const { ADVICE, adviceFor } = await load('screens/nodes/advice.ts');
const { joinCommand } = await load('screens/nodes/join.ts');

test('a log holds its latest lines and no more', () => {
  const buffer = new LineBuffer();
  for (let n = 0; n < MOST_LINES * 3 + 50; n += 1) buffer.push(`line ${n}\n`);
  const lines = buffer.lines();
  assert.equal(lines.length, MOST_LINES + 50);
  assert.equal(lines.at(-1).text, `line ${MOST_LINES * 3 + 49}`);
  assert.equal(lines[0].text, `line ${MOST_LINES * 2}`);
  assert.equal(buffer.count, MOST_LINES * 3 + 50);
  const [first] = buffer.blocks();
  buffer.push('one more');
  assert.equal(buffer.blocks()[0], first, 'a full block is the same object, so that it is not drawn again');
});

test('lines that a new connection sends again are there once', () => {
  const buffer = new LineBuffer();
  for (const line of ['a', 'b', 'c']) buffer.push(line);
  buffer.repeats();
  for (const line of ['b', 'c', 'd', 'b']) buffer.push(line);
  assert.deepEqual(buffer.lines().map((line) => line.text), ['a', 'b', 'c', 'd', 'b']);
  buffer.repeats();
  buffer.repeatsEnd();
  buffer.push('a');
  assert.equal(buffer.lines().length, 6);
});

test('the level of a line is where engines write it', () => {
  for (const [line, level] of [
    ['2026/11/29 02:26:47.817257 [Warning] core: Xray 25.1.1 started', 'warning'],
    ['2026/11/29 02:26:47 [Info] app/dispatcher: failed nothing', 'info'],
    ['+0300 2026-11-29 02:26:47 ERROR [12] outbound: closed', 'error'],
    ['{"level":"debug","msg":"error"}', 'debug'],
    ['Failed to start: main: unknown config id', 'error'],
    ['2026/11/29 02:26:47 from 192.0.2.1:5 accepted tcp:example.org:443 [vless]', 'none'],
  ]) assert.equal(levelOf(line), level, line);
  assert.equal(isAtLeast({ level: 'error' }, 'warning'), true);
  assert.equal(isAtLeast({ level: 'info' }, 'warning'), false);
  assert.equal(isAtLeast({ level: 'none' }, 'info'), false);
  assert.equal(clean('\u001b[36mINFO\u001b[0m a\u0007b\r\n'), 'INFO a\ufffdb');
});

test('JSON may have what engines accept, and a fault has its place', () => {
  for (const text of ['{}', ' [1, -2.5e3, "a\\u00e9\\n", true, null, [], {},] ', '// first\n{ # second\n "a": [1, /* third, ] */ 2, ], // last\n}\n', '"x"', '{"url": "https://example.org/#a"} // open'])
    assert.equal(faultOfJson(text), null, text);
  for (const [text, at] of [['', 0], ['{', 1], ['{"a" 1}', 5], ['{"a": 1 "b": 2}', 8], ['[1,,2]', 3], ['{]', 1], ['[01]', 1], ['{} {}', 3], ['{"a": tru}', 6], ['"open', 0], ['{,}', 1], ['["a\nb"]', 1]])
    assert.equal(faultOfJson(text), at, text);
  assert.equal(faultOfJson('['.repeat(200_000) + ']'.repeat(200_000)), null, 'depth is no limit');
});

test('the difference of two large texts is found in bounded time, whatever they are', () => {
  const lines = (count, line) => Array.from({ length: count }, (_, at) => line(at)).join('\n');
  const pairs = {
    'nothing in common': [lines(50_000, (at) => `a${at}`), lines(50_000, (at) => `b${at}`)],
    'few lines over and over': [lines(50_000, (at) => ['{', '}', '  "x"'][at % 3]), lines(50_000, (at) => ['}', '{', '  "x"', '{'][at % 4])],
    'every hundredth line': [lines(50_000, (at) => `l${at}`), lines(50_000, (at) => (at % 100 === 0 ? `n${at}` : `l${at}`))],
    'lines as long as they get': [lines(200, (at) => 'x'.repeat(5_000) + at), lines(200, (at) => 'x'.repeat(5_000) + (at % 2))],
  };
  for (const [name, [before, after]] of Object.entries(pairs)) {
    const began = performance.now();
    const parts = difference(before, after);
    const took = performance.now() - began;
    assert.equal(parts.filter(({ kind }) => kind !== 'added').map(({ text }) => text).join('\n'), before, name);
    assert.equal(parts.filter(({ kind }) => kind !== 'removed').map(({ text }) => text).join('\n'), after, name);
    assert.ok(took < 2_000, `${name}: ${Math.round(took)} ms`);
  }
});

test('a difference has removed and added lines, and gives both texts back', () => {
  const text = (parts, without) => parts.filter((part) => part.kind !== without).map((part) => part.text).join('\n');
  const check = (before, after) => {
    const parts = difference(before, after);
    assert.equal(text(parts, 'added'), before);
    assert.equal(text(parts, 'removed'), after);
    // Hunks are parts in their order, with every difference.
    const shown = hunks(parts).flat();
    assert.deepEqual(shown, parts.filter((part) => shown.includes(part)));
    assert.ok(parts.every((part) => part.kind === 'same' || shown.includes(part)));
    return parts;
  };
  const parts = check('a\nb\nc\nd', 'a\nx\nc\nd\ne');
  assert.deepEqual(parts.filter((part) => part.kind !== 'same').map((part) => `${part.kind} ${part.text}`), ['removed b', 'added x', 'added e']);
  assert.deepEqual(hunks(check('same', 'same')), []);
  check('', 'a\nb');
  check('a\nb', '');
  let seed = 7;
  const random = (most) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % most;
  for (let round = 0; round < 200; round += 1) {
    const lines = () => Array.from({ length: random(12) }, () => 'abc'[random(3)]).join('\n');
    check(lines(), lines());
  }
  const long = Array.from({ length: 40 }, (_, n) => `line ${n}`);
  const changed = long.map((line, n) => (n === 5 || n === 30 ? `${line}!` : line));
  const found = hunks(check(long.join('\n'), changed.join('\n')));
  assert.deepEqual(found.map((hunk) => hunk.length), [8, 8]);
  check(Array.from({ length: 1_500 }, (_, n) => `a${n}`).join('\n'), Array.from({ length: 1_500 }, (_, n) => `b${n}`).join('\n'));
});

test('thirty days are thirty bars in every time zone', () => {
  const zone = process.env.TZ;
  for (const name of ['UTC', 'Asia/Tehran', 'Asia/Kathmandu', 'America/New_York', 'Asia/Shanghai']) {
    process.env.TZ = name;
    const now = Date.parse('2026-11-29T20:45:00Z');
    const start = Date.parse(startOf('30d', now));
    const first = Math.floor(start / 3_600_000) * 3_600;
    const usages = [];
    for (let at = first; at * 1000 <= now; at += 3_600) usages.push([at, 1]);
    const bars = days({ usages });
    assert.equal(bars.length, 30, name);
    assert.equal(bars[0].at.getTime(), start, name);
    assert.equal(bars.reduce((sum, bar) => sum + bar.bytes, 0), usages.length, name);
  }
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

test('advice about a node is for a reason that the panel gives', () => {
  const source = readFileSync(new URL('../../../src/nodes/node_error.rs', import.meta.url), 'utf8').replace(/\\\n\s*/g, '');
  for (const [part] of ADVICE) assert.ok(source.includes(part), `no reason of the panel has "${part}"`);
  assert.equal(adviceFor("timeout: no answer within 5 s of connecting; check the node's address, port and firewall"), 'advice.unreachable');
  assert.equal(adviceFor('something else'), undefined);
});

test('a configuration with other line ends is the same one in the editor', () => {
  assert.deepEqual(withLines({ config: '{\r\n  "a": 1\r}\n', format: 1 }), { config: '{\n  "a": 1\n}\n', format: 1 });
});

test('the command that joins a server writes the certificate, keeps a configuration, and starts the node on its port', () => {
  const home = mkdtempSync(join(tmpdir(), 'sarban-join.'));
  try {
    // The real paths are for root; `docker` notes how it was called.
    const command = joinCommand('-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n', 62050).replaceAll('/var/lib/marznode', `${home}/node`);
    const run = () => spawnSync('bash', ['-c', `docker() { printf '%s\\n' "$@" > ${home}/called; }\n${command}`], { encoding: 'utf8' });
    assert.deepEqual([run().status, run().stderr], [0, '']);
    assert.equal(readFileSync(`${home}/node/client.pem`, 'utf8'), '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n');
    assert.deepEqual(JSON.parse(readFileSync(`${home}/node/xray_config.json`, 'utf8')).inbounds, []);
    const called = readFileSync(`${home}/called`, 'utf8').split('\n');
    assert.ok(called.includes('SERVICE_PORT=62050') && called.includes('INSECURE=False'), called.join(' '));
    assert.ok(called.includes(`SSL_CLIENT_CERT_FILE=${home}/node/client.pem`), called.join(' '));
    assert.equal(called.at(-2), 'dawsh/marznode:latest');
    writeFileSync(`${home}/node/xray_config.json`, 'mine');
    run();
    assert.equal(readFileSync(`${home}/node/xray_config.json`, 'utf8'), 'mine');
  } finally {
    rmSync(home, { recursive: true });
  }
});
