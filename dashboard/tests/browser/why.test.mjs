// "Why doesn't it work?" on a user's page: in words, in every language, with the way to where it is fixed.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, settled, startPanel, until, violations } from './panel.mjs';

let panel;
let furniture;
before(async () => {
  panel = await startPanel();
  furniture = await panel.furnish();
  await panel.call('POST', 'users', { username: 'ann', expire_strategy: 'never', service_ids: [furniture.service.id] });
});

const panelOf = (page, name = 'Why doesn’t it work?') => page.getByRole('region', { name });
const codes = async () => (await panel.call('GET', 'users/ann/diagnosis')).findings.map(({ code }) => code);

test('what stands in the way is said in words and leads to where it is fixed', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await panel.call('POST', 'users/ann/disable');
  await view.go('/users/ann');
  const why = panelOf(page);
  await why.getByText('This keeps the user from connecting:').waitFor();
  await why.getByText('The account is disabled.').waitFor();
  await why.getByRole('button', { name: 'Enable' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Enable ann' }).click();
  await why.getByText('The account is disabled.').waitFor({ state: 'detached' });
  assert.ok(!(await codes()).includes('user_disabled'));

  await panel.call('PUT', 'users/ann', { username: 'ann', expire_strategy: 'fixed_date', expire_date: '2020-01-01T00:00:00Z', data_limit: 1 });
  await why.getByText('The account has expired. Set a later date.').waitFor();
  await why.getByRole('listitem').filter({ hasText: 'expired' }).getByRole('link', { name: 'Edit' }).click();
  await page.getByRole('dialog').waitFor();
  await page.goBack();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await panel.call('PUT', 'users/ann', { username: 'ann', expire_strategy: 'never', data_limit: 0 });

  await panel.call('PUT', 'users/ann', { username: 'ann', service_ids: [] });
  await why.getByText('The user has no service, so it reaches no node. Give it one.').waitFor();
  await panel.call('PUT', 'users/ann', { username: 'ann', service_ids: [furniture.service.id] });
  await why.getByText('The user has no service').waitFor({ state: 'detached' });
  await view.close();
});

test('a node that does not work is named with its reason, to sudo admins only', async () => {
  await panel.call('POST', 'admins', { username: 'mina', password: 'minapass1', is_sudo: false, service_ids: [furniture.service.id] });
  await panel.call('PUT', 'users/ann/set-owner?admin_username=mina');
  await panel.control({ do: 'kill_engine', name: 'xray', line: 'Failed to start: out of memory' });
  await until('the engine is known to be stopped', async () => (await codes()).includes('engine_stopped'), 30);
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/ann');
  const line = panelOf(page).getByRole('listitem').filter({ hasText: 'The engine xray of the node fra-1 does not run.' });
  await line.getByText('out of memory').waitFor();
  await panel.call('PUT', 'admins/mina', { enabled: false });
  await panelOf(page).getByRole('listitem').filter({ hasText: 'mina' }).getByRole('link', { name: 'Open' }).click();
  await page.getByRole('dialog').filter({ hasText: 'mina' }).waitFor();
  await panel.call('PUT', 'admins/mina', { enabled: true });
  await view.go('/users/ann');
  await line.getByRole('link', { name: 'Log' }).click();
  await page.waitForURL(/nodes\/\d+\/log\?engine=xray/);
  await view.close();

  const other = await open(panel, { token: await panel.token('mina', 'minapass1') });
  await other.go('/users/ann');
  const own = panelOf(other.page).getByRole('listitem').filter({ hasText: 'The engine xray of the node fra-1 does not run.' });
  await own.waitFor();
  assert.ok(!(await own.innerText()).includes('out of memory'));
  assert.equal(await own.getByRole('link').count(), 0, 'no way to where the admin may not go');
  await other.close();
  await panel.control({ do: 'revive_engine', name: 'xray' });
});

test('each code has words in every language; an unknown one is shown as the panel says it', async () => {
  const titles = { fa: 'چرا کار نمی‌کند؟', ar: 'لماذا لا يعمل؟', ru: 'Почему не работает?', zh: '为什么无法使用？', en: 'Why doesn’t it work?' };
  for (const [language, title] of Object.entries(titles)) {
    const view = await open(panel, { token: await panel.token(), language, width: 360, height: 760 });
    const { page } = view;
    await page.route(/\/diagnosis/, async (route) => {
      const response = await route.fetch();
      const body = await response.json();
      const object = { kind: 'node', id: 7, name: 'fra-9' };
      body.works = false;
      body.findings = [
        { code: 'gremlins', severity: 'error', text: 'gremlins were seen on the line', object, details: {} },
        { code: 'node_unhealthy', severity: 'warning', text: 'not shown', object, details: { reason: 'connection refused', since: '2026-01-02T03:04:05Z' } },
        { code: 'host_left_out', severity: 'warning', text: 'not shown', object: { kind: 'host', id: 3, name: 'a very long remark of a host that goes on and on' }, details: { app: 'Karing', reason: 'no port' } },
      ];
      await route.fulfill({ response, json: body });
    });
    await view.go('/users/ann');
    const why = panelOf(page, title);
    await why.getByText('gremlins were seen on the line').waitFor();
    await settled(page);
    const text = await why.innerText();
    assert.ok(text.includes('fra-9') && text.includes('Karing') && !text.includes('not shown'), text);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(over, 0, `${language}: ${over} px too wide`);
    assert.deepEqual(await violations(page), []);
    await view.close();
  }
});

test('the document that an app gets is shown in colours and can be copied; looking is no fetch', async () => {
  await panel.call('POST', 'users', { username: 'ben', expire_strategy: 'never', service_ids: [furniture.service.id] });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/ben');
  const apps = page.getByRole('region', { name: 'What an app gets' });
  await apps.getByLabel('App', { exact: true }).selectOption('sing-box');
  await apps.getByText('Format: sing-box').waitFor();
  await apps.getByRole('button', { name: 'Show document' }).click();
  const shown = apps.getByRole('region', { name: 'Document' });
  await shown.locator('.tok-key', { hasText: '"outbounds"' }).first().waitFor();
  const { document } = await panel.call('GET', 'users/ben/subscription?user_agent=SFA/1.12.0&document=true');
  assert.deepEqual(JSON.parse(await shown.innerText()), JSON.parse(document));
  await apps.getByLabel('Format').selectOption('clash-meta');
  await shown.locator('.tok-key', { hasText: 'proxies' }).first().waitFor();
  await apps.getByLabel('Format').selectOption('v2ray');
  await shown.getByText(/^(vless|vmess|trojan|ss):\/\//).first().waitFor();
  assert.deepEqual(await violations(page), []);
  assert.equal((await panel.call('GET', 'users/ben')).sub_updated_at, null);
  await view.close();
});

test('the traffic of one node is shown before that of all', async () => {
  await until('traffic is recorded', async () => (await panel.call('GET', 'users/ann/usage')).total > 0, 60);
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/ann');
  const traffic = page.getByRole('region', { name: 'Traffic' });
  const node = traffic.getByRole('button', { name: 'fra-1' });
  await node.waitFor();
  assert.equal(await traffic.locator('rect.behind').count(), 0);
  await node.click();
  assert.equal(await node.getAttribute('aria-pressed'), 'true');
  await traffic.locator('rect.behind').first().waitFor({ state: 'attached' });
  await node.click();
  await traffic.locator('rect.behind').first().waitFor({ state: 'detached' });
  await view.close();
});
