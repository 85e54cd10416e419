// Services, hosts and inbounds: a working host and service from nothing, with the mouse and with the keyboard alone; the preview,
// refusals, order, duplicates, many at once, and lists beyond one page.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, settled, startPanel, until } from './panel.mjs';

const UUID = 'b831381d-6324-4d53-ad4f-8cda48b30811';

let panel;
let furniture;
before(async () => {
  panel = await startPanel();
  furniture = await panel.furnish();
});

async function subscription(username) {
  const user = await panel.call('GET', `users/${username}`);
  const answer = await fetch(`${new URL(new URL(user.subscription_url, panel.root).pathname, panel.root)}/links`);
  assert.equal(answer.status, 200);
  return (await answer.text()).trim().split('\n');
}

const hosts = async () => (await panel.call('GET', 'inbounds/hosts?size=100')).items;
const universal = (remark, more = {}) => panel.call('POST', 'inbounds/hosts', { remark, address: `${remark}.example`, protocol: 'vless', network: 'tcp', uuid: UUID, port: 443, security: 'tls', universal: true, ...more });

test('a service and a universal host from nothing with the mouse; the preview is what the subscription gives', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  await view.go('/services');
  await page.getByRole('button', { name: 'New service' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Gold');
  // All inbounds of the node at once.
  await page.getByRole('group', { name: 'fra-1' }).getByRole('checkbox').first().check();
  await page.getByRole('button', { name: 'Create service' }).click();
  await page.getByRole('button', { name: 'Gold', exact: true }).waitFor();
  const gold = (await panel.call('GET', 'services?name=Gold')).items[0];
  assert.deepEqual([...gold.inbound_ids].sort(), furniture.inbounds.map(({ id }) => id).sort());
  await panel.call('POST', 'users', { username: 'mouse', expire_strategy: 'never', service_ids: [gold.id] });

  await view.go('/hosts');
  await page.getByRole('button', { name: 'New host' }).first().click();
  await page.getByLabel('Protocol', { exact: true }).selectOption('trojan');
  await page.getByLabel('Name', { exact: true }).fill('{USERNAME} far');
  await page.getByLabel('Address', { exact: true }).fill('far.example');
  await page.getByLabel('Port', { exact: true }).fill('8443');
  await page.getByRole('region', { name: 'Preview' }).getByText('it has no credential').first().waitFor();
  await page.getByLabel('Password', { exact: true }).fill('secret');
  await page.getByLabel('Transport', { exact: true }).selectOption('ws');
  await page.getByLabel('TLS', { exact: true }).selectOption('tls');
  await page.getByLabel('SNI', { exact: true }).fill('sni.example');
  await page.getByLabel('Path', { exact: true }).fill('/{USERNAME}');
  assert.equal(await page.getByLabel('UUID').count(), 0, 'Trojan has no UUID');
  assert.equal(await page.getByLabel('Congestion control').count(), 0);
  await page.getByLabel('Username; empty: a sample').fill('mouse');
  await page.getByText('Users of services').click();
  await page.getByRole('dialog').getByLabel('Gold').check();
  const document = page.getByLabel('Document', { exact: true });
  await page.waitForFunction(() => document.querySelector('.preview pre')?.textContent.includes('sni.example') && document.querySelector('.preview pre').textContent.includes('mouse'));
  const shown = (await document.textContent()).trim();
  await page.getByRole('button', { name: 'Create host' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: '{USERNAME} far', exact: true }).waitFor();
  assert.ok((await subscription('mouse')).includes(shown), `${shown}\n${(await subscription('mouse')).join('\n')}`);
  const made = (await hosts()).find((host) => host.remark === '{USERNAME} far');
  assert.deepEqual([made.universal, made.service_ids, made.port, made.path], [false, [gold.id], 8443, '/{USERNAME}']);
  await view.close();
});

test('a service and a host with the keyboard alone', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  const { keyboard } = page;
  const focused = () => page.evaluate(() => document.activeElement?.labels?.[0]?.textContent ?? document.activeElement?.textContent ?? '');
  /** Tab until the named control has the focus. */
  const to = async (name, key = 'Tab') => {
    for (let tries = 0; tries < 80; tries += 1) {
      if ((await focused()).trim() === name) return;
      await keyboard.press(key);
    }
    assert.fail(`no way to ${name}; at ${await focused()}`);
  };
  await view.go('/');
  await settled(page);
  await keyboard.press('g');
  await keyboard.press('s');
  await page.locator('h1', { hasText: 'Services' }).waitFor();
  await settled(page);
  await to('New service');
  await keyboard.press('Enter');
  await page.getByLabel('Name', { exact: true }).waitFor();
  await keyboard.type('Silver');
  await to('vless vless');
  await keyboard.press('Space');
  await keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const silver = (await panel.call('GET', 'services?name=Silver')).items[0];
  assert.equal(silver.inbound_ids.length, 1);

  await keyboard.press('g');
  await keyboard.press('o');
  await page.locator('h1', { hasText: 'Hosts' }).waitFor();
  await settled(page);
  await to('New host');
  await keyboard.press('Enter');
  await page.getByLabel('Name', { exact: true }).waitFor();
  await keyboard.type('keys');
  await to('Address');
  await keyboard.type('keys.example');
  await to('Port');
  await keyboard.type('443');
  await to('UUID');
  await keyboard.type(UUID);
  await keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const made = (await hosts()).find((host) => host.remark === 'keys');
  assert.deepEqual([made.address, made.port, made.uuid, made.universal, made.protocol, made.network], ['keys.example', 443, UUID, true, 'vless', 'tcp']);
  await panel.call('POST', 'users', { username: 'keyed', expire_strategy: 'never', service_ids: [silver.id] });
  assert.ok((await subscription('keyed')).some((link) => link.includes('keys.example')));

  // The order, too: the new host goes to the first place.
  await view.go('/hosts?view=order');
  await settled(page);
  const row = page.locator('.order > li', { hasText: 'keys' });
  await row.focus();
  for (let count = await page.locator('.order > li').count(); count > 1; count -= 1) await keyboard.press('Alt+ArrowUp');
  assert.equal(await row.getAttribute('data-place'), '0');
  assert.ok(await row.evaluate((element) => element === document.activeElement), 'the row keeps the focus');
  await page.getByText('keys: place 1 of').waitFor();
  await to('Save order');
  await keyboard.press('Enter');
  await page.getByText('The new order is not saved').waitFor({ state: 'detached' });
  assert.match((await subscription('keyed'))[0], /keys\.example/);
  await view.close();
  await panel.call('DELETE', `inbounds/hosts/${made.id}`);
});

test('what the panel refuses is said at its field, and what was typed stays', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  await view.go(`/hosts?drawer=new-${furniture.inbounds[0].id}`);
  await page.getByLabel('Name', { exact: true }).fill('refused');
  await page.getByLabel('Address', { exact: true }).fill('refused.example');
  await page.getByLabel('Port', { exact: true }).fill('70000');
  await page.getByRole('button', { name: 'Create host' }).click();
  const problem = async (label) => page.evaluate((id) => document.getElementById(id)?.textContent, await page.getByLabel(label, { exact: true }).getAttribute('aria-describedby'));
  await until('the refusal of the port', async () => (await problem('Port')).includes('must be between 1 and 65535'));
  assert.equal(await page.getByLabel('Port', { exact: true }).getAttribute('aria-invalid'), 'true');
  assert.equal(await page.getByLabel('Address', { exact: true }).inputValue(), 'refused.example');
  assert.ok(!(await hosts()).some((host) => host.remark === 'refused'));
  await page.getByLabel('Port', { exact: true }).fill('443');
  await page.getByRole('button', { name: 'Create host' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await hosts()).find((host) => host.remark === 'refused').inbound_id, furniture.inbounds[0].id);
  await view.close();
});

test('a changed form asks before it closes, by its button, Escape and Back', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  const host = await universal('draft');
  await view.go('/hosts');
  await page.getByRole('button', { name: 'draft', exact: true }).click();
  await page.getByLabel('Address', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'draft', exact: true }).click();
  await page.getByLabel('Address', { exact: true }).fill('other.example');
  const question = page.getByRole('alertdialog');
  for (const leave of [() => page.getByRole('button', { name: 'Cancel' }).click(), () => page.getByLabel('Address', { exact: true }).press('Escape'), () => page.goBack()]) {
    await leave();
    await question.getByText('The form has changes that are not saved.').waitFor();
    await question.getByRole('button', { name: 'Cancel' }).click();
    await question.waitFor({ state: 'detached' });
    assert.equal(await page.getByLabel('Address', { exact: true }).inputValue(), 'other.example');
  }
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await question.getByRole('button', { name: 'Discard changes' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await panel.call('GET', `inbounds/hosts/${host.id}`)).address, 'draft.example');
  await view.close();
  await panel.call('DELETE', `inbounds/hosts/${host.id}`);
});

test('an edit keeps what others changed and what the form does not show; a duplicate is a host of its own', async () => {
  const host = await universal('origin', { core_settings: { ech_config_list: 'https://1.1.1.1/dns-query' }, reality_public_key: 'stored', fragment: { packets: 'tlshello', length: '1-3', interval: '5' } });
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  await view.go('/hosts');
  await page.getByRole('button', { name: 'origin', exact: true }).click();
  await page.getByLabel('Address', { exact: true }).fill('changed.example');
  // Somebody else changes the port while the form is open.
  await panel.call('PUT', `inbounds/hosts/${host.id}`, { ...host, port: 2053 });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const { id: _, ...saved } = await panel.call('GET', `inbounds/hosts/${host.id}`);
  const { id: __, ...before } = host;
  assert.deepEqual(saved, { ...before, address: 'changed.example', port: 2053 });
  await page.getByRole('button', { name: 'Actions for origin' }).click();
  await page.getByRole('menuitem', { name: 'Duplicate' }).click();
  await page.getByLabel('Name', { exact: true }).fill('copy');
  await page.getByRole('button', { name: 'Create host' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const copy = (await hosts()).find((one) => one.remark === 'copy');
  assert.notEqual(copy.id, host.id);
  assert.deepEqual([copy.address, copy.port, copy.core_settings, copy.fragment], ['changed.example', 2053, saved.core_settings, saved.fragment]);
  await view.close();
  for (const { id } of [host, copy]) await panel.call('DELETE', `inbounds/hosts/${id}`);
});

test('hosts are dragged, disabled and deleted in numbers, and a chain is named before a host of it goes', async () => {
  const [one, two, three] = [await universal('drag-1'), await universal('drag-2'), await universal('drag-3')];
  await panel.call('PUT', `inbounds/hosts/${three.id}`, { ...three, chain_ids: [one.id] });
  await panel.call('POST', 'users', { username: 'dragged', expire_strategy: 'never', service_ids: [] });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/hosts?view=order');
  await settled(page);
  await page.locator('.order > li', { hasText: 'drag-2' }).dragTo(page.locator('.order > li').first(), { targetPosition: { x: 200, y: 4 } });
  await page.getByRole('button', { name: 'Save order' }).click();
  await page.getByText('The new order is not saved').waitFor({ state: 'detached' });
  assert.match((await subscription('dragged'))[0], /drag-2\.example/);
  await view.go('/hosts');
  for (const name of ['drag-1', 'drag-2']) await page.getByLabel(`Select ${name}`).check();
  await page.getByRole('region', { name: 'Selected hosts' }).getByRole('button', { name: 'Disable' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Disable 2 hosts' }).click();
  await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  const state = async (id) => (await panel.call('GET', `inbounds/hosts/${id}`)).is_disabled;
  assert.deepEqual([await state(one.id), await state(two.id), await state(three.id)], [true, true, false]);
  for (const name of ['drag-1', 'drag-2']) await page.getByLabel(`Select ${name}`).check();
  await page.getByRole('region', { name: 'Selected hosts' }).getByRole('button', { name: 'Delete' }).click();
  await page.getByText('1 host has it in its chain').waitFor();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete 2 hosts' }).click();
  await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  const left = (await hosts()).map((host) => host.remark);
  assert.ok(!left.includes('drag-1') && !left.includes('drag-2') && left.includes('drag-3'), left.join());
  await view.close();
  await panel.call('DELETE', `inbounds/hosts/${three.id}`);
});

test('lists and choices go on beyond one hundred entries', async () => {
  for (let index = 0; index < 120; index += 1) await panel.call('POST', 'services', { name: `many ${String(index).padStart(3, '0')}`, inbound_ids: [] });
  const last = (await panel.call('GET', 'services?name=many%20119')).items[0];
  await panel.call('POST', 'users', { username: 'beyond', expire_strategy: 'never', service_ids: [last.id] });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/services');
  await page.getByText('Page 1 of 3').waitFor();
  await page.getByLabel('Search by name').fill('many 119');
  await page.getByRole('button', { name: 'many 119', exact: true }).waitFor();
  await page.getByRole('button', { name: 'many 000', exact: true }).waitFor({ state: 'detached' });
  assert.match(page.url(), /q=many/);
  await page.getByRole('link', { name: '1 user of many 119' }).click();
  await page.getByRole('link', { name: 'beyond', exact: true }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 1, 'only the users of the service');
  await page.getByRole('button', { name: 'Remove filter Services: many 119' }).click();
  await view.go('/users/beyond?drawer=edit');
  await page.getByLabel('Search: Services').fill('118');
  await page.getByLabel('many 118').check();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await panel.call('GET', 'users/beyond')).service_ids.length, 2);
  await view.close();
});

test('a host beyond those that are loaded at once is found by its name and by its inbound', async () => {
  const { items: [inbound] } = await panel.call('GET', 'inbounds');
  const host = await panel.call('POST', `inbounds/${inbound.id}/hosts`, { remark: 'the 2,400th', address: 'far.example' });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  // As with 2,500 hosts of which it is not among the first.
  await page.route(/\/api\/inbounds\/hosts\?/, async (route) => {
    if (new URL(route.request().url()).searchParams.get('search')) return route.continue();
    const response = await route.fetch();
    const list = await response.json();
    await route.fulfill({ response, json: { ...list, items: list.items.filter(({ id }) => id !== host.id), total: 2_500, pages: 1 } });
  });
  await view.go('/hosts');
  await page.getByText('search finds them by name or address').waitFor();
  const link = page.getByRole('button', { name: 'the 2,400th', exact: true });
  assert.equal(await link.count(), 0);
  await page.getByRole('searchbox').fill('2,400TH');
  await link.waitFor();
  await view.go(`/hosts?inbound=${inbound.id}`);
  await link.waitFor();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await view.close();
  await panel.call('DELETE', `inbounds/hosts/${host.id}`);
});

test('a reseller without the right to change users sees no buttons for it', async () => {
  await panel.call('POST', 'admins', { username: 'lena', password: 'lenapass', is_sudo: false, enabled: true, modify_users_access: false, all_services_access: true, service_ids: [], subscription_url_prefix: '' });
  const token = await panel.token('lena', 'lenapass');
  await panel.call('POST', 'users', { username: 'of_lena', expire_strategy: 'never', service_ids: [] }, token);
  const view = await open(panel, { token });
  const { page } = view;
  await view.go('/users');
  await page.getByRole('link', { name: 'of_lena' }).waitFor();
  await settled(page);
  assert.equal(await page.getByRole('button', { name: 'New user' }).count(), 1);
  assert.equal(await page.getByRole('button', { name: 'Actions for of_lena' }).count() + await page.getByLabel('Select of_lena').count(), 0);
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  assert.equal(await page.getByRole('region', { name: 'Selected users' }).count(), 0);
  await view.go('/users/of_lena');
  await settled(page);
  assert.equal(await page.getByRole('button', { name: 'Edit' }).count(), 0);
  await page.getByRole('button', { name: 'Actions' }).click();
  assert.deepEqual(await page.getByRole('menuitem').allTextContents(), ['Print']);
  await view.close();
});
