// What a form sends: what its user changed and no more.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './module.mjs';

const { changedIds, changes, isOvertaken, valueChanges } = await load('api/changes.ts');

test('only what differs from the beginning is sent', () => {
  const began = { name: 'a', enabled: true, ids: [1, 2] };
  assert.deepEqual(changes(began, { ...began }), {});
  assert.deepEqual(changes(began, { ...began, enabled: false }), { enabled: false });
  assert.deepEqual(changes(began, { name: 'b', enabled: true, ids: [1] }), { name: 'b', ids: [1] });
});

test('ids that were added and removed here are added to and removed from what is stored by now', () => {
  assert.deepEqual(changedIds([1, 2], [1, 2], [1, 2]), [1, 2]);
  assert.deepEqual(changedIds([1, 2], [2, 3], [1, 2, 4]), [2, 4, 3]);
  assert.deepEqual(changedIds([1, 2], [1, 2, 3], [2, 3]), [2, 3]);
  assert.deepEqual(changedIds([1, 2], [], [1, 2, 5]), [5]);
  assert.deepEqual(changedIds([], [7], []), [7]);
});

test('a list is overtaken when it was changed both here and elsewhere', () => {
  const began = { title: 'a', rules: [1, 2] };
  assert.deepEqual(valueChanges(began, { title: 'a', rules: [1, 2] }), {});
  assert.deepEqual(valueChanges(began, { title: 'a', rules: [2] }), { rules: [2] });
  const mine = { ...began, rules: [2, 1] };
  assert.equal(isOvertaken(began, mine, { title: 'b', rules: [1, 2] }, 'rules'), false);
  assert.equal(isOvertaken(began, { ...began }, { title: 'a', rules: [1] }, 'rules'), false);
  assert.equal(isOvertaken(began, mine, { title: 'a', rules: [1] }, 'rules'), true);
  assert.equal(isOvertaken(began, mine, { ...mine }, 'rules'), false, 'the same change');
});
