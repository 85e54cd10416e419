// Announced changes: read from the stream as it arrives, and applied to what they concern.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './module.mjs';

const { concerns, parse } = await load('api/announcements.ts');

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
  assert.ok(concerns(ann, ['notifications', {}], {}));
  for (const key of [['nodes', 1, 'stats'], ['inbounds', 'list', {}], ['hosts', 'all'], ['services', 'all']]) assert.ok(concerns({ kind: 'nodes', id: null }, key, {}), key.join(' '));
  assert.ok(concerns({ kind: 'leader_requests', id: null }, ['cluster', 'runs', {}], {}));
  assert.ok(concerns({ kind: 'of a newer panel', id: null }, ['nodes'], {}));
});
