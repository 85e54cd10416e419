// Admins: made, changed, disabled, deleted; what can be done to all users of one.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, settled, startPanel, until, violations } from './panel.mjs';

let panel;
before(async () => {
  panel = await startPanel();
  await panel.furnish();
});

const admin = (name) => panel.call('GET', `admins/${name}`);
const user = (name) => panel.call('GET', `users/${name}`);

async function act(page, name, action) {
  await page.getByRole('button', { name: `Actions for ${name}`, exact: true }).click();
  await page.getByRole('menuitem', { name: action, exact: true }).click();
}

test('an admin is made with a prefix and services, changed, disabled and deleted', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/admins');
  await page.getByRole('button', { name: 'New admin' }).click();
  const drawer = page.getByRole('dialog');
  await drawer.getByLabel('Username').fill('mina');
  await drawer.getByLabel('Password').fill('minapass');
  await drawer.getByLabel('May assign all services').uncheck();
  await drawer.getByLabel('Basic').check();
  await drawer.getByLabel('Prefix of subscription links').fill('https://sub.example.com ');
  await drawer.getByRole('button', { name: 'Create admin' }).click();
  await page.getByRole('row').filter({ hasText: 'mina' }).getByText('https://sub.example.com').waitFor();
  const made = await admin('mina');
  assert.deepEqual([made.subscription_url_prefix, made.service_ids.length, made.all_services_access, made.is_sudo], ['https://sub.example.com', 1, false, false]);
  await panel.call('POST', 'users', { username: 'hers', expire_strategy: 'never' }, await panel.token('mina', 'minapass'));
  assert.match((await user('hers')).subscription_url, /^https:\/\/sub\.example\.com\/sub\//);

  await page.getByRole('button', { name: 'mina', exact: true }).click();
  assert.match(page.url(), /drawer=edit-mina/);
  await drawer.getByLabel('Prefix of subscription links').fill('');
  await drawer.getByLabel('May change its users').uncheck();
  await drawer.getByRole('button', { name: 'Save' }).click();
  await drawer.waitFor({ state: 'detached' });
  assert.deepEqual([(await admin('mina')).subscription_url_prefix, (await admin('mina')).modify_users_access], ['', false]);

  await act(page, 'mina', 'Disable');
  const dialog = page.getByRole('alertdialog');
  await dialog.getByText('its tokens stop working').waitFor();
  await dialog.getByRole('button', { name: 'Disable mina' }).click();
  await page.getByRole('row').filter({ hasText: 'mina' }).getByText('Disabled').waitFor();
  assert.equal((await admin('mina')).enabled, false);
  await act(page, 'mina', 'Enable');
  await dialog.getByRole('button', { name: 'Enable mina' }).click();
  await until('enabled', async () => (await admin('mina')).enabled);
  await act(page, 'mina', 'Delete');
  await dialog.getByRole('button', { name: 'Delete mina' }).click();
  await page.getByRole('row').filter({ hasText: 'mina' }).waitFor({ state: 'detached' });
  assert.equal((await user('hers')).owner_username, null);
  await view.close();
});

test('all users of an admin are disabled, enabled and given to another', async () => {
  for (const username of ['nora', 'omar']) await panel.call('POST', 'admins', { username, password: 'password', is_sudo: false, all_services_access: true });
  const token = await panel.token('nora', 'password');
  for (const username of ['one', 'two']) await panel.call('POST', 'users', { username, expire_strategy: 'never' }, token);
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/admins');
  const dialog = page.getByRole('alertdialog');
  await act(page, 'nora', 'Disable all its users');
  await dialog.getByText('It has 2 users.').waitFor();
  await dialog.getByRole('button', { name: 'Disable all users of nora' }).click();
  await until('disabled', async () => !(await user('one')).enabled && !(await user('two')).enabled);
  await act(page, 'nora', 'Enable all its users');
  await dialog.getByRole('button', { name: 'Enable all users of nora' }).click();
  await until('enabled', async () => (await user('one')).enabled && (await user('two')).enabled);

  await act(page, 'nora', 'Traffic of its users');
  await page.getByRole('dialog', { name: 'Traffic of the users of nora' }).getByText(/^Total: 0/).waitFor();
  assert.match(page.url(), /drawer=traffic-nora/);
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press('Escape');
  await act(page, 'nora', 'Give its users to another admin');
  assert.match(page.url(), /drawer=give-nora/);
  const drawer = page.getByRole('dialog');
  await drawer.getByText('It has 2 users.').waitFor();
  await drawer.getByLabel('New owner').selectOption('omar');
  await drawer.getByRole('button', { name: 'Give its users to another admin' }).click();
  await page.getByText('2 users have a new owner').waitFor();
  assert.deepEqual([(await user('one')).owner_username, (await user('two')).owner_username], ['omar', 'omar']);
  await settled(page);
  await view.close();
});

test('a quota is set, refused below its use, and shown to its admin', async () => {
  await panel.call('POST', 'admins', { username: 'quentin', password: 'quentinpass', is_sudo: false });
  const own = await panel.token('quentin', 'quentinpass');
  for (const username of ['his_one', 'his_two']) await panel.call('POST', 'users', { username, expire_strategy: 'never' }, own);
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  await view.go('/admins');
  await act(page, 'quentin', 'Quota');
  assert.match(page.url(), /drawer=quota-quentin/);
  const drawer = page.getByRole('dialog');
  await drawer.getByLabel('Most users').fill('0');
  await drawer.getByText('Enter a number above 0').waitFor();
  await drawer.getByLabel('Most users').fill('1');
  await drawer.getByRole('button', { name: 'Save' }).click();
  await drawer.getByText('must not be below the use, which is 2', { exact: true }).waitFor();
  await drawer.getByLabel('Most users').fill('4');
  await drawer.getByLabel('Traffic of all users in a period, in GB').fill('1.5');
  await drawer.getByLabel('When the traffic is used up').selectOption('disable');
  await drawer.getByRole('button', { name: 'Save' }).click();
  await drawer.waitFor({ state: 'detached' });
  const { limits } = await panel.call('GET', 'admins/quentin/quota');
  assert.deepEqual([limits.users, limits.active_users, limits.traffic, limits.when_used_up], [4, null, 1.5 * 1024 ** 3, 'disable']);
  await act(page, 'quentin', 'Quota');
  await drawer.getByText('2 of 4').waitFor();
  await drawer.getByRole('button', { name: 'Reset traffic' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Reset traffic' }).click();
  await page.getByText('The traffic counts from now on').waitFor();
  await view.close();
  const his = await open(panel, { token: own });
  await his.go('/');
  await his.page.getByText('2 of 4').waitFor();
  await his.close();
});

test('what the panel refuses is not offered: another sudo admin is not changed', async () => {
  await panel.call('POST', 'admins', { username: 'dave', password: 'password', is_sudo: true });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/admins');
  await page.getByRole('button', { name: 'Actions for dave', exact: true }).click();
  assert.deepEqual(await page.getByRole('menuitem').allInnerTexts(), ['Traffic of its users', 'Users', 'Give its users to another admin']);
  await page.keyboard.press('Escape');
  await view.go('/admins?drawer=edit-dave');
  await page.getByText('Another sudo admin is changed only by itself').waitFor();
  assert.equal(await page.getByRole('dialog').locator('input').count(), 0);
  await view.close();
});
