// Everything with the keyboard alone, from the setup link to a working user; the palette; keys and screens by right.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, PASSWORD, settled, startPanel, until, violations } from './panel.mjs';

let panel;
let setup;
before(async () => {
  panel = await startPanel({}, { admin: false });
  setup = await until('the link', async () => /#\/setup\/(\w+)/.exec(panel.process.output())?.[1]);
});

/** Presses Tab until the element is focused. */
async function tabTo(page, locator) {
  for (let count = 0; count < 80; count += 1) {
    if (await locator.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`no way by Tab to ${locator}`);
}

async function go(page, letter, heading) {
  await page.keyboard.press('g');
  await page.keyboard.press(letter);
  await page.locator('h1', { hasText: heading }).waitFor();
  await settled(page);
}

test('from the setup link to a working user, with the keyboard alone', async () => {
  const view = await open(panel);
  const { page } = view;
  const type = async (...words) => {
    for (const [index, word] of words.entries()) {
      if (index > 0) await page.keyboard.press('Tab');
      await page.keyboard.type(word);
    }
  };
  await page.goto(`${panel.url}#/setup/${setup}`);
  await page.getByRole('heading', { name: 'Make the first admin' }).waitFor();
  await type('root', PASSWORD, PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Home' }).waitFor();
  for (const { id } of (await panel.call('GET', 'nodes')).items) await panel.call('DELETE', `nodes/${id}`);

  await go(page, 'n', 'Nodes');
  await tabTo(page, page.getByRole('button', { name: 'Add node' }).first());
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await type('fra-1', '127.0.0.1');
  await tabTo(page, page.getByLabel('Port'));
  await page.keyboard.press('Control+a');
  await page.keyboard.type(String(panel.nodePort));
  await tabTo(page, page.getByLabel('Connection'));
  await page.keyboard.press('ArrowDown');
  await tabTo(page, page.getByRole('dialog').getByRole('button', { name: 'Add node' }));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const inbounds = await until('inbounds', async () => {
    const { items } = await panel.call('GET', 'inbounds');
    return items.length > 0 ? items : undefined;
  });

  await go(page, 's', 'Services');
  await tabTo(page, page.getByRole('button', { name: 'New service' }).first());
  await page.keyboard.press('Enter');
  await page.getByLabel('Name', { exact: true }).waitFor();
  await page.keyboard.type('Basic');
  await tabTo(page, page.getByRole('checkbox', { name: 'fra-1', exact: true }));
  await page.keyboard.press('Space');
  await tabTo(page, page.getByRole('button', { name: 'Create service' }));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await panel.call('GET', 'services')).items[0].inbound_ids.length, inbounds.length);

  await go(page, 'u', 'Users');
  await page.keyboard.press('n');
  await page.getByLabel('Username', { exact: true }).waitFor();
  await page.keyboard.type('first');
  await tabTo(page, page.getByLabel('Basic'));
  await page.keyboard.press('Space');
  await tabTo(page, page.getByRole('button', { name: 'Create user' }));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'first', exact: true }).waitFor();
  const link = await page.locator('.copyline code').innerText();
  const answer = await fetch(link);
  assert.equal(answer.status, 200);
  assert.ok((await answer.text()).length > 0);
  await view.close();
});

test('sign-in with the keyboard alone', async () => {
  const view = await open(panel);
  const { page } = view;
  await view.go('/users');
  await page.keyboard.type('root');
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('h1', { hasText: 'Users' }).waitFor();
  await view.close();
});

test('the editor takes Tab, and Escape then Tab leaves it, as it says; ? lists the keys of each screen', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const node = (await panel.call('GET', 'nodes')).items[0];
  const keys = async () => {
    await page.keyboard.press('?');
    const list = page.getByRole('dialog', { name: 'Keyboard' });
    await list.waitFor();
    const rows = await list.locator('dd').allInnerTexts();
    await page.keyboard.press('Escape');
    await list.waitFor({ state: 'detached' });
    return rows;
  };
  await view.go('/users');
  await settled(page);
  assert.ok((await keys()).includes('Select the row'));
  await view.go('/');
  const atHome = await keys();
  assert.ok(!atHome.includes('Select the row') && atHome.includes('Settings'), atHome.join());

  await view.go(`/nodes/${node.id}/config`);
  const editor = page.locator('.code .cm-content');
  await editor.waitFor();
  await page.getByText('Esc, then Tab leaves the editor').waitFor();
  assert.ok((await keys()).includes('Leave the editor'));
  await editor.focus();
  const before = await editor.innerText();
  await page.keyboard.press('Tab');
  await until('an indented line', async () => (await editor.innerText()) !== before);
  const isInside = () => page.evaluate(() => document.activeElement?.classList.contains('code'));
  assert.equal(await isInside(), true);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Tab');
  assert.equal(await isInside(), false);
  await editor.focus();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Shift+Tab');
  assert.equal(await isInside(), false);
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await view.close();
});

test('the palette finds pages, users, nodes, services and admins, and does what can be done to them', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/');
  await settled(page);
  const box = page.getByRole('combobox', { name: 'Search and go' });
  const run = async (words, option) => {
    await page.keyboard.press('Control+k');
    await box.waitFor();
    await page.keyboard.type(words);
    const found = page.getByRole('option', { name: option });
    await found.waitFor();
    for (let count = 0; count < 40 && (await found.getAttribute('aria-selected')) !== 'true'; count += 1) await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await box.waitFor({ state: 'detached' });
  };
  /** Answers the question of an act. */
  const yes = async (button) => {
    const question = page.getByRole('alertdialog');
    await tabTo(page, question.getByRole('button', { name: button }));
    await page.keyboard.press('Enter');
    await question.waitFor({ state: 'detached' });
  };
  await run('disable first', 'Disable first');
  await yes('Disable first');
  assert.equal((await panel.call('GET', 'users/first')).enabled, false);
  await run('first', 'Enable first');
  await yes('Enable first');
  assert.equal((await panel.call('GET', 'users/first')).enabled, true);
  await run('reset first', 'Reset usage of first');
  await yes('Reset usage of first');
  await run('fra', 'Send all users to fra-1 again');
  await yes('Send all users again');
  const { name } = (await panel.call('GET', 'cluster')).tasks.find((task) => task.enabled);
  await run(name, `Run ${name} now`);
  await yes(`Run ${name} now`);
  await run('basic', /^Basic/);
  await page.getByRole('dialog', { name: 'Edit Basic' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await run('root', /^root/);
  await page.getByRole('dialog', { name: 'Edit root' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await run('dark', /^Dark/);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await run('new us', 'New user');
  await page.getByLabel('Username', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Control+k');
  await page.keyboard.type('f');
  await page.locator('.palette [role=option]').first().waitFor();
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press('Escape');
  await run('русский', /^Русский/);
  await page.locator('html[lang="ru"]').waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('выйти');
  await page.getByRole('option', { name: 'Выйти' }).waitFor();
  await page.keyboard.press('Enter');
  await page.locator('.signin form').waitFor();
  await view.close();
});

test('an admin without rights is offered only its own screens; addresses of others say so, with the way back', async () => {
  await panel.call('POST', 'admins', { username: 'mina', password: 'minapass', is_sudo: false, enabled: true, modify_users_access: false, all_services_access: true, service_ids: [], subscription_url_prefix: '' });
  const view = await open(panel, { token: await panel.token('mina', 'minapass') });
  const { page } = view;
  const files = [];
  page.on('request', (request) => files.push(request.url()));
  await view.go('/');
  await settled(page);
  for (const letter of ['s', 'o', 'i', 'n', 'c', 'm', 'a', 'l', 't']) {
    await page.keyboard.press('g');
    await page.keyboard.press(letter);
  }
  await page.waitForTimeout(200);
  assert.match(page.url(), /#\/$/, 'no key leads elsewhere');
  await page.keyboard.press('?');
  const list = page.getByRole('dialog', { name: 'Keyboard' });
  assert.equal(await list.getByText('Settings').count(), 0);
  await page.keyboard.press('Escape');
  await list.waitFor({ state: 'detached' });
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Search and go' }).waitFor();
  assert.deepEqual(await page.getByRole('option').allInnerTexts(), ['Home', 'Users', 'Your account', 'New user']);
  await page.keyboard.type('set');
  await page.getByText('Nothing found').waitFor();
  await page.keyboard.press('Escape');
  const closed = ['/nodes', '/nodes/1/status', '/nodes/1/log', '/nodes/1/config', '/services', '/services?drawer=new', '/hosts', '/hosts?view=order', '/inbounds', '/admins', '/admins?drawer=root', '/roles', '/roles?drawer=new', '/cluster', '/notifications', '/audit', '/settings', '/settings/telegram'];
  for (const path of closed) {
    await view.go(path);
    await page.getByRole('heading', { name: 'You may not open' }).waitFor();
    assert.equal(await page.getByRole('dialog').count(), 0, path);
  }
  assert.deepEqual(await violations(page), []);
  await page.getByRole('main').getByRole('link', { name: 'Home' }).click();
  await page.getByRole('heading', { name: 'Home' }).waitFor();
  assert.deepEqual(files.filter((url) => /more\.js|api\/(nodes|services|inbounds|cluster|notifications|system\/settings)/.test(url)), [], 'nothing of them is asked for');
  await view.close();
});
