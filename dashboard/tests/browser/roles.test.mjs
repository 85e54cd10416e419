// Roles: made in the matrix, given to an admin, who is then offered only what the role allows.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { open, quit, settled, startPanel } from './panel.mjs';

let panel;
before(async () => {
  panel = await startPanel();
  await panel.furnish();
});
after(async () => {
  await quit();
  await panel?.stop();
});

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
  const view = await open(panel, { token: await panel.token('nora', 'norapass') });
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
  await settled(page);
  await view.close();
});
