// Roles: made in the matrix, given to an admin, who is then offered only what the role allows.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { open, settled, startPanel } from './panel.mjs';

let panel;
const backUps = mkdtempSync(join(tmpdir(), 'sarban-backups.'));
before(async () => {
  panel = await startPanel({ BACKUP_TO: backUps });
  await panel.furnish();
});
after(() => rmSync(backUps, { recursive: true, force: true }));

const role = async (name) => (await panel.call('GET', 'roles')).find((one) => one.name === name);

test('a role is made in the matrix, changed, given to an admin, and deleted when nobody has it', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['409'] });
  const { page } = view;
  await view.go('/roles');
  await page.getByRole('button', { name: 'New role' }).click();
  const drawer = page.getByRole('dialog');
  await drawer.getByLabel('Name').fill('night');
  await drawer.getByLabel('Users: Read', { exact: true }).selectOption('all');
  await drawer.getByLabel('Users: Reset traffic').selectOption('own');
  await drawer.getByLabel('Nodes: Read').selectOption('all');
  assert.equal(await drawer.getByLabel('Nodes: Read').getByText('own').count(), 0, 'nodes have no owner');
  assert.equal(await drawer.getByRole('row').nth(1).evaluate((row) => getComputedStyle(row).backgroundColor), 'rgba(0, 0, 0, 0)', 'not marked as a selected row is');
  await drawer.getByRole('button', { name: 'Create role' }).click();
  await page.getByRole('row').filter({ hasText: 'night' }).waitFor();
  const made = await role('night');
  assert.deepEqual([made.rights.users, made.rights.nodes.read, made.rights.nodes.write], [{ read: 'all', write: 'none', reset: 'own' }, 'all', 'none']);

  await page.getByRole('button', { name: 'night', exact: true }).click();
  await drawer.getByLabel('Users: Reset traffic').selectOption('all');
  await drawer.getByLabel('Its admins must sign in with a second factor').check();
  await drawer.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row').filter({ hasText: 'night' }).getByText('required').waitFor();
  assert.equal((await role('night')).rights.users.reset, 'all');

  await page.getByRole('button', { name: 'support', exact: true }).click();
  await drawer.getByText('The rights of a built-in role are part of the panel.').waitFor();
  assert.equal(await drawer.getByLabel('Users: Read', { exact: true }).isDisabled(), true);
  await drawer.getByRole('button', { name: 'Cancel' }).click();

  await panel.call('PUT', 'roles/night', { requires_second_factor: false });
  await view.go('/admins');
  await page.getByRole('button', { name: 'New admin' }).click();
  await drawer.getByLabel('Username').fill('mina');
  await drawer.getByLabel('Password').fill('minapass');
  await drawer.getByLabel('Role').selectOption('night');
  await drawer.getByRole('button', { name: 'Create admin' }).click();
  await page.getByRole('row').filter({ hasText: 'mina' }).getByText('night').waitFor();
  assert.equal((await panel.call('GET', 'admins/mina')).role, 'night');

  await view.go('/roles');
  const remove = async () => {
    await page.getByRole('button', { name: 'Actions for night' }).click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete the role night' }).click();
  };
  await remove();
  await page.getByText('1 admin has this role').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await panel.call('PUT', 'admins/mina', { role: 'reseller' });
  await remove();
  await page.getByRole('row').filter({ hasText: 'night' }).waitFor({ state: 'detached' });
  assert.equal(await role('night'), undefined);
  await settled(page);
  await view.close();
});

test('an admin is offered what its role allows, and nothing else', async () => {
  const rights = { users: { read: 'all', reset: 'all' }, nodes: { read: 'all' }, stats: { read: 'all' }, events: { read: 'all' }, services: { read: 'all' } };
  await panel.call('POST', 'roles', { name: 'watch', rights });
  await panel.call('POST', 'admins', { username: 'nora', password: 'norapass', is_sudo: false, role: 'watch' });
  await panel.call('POST', 'users', { username: 'others', expire_strategy: 'never' });
  // Whether the role requires a second factor is asked for, and refused.
  const view = await open(panel, { token: await panel.token('nora', 'norapass'), expected: ['403'] });
  const { page } = view;
  await view.go('/');
  const places = page.getByRole('navigation').first();
  await places.getByRole('link', { name: 'Nodes' }).waitFor();
  assert.deepEqual(await places.getByRole('link').allInnerTexts(), ['Home', 'Users', 'Services', 'Nodes', 'Your account']);

  await view.go('/nodes');
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add node' }).count(), 0);
  await view.go('/roles');
  await page.getByRole('heading', { name: 'You may not open: Roles' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'New role' }).count(), 0);

  await view.go('/users/others');
  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Reset usage' }).waitFor();
  assert.equal(await page.getByRole('menuitem', { name: 'Delete' }).count(), 0);
  await page.keyboard.press('Escape');
  assert.equal(await page.getByRole('button', { name: 'Edit', exact: true }).count(), 0);

  // It may reset users, and neither change them nor store views.
  await view.go('/users?state=active');
  await page.getByRole('link', { name: 'others', exact: true }).waitFor();
  await settled(page);
  assert.equal(await page.getByRole('button', { name: 'Save this view' }).count(), 0);
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('dialog', { name: 'Search and go' });
  await palette.getByRole('combobox').fill('others');
  await palette.getByRole('option', { name: 'Reset usage of others' }).waitFor();
  assert.equal(await palette.getByRole('option', { name: 'Disable others' }).count(), 0);
  await page.keyboard.press('Escape');

  // Of its own account it may change nothing and read nothing.
  await view.go('/me');
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
  await settled(page);
  assert.deepEqual(await page.locator('main').getByRole('heading').allInnerTexts(), ['Your account']);
  assert.equal(await page.locator('main').getByRole('button').count(), 0);
  await view.close();
});

test('an admin who may only read settings, hosts and the cluster looks at forms and changes nothing', async () => {
  const rights = { settings: { read: 'all' }, hosts: { read: 'all' }, inbounds: { read: 'all' }, cluster: { read: 'all' }, events: { read: 'all' }, sessions: { read: 'own' } };
  await panel.call('POST', 'roles', { name: 'looker', rights });
  await panel.call('POST', 'admins', { username: 'roya', password: 'royapass', is_sudo: false, role: 'looker' });
  const view = await open(panel, { token: await panel.token('roya', 'royapass'), expected: ['403'] });
  const { page } = view;
  const main = page.locator('main');
  await view.go('/settings');
  await page.getByLabel('Name in apps').waitFor();
  assert.ok(await page.getByLabel('Name in apps').isDisabled());
  assert.ok(await page.getByRole('button', { name: 'Add rule' }).isDisabled());
  assert.equal(await main.getByRole('button', { name: 'Save' }).count(), 0);
  await view.go('/settings/telegram');
  await page.getByLabel('Channel id').waitFor();
  assert.ok(await page.getByLabel('Channel id').isDisabled());
  await view.go('/hosts?view=order');
  await main.getByRole('list', { name: 'Order' }).waitFor();
  assert.equal(await main.getByRole('button', { name: /^Move / }).count(), 0);
  await view.go('/cluster');
  await page.getByText(backUps).waitFor();
  await settled(page);
  assert.equal(await page.getByRole('button', { name: 'Back up now' }).count(), 0);
  await view.close();
});

test('an admin who may read numbers alone is led to no user and no node', async () => {
  await panel.call('POST', 'roles', { name: 'numbers', rights: { stats: { read: 'all' }, events: { read: 'all' }, sessions: { read: 'own' } } });
  await panel.call('POST', 'admins', { username: 'omid', password: 'omidpass', is_sudo: false, role: 'numbers' });
  await panel.call('POST', 'users', { username: 'unseen', expire_strategy: 'never' });
  const view = await open(panel, { token: await panel.token('omid', 'omidpass') });
  const { page } = view;
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await view.go('/');
  const places = page.getByRole('navigation').first();
  await places.getByRole('link', { name: 'Your account' }).waitFor();
  assert.deepEqual(await places.getByRole('link').allInnerTexts(), ['Home', 'Your account']);
  const main = page.locator('main');
  await main.getByRole('listitem').filter({ hasText: 'Active' }).waitFor();
  await settled(page);
  assert.equal(await main.getByRole('link').count(), 0);
  assert.equal(await main.getByRole('listitem').filter({ hasText: 'Disabled' }).count(), 0);

  await page.keyboard.press('Control+k');
  const palette = page.getByRole('dialog', { name: 'Search and go' });
  await palette.getByRole('combobox').fill('unseen');
  await palette.getByText('Nothing found').waitFor();
  await page.keyboard.press('Escape');
  for (const path of ['/users', '/users/unseen']) {
    await view.go(path);
    await page.getByRole('heading', { name: 'You may not open: Users' }).waitFor();
  }
  // Sessions are read and not ended; factors are read and not changed.
  await view.go('/me');
  await page.getByText('This browser', { exact: true }).waitFor();
  await settled(page);
  assert.deepEqual(await main.getByRole('button').allInnerTexts(), ['Sign out']);
  assert.deepEqual(asked.filter((path) => path.startsWith('/api/users') || path.startsWith('/api/tokens')), []);
  await view.close();
});

test('an admin whose role allows nothing else sets up the second factor that it requires', async () => {
  await panel.call('POST', 'roles', { name: 'bare', rights: { stats: { read: 'own' } }, requires_second_factor: true });
  await panel.call('POST', 'admins', { username: 'pari', password: 'paripass', is_sudo: false, role: 'bare' });
  const view = await open(panel, { token: await panel.token('pari', 'paripass'), expected: ['403'] });
  const { page } = view;
  await view.go('/');
  await page.getByText('Set one up to go on').waitFor();
  await page.getByRole('button', { name: 'Set up an authenticator app' }).waitFor();
  assert.match(page.url(), /#\/me/);
  await view.close();
});
