// A working user from nothing, with the mouse and with the keyboard alone; search, filters, bulk; Back; refusals.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, PASSWORD, settled, startPanel, until } from './panel.mjs';
import { decode } from './qr.mjs';

let panel;
let furniture;
before(async () => {
  panel = await startPanel();
  furniture = await panel.furnish();
});

async function named(name, more = {}) {
  return panel.call('POST', 'users', { username: name, expire_strategy: 'never', service_ids: [furniture.service.id], ...more });
}

test('sign-in, a wrong password, and sign-out in all tabs', async () => {
  const view = await open(panel, { expected: ['401'] });
  const { page } = view;
  await view.go('/users');
  await page.getByLabel('Username', { exact: true }).fill('root');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Wrong username or password.').waitFor();
  assert.equal(await page.getByLabel('Username', { exact: true }).inputValue(), 'root', 'what was typed stays');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('h1', { hasText: 'Users' }).waitFor();
  const second = await view.context.newPage();
  await second.goto(panel.url);
  await second.getByRole('heading', { name: 'Home' }).waitFor();
  await second.getByTitle('Preferences').click();
  await second.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  assert.equal(await page.evaluate(() => localStorage.getItem('sarban.token')), null);
  await view.close();
});

test('a user from nothing with the mouse; its QR code is its link', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users');
  await page.getByRole('button', { name: 'New user' }).first().click();
  await page.getByRole('button', { name: 'Create user' }).click();
  await page.getByText('Use 3 to 32 letters').waitFor();
  await page.getByLabel('Username', { exact: true }).fill('ann');
  await page.getByLabel('Data limit').fill('۱٫۵');
  await page.getByText('From first use').click();
  await page.getByLabel('Basic').check();
  await page.getByLabel('Note', { exact: true }).fill('<b>hi</b>');
  await page.getByRole('button', { name: 'Create user' }).click();
  await page.getByRole('heading', { name: 'ann' }).waitFor();
  await settled(page);
  const user = await panel.call('GET', 'users/ann');
  assert.equal(user.data_limit, 1.5 * 1024 ** 3);
  assert.deepEqual([user.expire_strategy, user.usage_duration, user.service_ids, user.note], ['start_on_first_use', 30 * 86_400, [furniture.service.id], '<b>hi</b>']);
  await page.getByText('<b>hi</b>').waitFor();
  const link = await page.locator('.copyline code').innerText();
  assert.equal((await fetch(link)).status, 200);
  assert.equal(decode(await page.locator('svg.qr path').getAttribute('d'), await page.locator('svg.qr').getAttribute('viewBox')), link);
  const why = page.getByRole('region', { name: 'Why doesn’t it work?' });
  await why.getByText('The time of the account starts with its first use.').waitFor();
  await until('the change is on the node', async () => !(await why.innerText()).includes('may not have the last change'));
  await view.close();
});

test('a user from nothing with the keyboard alone', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/');
  await page.keyboard.press('g');
  await page.keyboard.press('u');
  await page.locator('h1', { hasText: 'Users' }).waitFor();
  await settled(page);
  await page.keyboard.press('n');
  await page.getByLabel('Username', { exact: true }).waitFor();
  await page.keyboard.type('keys_only');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'keys_only' }).waitFor();
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Search and go' }).waitFor();
  await page.keyboard.type('ann');
  await page.getByRole('option', { name: /^ann/ }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'ann', exact: true }).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('g');
  await page.keyboard.press('u');
  await page.getByRole('link', { name: 'ann', exact: true }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('keys');
  await page.getByRole('link', { name: 'ann', exact: true }).waitFor({ state: 'detached' });
  assert.match(page.url(), /q=keys/);
  await view.close();
});

test('search, filters, sort and Back are in the URL; many users at once', async () => {
  for (let index = 0; index < 60; index += 1) await named(`many_${String(index).padStart(2, '0')}`);
  await panel.call('POST', 'users/many_07/disable');
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users?q=many_&size=25&sort=username&desc=true');
  await page.getByRole('link', { name: 'many_59' }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 25);
  await page.getByRole('button', { name: 'Next page' }).click();
  await page.getByText('Page 2 of 3').waitFor();
  await page.getByLabel('State').selectOption('disabled');
  await page.getByRole('link', { name: 'many_07' }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 1);
  assert.doesNotMatch(page.url(), /page=/, 'a filter begins at the first page');
  await page.goBack();
  await page.getByText('Page 2 of 3').waitFor();
  await page.goBack();
  await page.getByText('Page 1 of 3').waitFor();
  await settled(page);
  for (const name of ['many_59', 'many_58', 'many_57']) await page.getByLabel(`Select ${name}`).check();
  await page.getByText('3 selected').waitFor();
  await page.getByRole('region', { name: 'Selected users' }).getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Disable' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Disable 3 users' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  for (const name of ['many_59', 'many_58', 'many_57']) assert.equal((await panel.call('GET', `users/${name}`)).enabled, false, name);
  assert.equal((await panel.call('GET', 'users/many_56')).enabled, true);
  assert.equal(await page.getByRole('region', { name: 'Selected users' }).count(), 0);
  await view.close();
});

test('edit sends what was changed and nothing else', async () => {
  await named('bahar', { data_limit: 5 * 1024 ** 3, note: 'first' });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/bahar');
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Data limit').waitFor();
  // Somebody else changes the note while the drawer is open.
  await panel.call('PUT', 'users/bahar', { username: 'bahar', note: 'second' });
  await page.getByLabel('Data limit').fill('');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  // Opened again at once, it reads again at once.
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Data limit').waitFor({ timeout: 3_000 });
  const user = await panel.call('GET', 'users/bahar');
  assert.deepEqual([user.data_limit, user.note, user.expire_strategy], [null, 'second', 'never']);
  await view.close();
});

test('reset, revoke and delete ask first and say what follows', async () => {
  const before = await named('ciro');
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/ciro');
  const act = async (entry, button) => {
    await page.getByRole('button', { name: 'Actions' }).click();
    await page.getByRole('menuitem', { name: entry }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: button }).click();
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  };
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Revoke link' }).click();
  await page.getByText('stop working').waitFor();
  await page.keyboard.press('Escape');
  assert.equal((await panel.call('GET', 'users/ciro')).key, before.key, 'Escape does nothing');
  await act('Revoke link', 'Revoke link of ciro');
  const after = await panel.call('GET', 'users/ciro');
  assert.notEqual(after.key, before.key);
  await page.getByText(after.key).first().waitFor();
  await act('Delete', 'Delete ciro');
  await page.locator('h1', { hasText: 'Users' }).waitFor();
  assert.equal((await panel.call('GET', 'users?username=ciro')).total, 0);
  await view.close();
});

test('why it does not work, in words', async () => {
  await panel.call('POST', 'users', { username: 'lonely', expire_strategy: 'fixed_date', expire_date: '2020-01-01T00:00:00Z', service_ids: [] });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/lonely');
  await page.getByText('The account has expired. Set a later date.').waitFor();
  await page.getByText('The user has no service').waitFor();
  await page.getByText('No enabled host is for this user').waitFor();
  await view.close();
});

test('a reseller sees its own users, and no screens of the sudo admin', async () => {
  await panel.call('POST', 'admins', { username: 'mina', password: 'minapass', is_sudo: false, enabled: true, modify_users_access: true, all_services_access: true, service_ids: [], subscription_url_prefix: '' });
  const token = await panel.token('mina', 'minapass');
  await panel.call('POST', 'users', { username: 'of_mina', expire_strategy: 'never', service_ids: [] }, token);
  const view = await open(panel, { token });
  const { page } = view;
  await view.go('/users');
  await page.getByRole('link', { name: 'of_mina' }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 1);
  assert.equal(await page.getByRole('link', { name: 'Nodes' }).count(), 0);
  await view.go('/nodes');
  await page.getByRole('heading', { name: 'You may not open: Nodes' }).waitFor();
  await view.close();
});

test('the session ends and continues; the panel goes away and comes back', async () => {
  await panel.call('POST', 'admins', { username: 'nora', password: 'first_pass', is_sudo: false, enabled: true, modify_users_access: true, all_services_access: true, service_ids: [], subscription_url_prefix: '' });
  const token = await panel.token('nora', 'first_pass');
  await panel.call('POST', 'users', { username: 'of_nora', expire_strategy: 'never', service_ids: [] }, token);
  const view = await open(panel, { token, expected: ['401', 'ERR_CONNECTION_REFUSED', 'ERR_INCOMPLETE_CHUNKED_ENCODING', '503'] });
  const { page } = view;
  await view.go('/users/of_nora');
  await settled(page);
  await panel.call('PUT', 'admins/nora', { password: 'second_pass' });
  await page.getByText('Your session has ended.').waitFor({ timeout: 15_000 });
  await page.getByLabel('Password').fill('second_pass');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alertdialog', { name: 'Sign in' }).waitFor({ state: 'detached' });
  await page.getByText('Account', { exact: true }).waitFor();
  await settled(page);
  await panel.down();
  await page.locator('.offline').waitFor({ timeout: 30_000 });
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Disable' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Disable of_nora' }).click();
  await page.getByText('The panel did not answer.').first().waitFor();
  await panel.up();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Disable of_nora' }).click();
  await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  await until('of_nora disabled', async () => !(await panel.call('GET', 'users/of_nora')).enabled);
  await view.close();
});
