// Unsaved work: a changed form asks before it is left, outlives a reload and the end of the session, and stores no secrets.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, PASSWORD, settled, startPanel, until, violations } from './panel.mjs';

const ADMIN = { password: 'first_pass', is_sudo: false, enabled: true, modify_users_access: true, all_services_access: true, service_ids: [], subscription_url_prefix: '' };
const QUESTION = 'Discard what was changed?';

let panel;
let furniture;
let host;
before(async () => {
  panel = await startPanel();
  furniture = await panel.furnish();
  host = (await panel.call('GET', 'inbounds/hosts')).items[0];
  await panel.call('POST', 'users', { username: 'ann', expire_strategy: 'never', service_ids: [furniture.service.id], note: 'old' });
  await panel.call('POST', 'admins', { username: 'mina', ...ADMIN });
});

const stored = (page) => page.evaluate(() => JSON.stringify({ ...sessionStorage }));

test('every form asks before it is left, and shows after a reload what was typed', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const label = (name) => page.getByLabel(name, { exact: true });
  /** Each form: its URL, the field, and what is typed into it. */
  const forms = [
    ['/users?drawer=new', 'Username', 'typed_name'],
    ['/users/ann?drawer=edit', 'Note', 'typed note'],
    ['/services?drawer=new', 'Name', 'Typed'],
    [`/services?drawer=${furniture.service.id}`, 'Name', 'Typed'],
    ['/hosts?drawer=new', 'Address', 'typed.example'],
    [`/hosts?drawer=${host.id}`, 'Address', 'typed.example'],
    ['/nodes?drawer=new', 'Name', 'typed'],
    [`/nodes/${furniture.node.id}/status?drawer=edit`, 'Name', 'typed'],
    ['/admins?drawer=new', 'Username', 'typed'],
    ['/settings', 'Support link', 't.me/typed'],
    ['/settings/telegram', 'Channel id', '-100'],
  ];
  for (const [path, field, words] of forms) {
    await view.go(path);
    const began = await label(field).inputValue();
    await label(field).fill(words);
    const inDrawer = path.includes('drawer');
    const leave = () => (inDrawer ? page.keyboard.press('Escape') : page.getByRole('link', { name: 'Home' }).click());
    await leave();
    const question = page.getByRole('alertdialog', { name: QUESTION });
    await question.getByRole('button', { name: 'Cancel' }).click();
    await question.waitFor({ state: 'detached' });
    assert.equal(await label(field).inputValue(), words, path);
    await page.reload();
    await page.getByText('You typed this before the page was loaded again.').waitFor();
    assert.equal(await label(field).inputValue(), words, path);
    await page.getByRole('button', { name: 'Discard changes' }).click();
    assert.equal(await label(field).inputValue(), began, path);
    await leave();
    if (inDrawer) await page.getByRole('dialog').waitFor({ state: 'detached' });
    else await page.getByRole('heading', { name: 'Home' }).waitFor();
    assert.doesNotMatch(await stored(page), /sarban\.draft/, path);
  }
  await view.close();
});

test('a changed order, owner or check box is unsaved work, too', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const question = page.getByRole('alertdialog', { name: QUESTION });
  await view.go('/hosts?view=order');
  const rows = () => page.locator('ol.order li bdi:first-child').allInnerTexts();
  await page.locator('ol.order li').first().waitFor();
  const before = await rows();
  await page.getByRole('button', { name: /^Move .* down$/ }).first().click();
  const after = await rows();
  assert.notDeepEqual(after, before);
  await page.getByRole('button', { name: 'New host' }).click();
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await question.count(), 0, 'a drawer over the order leaves nothing');
  await page.reload();
  await page.getByText('You typed this before the page was loaded again.').waitFor();
  assert.deepEqual(await rows(), after);
  await page.getByRole('link', { name: 'Home' }).click();
  await question.getByRole('button', { name: 'Discard changes' }).click();
  await page.getByRole('heading', { name: 'Home' }).waitFor();

  await view.go('/users/ann?drawer=owner');
  await page.getByLabel('Owner', { exact: true }).selectOption('mina');
  await page.keyboard.press('Escape');
  await question.getByRole('button', { name: 'Discard changes' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });

  await view.go('/admins?drawer=edit-mina');
  await page.getByLabel('May change its users').uncheck();
  await page.goBack();
  await question.getByRole('button', { name: 'Cancel' }).click();
  assert.equal(await page.getByLabel('May change its users').isChecked(), false);
  // Changed back is not changed.
  await page.getByLabel('May change its users').check();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await view.close();
});

test('a form goes on after its session has ended: sign in again in place, then save', async () => {
  await panel.call('POST', 'admins', { username: 'nora', ...ADMIN });
  const token = await panel.token('nora', ADMIN.password);
  await panel.call('POST', 'users', { username: 'of_nora', expire_strategy: 'never', service_ids: [] }, token);
  const view = await open(panel, { token, expected: ['401'] });
  const { page } = view;
  await view.go('/users/of_nora?drawer=edit');
  await page.getByLabel('Note', { exact: true }).fill('not lost');
  await panel.call('PUT', 'admins/nora', { password: 'second_pass' });
  const again = page.getByRole('alertdialog', { name: 'Sign in' });
  await again.getByText('Your session has ended.').waitFor({ timeout: 15_000 });
  await settled(page);
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press('Escape');
  await again.getByLabel('Password').fill('wrong');
  await page.keyboard.press('Enter');
  await again.getByText('Wrong username or password.').waitFor();
  // Also after a reload.
  await page.reload();
  await page.getByText('Your session has ended.').waitFor();
  assert.equal(await page.getByLabel('Username', { exact: true }).inputValue(), 'nora');
  await page.getByLabel('Password').fill('second_pass');
  await page.keyboard.press('Enter');
  await page.getByText('You typed this before').waitFor();
  assert.equal(await page.getByLabel('Note', { exact: true }).inputValue(), 'not lost');

  await panel.call('PUT', 'admins/nora', { password: 'third_pass' });
  await again.getByLabel('Password').fill('third_pass', { timeout: 15_000 });
  await page.keyboard.press('Enter');
  await again.waitFor({ state: 'detached' });
  assert.equal(await page.getByLabel('Note', { exact: true }).inputValue(), 'not lost');
  await page.getByRole('button', { name: 'Save' }).click();
  await until('the note', async () => (await panel.call('GET', 'users/of_nora')).note === 'not lost');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.doesNotMatch(await stored(page), /not lost/);
  await view.close();
});

test('a save that meets the end of its session is sent again by its admin', async () => {
  await panel.call('POST', 'admins', { username: 'vera', ...ADMIN, is_sudo: true });
  const token = await panel.token('vera', ADMIN.password);
  const view = await open(panel, { token, expected: ['401', 'ERR_FAILED'] });
  const { page } = view;
  await page.route('**/api/events', (route) => route.abort());
  await view.go('/admins?drawer=new');
  await page.getByLabel('Username', { exact: true }).fill('made_late');
  await page.getByLabel('Password', { exact: true }).fill('a_long_secret');
  assert.match(await stored(page), /made_late/);
  assert.doesNotMatch(await stored(page), /a_long_secret/, 'a password is in no storage');
  await panel.call('PUT', 'admins/vera', { password: 'second_pass' }, token);
  await page.getByRole('button', { name: 'Create admin' }).click();
  const again = page.getByRole('alertdialog', { name: 'Sign in' });
  await again.getByLabel('Password').fill('second_pass');
  await page.keyboard.press('Enter');
  await again.waitFor({ state: 'detached' });
  await page.getByText('Try again now that you are signed in.').waitFor();
  assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), 'a_long_secret', 'it is still in the form');
  await page.getByRole('button', { name: 'Create admin' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await panel.token('made_late', 'a_long_secret');
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await view.close();
});

test('a password is asked again after a reload; nothing of one admin is shown to the next; signing out asks', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/admins?drawer=new');
  await page.getByLabel('Username', { exact: true }).fill('typed_by_root');
  await page.getByLabel('Password', { exact: true }).fill('a_long_secret');
  await page.reload();
  await page.getByText('Passwords and keys are not remembered').waitFor();
  assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await page.keyboard.press('Escape');

  await view.go('/settings');
  await page.getByLabel('Support link').fill('t.me/typed');
  await page.getByTitle('Preferences').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  const question = page.getByRole('alertdialog', { name: QUESTION });
  await question.getByRole('button', { name: 'Cancel' }).click();
  assert.match(await stored(page), /t\.me\/typed/);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await question.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Username', { exact: true }).fill('root');
  assert.doesNotMatch(await stored(page), /typed/);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByLabel('Support link').waitFor();
  assert.notEqual(await page.getByLabel('Support link').inputValue(), 't.me/typed');
  await view.close();
});

test('an edited configuration and a log go on after the end of the session', async () => {
  await panel.call('POST', 'admins', { username: 'tara', ...ADMIN, is_sudo: true });
  const token = await panel.token('tara', ADMIN.password);
  const view = await open(panel, { token, expected: ['401', 'WebSocket'] });
  const { page } = view;
  const again = page.getByRole('alertdialog', { name: 'Sign in' });
  const endAndGoOn = async (password, current) => {
    await panel.call('PUT', 'admins/tara', { password }, current);
    await again.getByLabel('Password').fill(password, { timeout: 20_000 });
    await page.keyboard.press('Enter');
    await again.waitFor({ state: 'detached' });
  };
  await view.go(`/nodes/${furniture.node.id}/config`);
  const editor = page.locator('.code .cm-content');
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText('{"log": {"loglevel": "info"}}');
  await page.getByText('Edited, not applied').waitFor();
  await endAndGoOn('second_pass', token);
  assert.equal(await editor.innerText(), '{"log": {"loglevel": "info"}}');
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await page.getByText('As it runs').waitFor();
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  await page.getByText('Live', { exact: true }).waitFor();
  await endAndGoOn('third_pass', await panel.token('tara', 'second_pass'));
  await page.getByText('Live', { exact: true }).waitFor();
  await panel.control({ do: 'log', line: 'after the session\n' });
  await page.getByText('after the session').waitFor();
  await view.close();
});

test('an edited configuration outlives its screen, is in no storage, and a reload asks before it loses it', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go(`/nodes/${furniture.node.id}/config`);
  const editor = page.locator('.code .cm-content');
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText('{"secret": "key"}');
  await page.getByText('Edited, not applied').waitFor();
  await page.getByRole('link', { name: 'Home' }).click();
  await page.getByRole('heading', { name: 'Home' }).waitFor();
  assert.doesNotMatch(await stored(page), /secret/, 'keys are in no storage');
  let asked = 0;
  page.on('dialog', (dialog) => { asked += 1; void dialog.dismiss(); });
  await page.goto('about:blank').catch(() => undefined);
  assert.equal(asked, 1);
  await page.goBack();
  await editor.waitFor();
  assert.equal(await editor.innerText(), '{"secret": "key"}');
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await page.getByText('As it runs').waitFor();
  await view.close();
});

test('a lost network or a busy panel in the middle of a save: what was typed stays, and is saved when it works again', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['503', 'ERR_INTERNET_DISCONNECTED', 'ERR_NETWORK_CHANGED', 'ERR_INCOMPLETE_CHUNKED_ENCODING'] });
  const { page, context } = view;
  await view.go('/users/ann?drawer=edit');
  const note = page.getByLabel('Note', { exact: true });
  const save = page.getByRole('button', { name: 'Save', exact: true });
  await note.fill('typed before the network went');
  await context.setOffline(true);
  await save.click();
  await page.getByText('The panel did not answer.').first().waitFor();
  await page.locator('.offline').waitFor();
  assert.equal(await note.inputValue(), 'typed before the network went');
  await context.setOffline(false);
  await page.route('**/api/users/ann', (route) => (route.request().method() === 'PUT' ? route.fulfill({ status: 503, headers: { 'retry-after': '1' }, json: { detail: 'The panel is busy' } }) : route.continue()));
  await save.click();
  await page.getByText('The panel is busy, read-only').first().waitFor();
  assert.equal(await note.inputValue(), 'typed before the network went');
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await save.click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await panel.call('GET', 'users/ann')).note, 'typed before the network went');
  await view.close();
});
