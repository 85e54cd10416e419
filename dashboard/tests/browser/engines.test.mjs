// Engines and numbers of a node: restart, start, the last configuration that ran, statistics; a changed report on open pages.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, settled, startPanel, until } from './panel.mjs';

let panel;
let node;
before(async () => {
  panel = await startPanel();
  ({ node } = await panel.furnish());
});

const config = () => panel.call('GET', `nodes/${node.id}/xray/config`);
const apply = (tag) => panel.call('PUT', `nodes/${node.id}/xray/config`, { config: JSON.stringify({ inbounds: [{ tag, protocol: 'vless', port: 8443 }] }), format: 1 });

async function act(page, engine, name) {
  await page.getByRole('button', { name: `Actions for ${engine}` }).click();
  await page.getByRole('menuitem', { name }).click();
}

test('an engine is restarted with its own configuration, and started after it has stopped', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const own = await config();
  await view.go(`/nodes/${node.id}/status`);
  await act(page, 'xray', 'Restart');
  const dialog = page.getByRole('alertdialog');
  await dialog.getByText('Connections of its users break for a moment.').waitFor();
  await dialog.getByRole('button', { name: 'Restart xray' }).click();
  await page.getByText('The engine runs').waitFor({ timeout: 40_000 });
  assert.deepEqual(await config(), own);

  await panel.control({ do: 'kill_engine', name: 'xray', line: 'out of memory' });
  const line = page.getByRole('listitem').filter({ hasText: 'xray' });
  await line.getByText('Stopped', { exact: true }).waitFor({ timeout: 40_000 });
  await page.getByText('Nodes can start and restart an engine, not stop it.').waitFor();
  await act(page, 'xray', 'Start');
  await dialog.getByRole('button', { name: 'Start xray' }).click();
  await line.getByText('Runs', { exact: true }).waitFor({ timeout: 40_000 });
  await view.close();
});

test('the last configuration that ran is put back with the difference before the eyes', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go(`/nodes/${node.id}/status`);
  await apply('good');
  await panel.control({ do: 'kill_engine', name: 'xray', line: 'a disk died' });
  await act(page, 'xray', 'Restore the last that ran');
  const dialog = page.getByRole('alertdialog');
  await dialog.getByText('Stored').waitFor();
  await dialog.getByText('No difference to what runs.').waitFor();
  await dialog.getByRole('button', { name: 'Restore the configuration of xray' }).click();
  await page.getByText('The engine runs').waitFor({ timeout: 40_000 });
  assert.match((await config()).config, /"good"/);
  await view.close();
});

test('a changed report of inbounds is shown on open pages at once', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await apply('before');
  await until('the report', async () => (await panel.call('GET', 'inbounds?size=100')).items.some(({ tag }) => tag === 'before'));
  const followed = page.waitForResponse((response) => response.url().endsWith('/api/events'));
  await view.go('/inbounds');
  await followed;
  await page.getByRole('row').filter({ hasText: 'before' }).waitFor();
  await apply('afterwards');
  await until('the report', async () => (await panel.call('GET', 'inbounds?size=100')).items.some(({ tag }) => tag === 'afterwards'));
  const began = Date.now();
  await page.getByRole('row').filter({ hasText: 'afterwards' }).waitFor();
  // The page would read by itself after fifteen seconds.
  assert.ok(Date.now() - began < 5_000, `shown after ${Date.now() - began} ms`);
  await page.getByRole('row').filter({ hasText: 'before' }).getByText('Absent').waitFor();
  await view.close();
});

test('statistics: users, the last answer, how often it failed', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const service = await panel.call('POST', 'services', { name: 'Counted', inbound_ids: (await panel.call('GET', 'inbounds?size=100')).items.map(({ id }) => id) });
  await panel.call('POST', 'users', { username: 'counted', expire_strategy: 'never', service_ids: [service.id] });
  await panel.call('POST', `nodes/${node.id}/resync`);
  await until('a full list with a user', async () => (await panel.call('GET', `nodes/${node.id}/stats`)).users === 1);
  await panel.call('POST', 'cluster/tasks/record_user_usages/run');
  const { failures } = await until('an answer', async () => {
    const stats = await panel.call('GET', `nodes/${node.id}/stats`);
    return stats.active_users === 1 ? stats : undefined;
  }, 60);
  assert.ok(failures >= 1, 'the stopped engine counted');
  await view.go(`/nodes/${node.id}/status`);
  await page.getByRole('link', { name: 'Statistics' }).click();
  const panelOf = page.getByRole('region', { name: 'Statistics' });
  await panelOf.getByText('Users in its last full list').waitFor();
  const facts = Object.fromEntries(await panelOf.locator('dl > div').evaluateAll((rows) => rows.map((row) => [row.children[0].textContent, row.children[1].textContent])));
  assert.equal(facts['Users in its last full list'], '1');
  assert.equal(facts['Users with traffic lately'], '1');
  assert.equal(facts['Became unhealthy'], failures === 1 ? '1 time' : `${failures} times`);
  assert.equal(facts['Engines restarted by the panel'], '0 times');
  assert.notEqual(facts['Last full list'], '—');
  await page.getByRole('region', { name: 'Traffic' }).waitFor();
  await settled(page);
  await view.close();
});
