// Announced changes: read from the stream as it arrives, and applied to what they concern.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { transformWithOxc } from 'vite';

const source = readFileSync(new URL('../../src/api/announcements.ts', import.meta.url), 'utf8');
const { code } = await transformWithOxc(source, 'announcements.ts');
const { concerns, parse } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

test('events are read whole, however the stream is cut', () => {
  const text = 'id: a-1\nevent: ready\ndata: {"resumed":true}\n\n:\n\nid: a-2\nevent: changed\ndata: [1]\n\n';
  for (let cut = 0; cut <= text.length; cut += 1) {
    const first = parse(text.slice(0, cut));
    const second = parse(first.rest + text.slice(cut));
    assert.deepEqual([...first.events, ...second.events], [
      { id: 'a-1', name: 'ready', data: '{"resumed":true}' },
      { id: 'a-2', name: 'changed', data: '[1]' },
    ]);
    assert.equal(second.rest, '');
  }
});

test('a change concerns what may show it', () => {
  const ann = { kind: 'users', id: 1 };
  assert.ok(concerns(ann, ['users', 'list', {}], { items: [] }));
  assert.ok(concerns(ann, ['users', 'one', 'ann'], { id: 1 }));
  assert.ok(concerns(ann, ['users', 'one', 'ann'], undefined));
  assert.ok(!concerns(ann, ['users', 'one', 'ben'], { id: 2 }));
  assert.ok(!concerns(ann, ['nodes'], {}));
  assert.ok(concerns({ kind: 'hosts', id: 1 }, ['users', 'explanation', 'ann', {}], {}));
  assert.ok(!concerns({ kind: 'hosts', id: 1 }, ['users', 'list', {}], {}));
  assert.ok(!concerns({ kind: 'usage', id: null }, ['users', 'explanation', 'ann', {}], {}));
  assert.ok(concerns({ kind: 'users', id: null }, ['users', 'one', 'ben'], { id: 2 }));
  assert.ok(concerns({ kind: 'of a newer panel', id: null }, ['nodes'], {}));
});
