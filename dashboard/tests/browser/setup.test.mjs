// The first admin of a new panel: the log's link makes it once.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, PASSWORD, startPanel, until } from './panel.mjs';

let panel;
let code;
before(async () => {
  panel = await startPanel({}, { admin: false });
  code = await until('the link', async () => /#\/setup\/(\w+)/.exec(panel.process.output())?.[1]);
});

test('the link of the log makes the first admin, who is signed in; it works once', async () => {
  const view = await open(panel, { expected: ['403'] });
  const { page } = view;
  await page.goto(`${panel.url}#/setup/${code}`);
  await page.getByRole('heading', { name: 'Make the first admin' }).waitFor();
  const act = page.getByRole('button', { name: 'Create admin and sign in' });
  await page.getByLabel('Username', { exact: true }).fill('owner');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('Password again').fill('another');
  await page.getByText('The two passwords differ.').waitFor();
  assert.ok(await act.isDisabled());
  await page.getByLabel('Password again').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Home' }).waitFor();
  assert.ok(!page.url().includes('setup'), page.url());
  const token = await panel.token('owner');
  assert.equal((await panel.call('GET', 'admins/current', undefined, token)).is_sudo, true);
  const second = await open(panel, { expected: ['403'] });
  await second.page.goto(`${panel.url}#/setup/${code}`);
  await second.page.getByLabel('Username', { exact: true }).fill('thief');
  await second.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await second.page.getByLabel('Password again').fill(PASSWORD);
  await second.page.keyboard.press('Enter');
  await second.page.getByText('This link is wrong, was used').waitFor();
  assert.equal(await second.page.getByLabel('Username', { exact: true }).inputValue(), 'thief', 'what was typed stays');
  await second.close();
  await view.close();
});
