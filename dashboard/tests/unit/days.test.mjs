// Moments some days away, by which users are listed and deleted.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './module.mjs';

const { inDays } = await load('screens/users/days.ts');

test('a moment is never nearer than asked, and the same for an hour', () => {
  const now = Date.parse('2026-03-10T10:20:30Z');
  assert.equal(inDays(3, now), '2026-03-13T11:00:00.000Z');
  assert.equal(inDays(-3, now), '2026-03-07T10:00:00.000Z', 'who has expired for at least three days');
  assert.equal(inDays(0, Date.parse('2026-03-10T10:00:00Z')), '2026-03-10T10:00:00.000Z');
});
