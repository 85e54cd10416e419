// Announced changes: an open page shows them at once, polls little meanwhile, and goes on after the panel was away.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, startPanel } from './panel.mjs';

let panel;
before(async () => {
  panel = await startPanel();
});

/** Milliseconds within which an announced change is shown on a busy machine; without the announcement it takes a minute. */
const SEEN = 5_000;

function create(username) {
  return panel.call('POST', 'users', { username, expire_strategy: 'never', service_ids: [] });
}

async function shownAfter(page, name) {
  const began = Date.now();
  await page.getByRole('link', { name, exact: true }).or(page.getByText(name, { exact: true })).first().waitFor();
  return Date.now() - began;
}

test('a change is shown at once, and an idle page asks little', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  let reads = 0;
  const followed = page.waitForResponse((response) => response.url().endsWith('/api/events'));
  await view.go('/users');
  assert.equal((await followed).status(), 200);
  page.on('request', (request) => { if (/\/api\/users\?/.test(request.url())) reads += 1; });
  // Without Redis, changes of commands are not announced: the page polls.
  await page.waitForTimeout(7_000);
  assert.ok(reads <= 2, `${reads} reads of an idle page in seven seconds`);
  await create('ann');
  const after = await shownAfter(page, 'ann');
  assert.ok(after < SEEN, `shown after ${after} ms`);
  await view.close();
});

test('a page goes on following after the panel was away', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['ERR_', '503'] });
  const { page } = view;
  await view.go('/users');
  await panel.down();
  await page.getByText('The panel can’t be reached').waitFor();
  const followed = page.waitForResponse((response) => response.url().endsWith('/api/events') && response.ok(), { timeout: 40_000 });
  await panel.up();
  await create('ben');
  await followed;
  await shownAfter(page, 'ben');
  await create('cem');
  const after = await shownAfter(page, 'cem');
  assert.ok(after < SEEN, `shown after ${after} ms`);
  await view.close();
});
