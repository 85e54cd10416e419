// The home screen: what needs attention and where it leads, numbers, what a plain admin sees, failed reads, a phone.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, settled, startPanel, until, violations } from './panel.mjs';

let panel;
let furniture;
before(async () => {
  panel = await startPanel();
  furniture = await panel.furnish();
  const services = [furniture.service.id];
  await panel.call('POST', 'admins', { username: 'mina', password: 'minapass1', is_sudo: false, service_ids: services });
  const soon = new Date(Date.now() + 86_400_000).toISOString();
  for (const name of ['ann', 'ben', 'eve']) await panel.call('POST', 'users', { username: name, expire_strategy: 'fixed_date', expire_date: soon, service_ids: services });
  await panel.call('POST', 'users', { username: 'old', expire_strategy: 'fixed_date', expire_date: '2020-01-01T00:00:00Z', service_ids: services });
  await panel.call('POST', 'users/eve/disable');
  await panel.call('PUT', 'users/ann/set-owner?admin_username=mina');
});

const attention = (page) => page.getByRole('region', { name: 'Needs attention' });
const line = (page, text) => attention(page).getByRole('listitem').filter({ hasText: text });

test('what needs attention leads to its place', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/');
  await line(page, '2 users end within 3 days.').getByRole('link').click();
  await page.waitForURL(/users\?.*ends=3/);
  await page.getByRole('link', { name: 'ben', exact: true }).waitFor();
  await settled(page);
  assert.deepEqual(await page.locator('tbody tr th a, tbody tr td a').allInnerTexts().then((all) => all.filter((name) => ['ann', 'ben', 'eve', 'old'].includes(name)).sort()), ['ann', 'ben']);
  await page.goBack();
  await attention(page).getByRole('link', { name: /leads$/ }).click();
  await page.getByRole('heading', { name: 'Cluster' }).waitFor();
  await page.goBack();

  await panel.control({ do: 'kill_engine', name: 'xray', line: 'Failed to start: out of memory' });
  await line(page, 'out of memory').waitFor({ timeout: 30_000 });
  await line(page, 'out of memory').getByRole('link').click();
  await page.getByRole('heading', { name: 'fra-1' }).waitFor();
  await panel.control({ do: 'revive_engine', name: 'xray' });
  await page.goBack();
  await line(page, 'out of memory').waitFor({ state: 'detached', timeout: 30_000 });

  await page.getByRole('region', { name: 'Users by state' }).getByRole('link', { name: 'Disabled' }).click();
  await page.getByRole('link', { name: 'eve', exact: true }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 1);
  await view.close();
});

test('numbers are those of the API', async () => {
  await until('traffic is counted', async () => (await panel.call('GET', 'system/stats/traffic/nodes')).total > 0, 60);
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/');
  await settled(page);
  const numbers = page.locator('.numbers');
  assert.match(await numbers.innerText(), /^Users\n4\n/);
  for (const name of ['This hour', 'Traffic today', '30 days']) assert.match((await numbers.getByText(name).locator('..').innerText()).split('\n').at(-1), /^[1-9]/, name);
  const states = await page.getByRole('region', { name: 'Users by state' }).innerText();
  assert.deepEqual(states.match(/(Active|On hold|Expired|Limited|Disabled)\n\d+/g)?.map((one) => one.replace('\n', ' ')), ['Active 2', 'On hold 0', 'Expired 1', 'Limited 0', 'Disabled 1']);
  await page.getByRole('list', { name: 'Traffic by node' }).getByRole('link', { name: 'fra-1' }).click();
  await page.waitForURL(/nodes\/\d+\/traffic/);
  await view.close();
});

test('a plain admin sees the own users and nothing of the fleet', async () => {
  const view = await open(panel, { token: await panel.token('mina', 'minapass1') });
  const { page } = view;
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await view.go('/');
  await line(page, '1 user ends within 3 days.').waitFor();
  await settled(page);
  assert.match(await page.locator('.numbers').innerText(), /^Users\n1\n/);
  assert.equal(await page.getByRole('region', { name: 'Nodes' }).count(), 0);
  assert.equal(await page.getByRole('list', { name: 'Traffic by node' }).count(), 0);
  assert.deepEqual(asked.filter((path) => /cluster|nodes|backlog|notifications/.test(path)), []);
  await view.close();
});

test('after a failed read nothing is called all right, and a retry reads again', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['503'] });
  const { page } = view;
  let fails = true;
  await page.route(/\/stats\/backlog$/, (route) => (fails ? route.fulfill({ status: 503, json: { detail: 'the database does not answer' } }) : route.fallback()));
  await view.go('/');
  await attention(page).getByText('the database does not answer').waitFor({ timeout: 20_000 });
  assert.equal(await page.getByText('Everything is all right').count(), 0);
  fails = false;
  await attention(page).getByRole('button', { name: 'Try again' }).click();
  await attention(page).getByText('the database does not answer').waitFor({ state: 'detached' });
  await view.close();
});

test('work that waits is named; the screen fits a phone in Persian, in both themes', async () => {
  const late = new Date(Date.now() - 600_000).toISOString();
  for (const [language, theme, words, spool] of [
    ['en', 'light', 'Changes of 3 users are not confirmed by all nodes.', /The spool of .* holds .* of traffic reports/],
    ['fa', 'light', 'همهٔ نودها تأیید نکرده‌اند', 'گزارش ترافیک دارد که در پایگاه داده نیست'],
    ['ar', 'dark', 'لم تؤكدها كل العقد', 'لم تصل إلى قاعدة البيانات'],
  ]) {
    const view = await open(panel, { token: await panel.token(), language, theme, width: 360, height: 760 });
    const { page } = view;
    await page.route(/\/stats\/backlog$/, (route) => route.fulfill({ json: {
      waiting_users: 3, waiting_users_since: late, nodes_out_of_step: [{ node_id: 7, node_name: 'a-node-with-a-name-that-goes-on-and-on-without-a-break', synced_at: late }],
      waiting_usage: 5, waiting_usage_since: late, quarantined_usage: 1,
    } }));
    await page.route(/\/api\/cluster$/, async (route) => {
      const cluster = await (await route.fetch()).json();
      const members = cluster.members.map((member) => ({ ...member, spool_files: 2, spool_bytes: 2048, spool_since: late, copy_users: 3, copy_age: 7 }));
      return route.fulfill({ json: { ...cluster, members, addresses: [{ address: '192.168.7.9', source: 'private', host: 'box' }] } });
    });
    await view.go('/');
    await page.getByText(words).waitFor();
    await page.getByText(spool).waitFor();
    await settled(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, language);
    assert.deepEqual(await violations(page), []);
    if (language === 'en') {
      await view.go('/cluster');
      await page.getByText('spool: 2 files, 2').waitFor();
      await page.getByText('private address of box').waitFor();
      await page.getByText('copy of subscriptions: 3 users, 7').waitFor();
    }
    await view.close();
  }
});
