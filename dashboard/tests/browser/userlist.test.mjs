// The list of users: filters and sorts, saved views, changes of many, the keyboard alone, sheets of QR codes.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, settled, startPanel, until, violations } from './panel.mjs';
import { decode } from './qr.mjs';

let panel;
let furniture;
before(async () => {
  panel = await startPanel();
  furniture = await panel.furnish();
});

const GB = 1024 ** 3;

async function named(name, more = {}) {
  return panel.call('POST', 'users', { username: name, expire_strategy: 'never', service_ids: [furniture.service.id], ...more });
}

const one = (name) => panel.call('GET', `users/${name}`);

/** Opens a menu of the page and chooses an entry. */
async function choose(place, menu, entry) {
  await place.getByRole('button', { name: menu, exact: true }).click();
  await place.page().getByRole('menuitem', { name: entry, exact: true }).click();
}

/** Answers the question about a change, by its button, and waits for its end. */
async function answer(page, button) {
  const dialog = page.locator('.dialog');
  await dialog.getByRole('button', { name: button, exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
}

test('all who match are changed, more than one request takes, and nobody else', async () => {
  const names = Array.from({ length: 530 }, (_, index) => `crowd_${String(index).padStart(4, '0')}`);
  const rest = [...names];
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) await named(name, { data_limit: GB, service_ids: [] });
  }));
  await panel.call('POST', 'users/crowd_0007/disable');
  await named('other', { data_limit: GB });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users?q=crowd_&size=25&sort=username');
  await page.getByRole('link', { name: 'crowd_0000' }).waitFor();
  const bar = page.getByRole('region', { name: 'Selected users' });
  await page.getByLabel('Select all on this page').check();
  await bar.getByText('25 selected').waitFor();
  await bar.getByRole('button', { name: 'Select all 530 that match' }).click();
  await bar.getByText('All 530 users that match are selected').waitFor();
  await bar.getByRole('button', { name: 'Add data' }).click();
  await page.getByText('Users without a limit stay without one.').waitFor();
  await page.getByLabel('Data to add').fill('2.5');
  await answer(page, 'Add data to 530 users');
  await page.getByText('530 users changed').waitFor();
  assert.equal(await bar.count(), 0, 'the selection has ended');
  for (const name of ['crowd_0000', 'crowd_0499', 'crowd_0529']) assert.equal((await one(name)).data_limit, 3.5 * GB, name);
  assert.equal((await one('other')).data_limit, GB);
  // The same with one who needs no change.
  await page.getByLabel('Select all on this page').check();
  await bar.getByRole('button', { name: 'Select all 530 that match' }).click();
  await choose(bar, 'Actions', 'Disable');
  await answer(page, 'Disable 530 users');
  await page.getByText('529 users changed; 1 had nothing to change').waitFor();
  assert.equal((await panel.call('GET', 'users?enabled=false')).total, 530);
  await page.getByLabel('Select all on this page').check();
  await bar.getByRole('button', { name: 'Select all 530 that match' }).click();
  await choose(bar, 'Actions', 'Delete');
  await page.getByText('This can’t be undone.').waitFor();
  assert.equal(await page.locator('.dialog [role=alertdialog], .dialog[role=alertdialog]').count(), 1);
  await answer(page, 'Delete 530 users');
  await page.getByText('No user matches').waitFor();
  assert.equal((await panel.call('GET', 'users?username=crowd_')).total, 0);
  assert.equal((await one('other')).username, 'other');
  await view.close();
});

test('chosen users of two pages, and each change of many', async () => {
  for (let index = 0; index < 27; index += 1) await named(`page_${String(index).padStart(2, '0')}`, { data_limit: GB });
  const second = await panel.call('POST', 'services', { name: 'Second', inbound_ids: [] });
  await panel.call('POST', 'admins', { username: 'olga', password: 'olgapass', is_sudo: false, enabled: true, modify_users_access: true, all_services_access: true, service_ids: [], subscription_url_prefix: '' });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const bar = page.getByRole('region', { name: 'Selected users' });
  const chosen = ['page_00', 'page_26'];
  const select = async () => {
    await view.go('/users?q=page_&size=25&sort=username');
    await page.getByLabel('Select page_00').check();
    await page.getByRole('button', { name: 'Next page' }).click();
    await page.getByLabel('Select page_26').check();
    await bar.getByText('2 selected').waitFor();
  };
  const changed = async (what) => {
    const users = await Promise.all(chosen.map(one));
    assert.ok(users.every(what), JSON.stringify(users));
    assert.ok(!what(await one('page_13')), 'not chosen');
  };
  await panel.call('PUT', 'users/page_00', { username: 'page_00', expire_strategy: 'fixed_date', expire_date: '2020-01-01T00:00:00Z' });
  await panel.call('PUT', 'users/page_26', { username: 'page_26', expire_strategy: 'start_on_first_use', usage_duration: 86_400, service_ids: [] });
  await select();
  await bar.getByRole('button', { name: 'Extend' }).click();
  await page.getByLabel('Days to add').fill('nonsense');
  assert.ok(await page.getByRole('button', { name: 'Extend 2 users' }).isDisabled());
  await page.getByLabel('Days to add').fill('۱۰');
  await answer(page, 'Extend 2 users');
  assert.equal((await one('page_26')).usage_duration, 11 * 86_400);
  const ends = new Date(`${(await one('page_00')).expire_date}Z`).getTime();
  assert.ok(Math.abs(ends - Date.now() - 10 * 86_400_000) < 60_000, 'from now, as the date had passed');
  await select();
  await choose(bar, 'Actions', 'Disable');
  await answer(page, 'Disable 2 users');
  await changed((user) => !user.enabled);
  await select();
  await choose(bar, 'Actions', 'Enable');
  await answer(page, 'Enable 2 users');
  assert.ok((await Promise.all(chosen.map(one))).every((user) => user.enabled));
  await select();
  await choose(bar, 'Actions', 'Add a service');
  await page.getByLabel('Service', { exact: true }).selectOption('Second');
  await answer(page, 'Add a service to 2 users');
  await changed((user) => user.service_ids.includes(second.id));
  await select();
  await choose(bar, 'Actions', 'Remove a service');
  await page.getByLabel('Service', { exact: true }).selectOption('Basic');
  await answer(page, 'Remove a service from 2 users');
  await changed((user) => !user.service_ids.includes(furniture.service.id));
  await select();
  await choose(bar, 'Actions', 'Change owner');
  await page.getByRole('combobox', { name: 'Owner' }).selectOption('olga');
  await answer(page, 'Change owner of 2 users');
  await changed((user) => user.owner_username === 'olga');
  const keys = new Set((await Promise.all(chosen.map(one))).map((user) => user.key));
  await select();
  await choose(bar, 'Actions', 'Revoke link');
  await answer(page, 'Revoke links of 2 users');
  await changed((user) => !keys.has(user.key) && user.sub_revoked_at !== null);
  await select();
  await choose(bar, 'Actions', 'Reset usage');
  await answer(page, 'Reset usage of 2 users');
  await changed((user) => user.traffic_reset_at !== null);
  await view.close();
});

test('expired users are deleted by age, and the usage of all is reset, with the number in the question', async () => {
  const ago = (days) => new Date(Date.now() - days * 86_400_000).toISOString();
  for (const [name, days] of [['ended_long', 40], ['ended_late', 2], ['ended_also', 50]]) await named(name, { expire_strategy: 'fixed_date', expire_date: ago(days) });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users');
  await settled(page);
  await choose(page.locator('main .head'), 'For all users', 'Delete expired users');
  await page.locator('.dialog').getByRole('button', { name: 'Delete 3 users' }).waitFor();
  await page.getByLabel('Expired for at least so many days').fill('30');
  await answer(page, 'Delete 2 users');
  await page.getByText('2 users changed').waitFor();
  assert.equal((await panel.call('GET', 'users?username=ended_')).items[0].username, 'ended_late');
  const { total } = await panel.call('GET', 'users');
  await choose(page.locator('main .head'), 'For all users', 'Reset usage of all users');
  await answer(page, `Reset usage of ${total.toLocaleString('en')} users`);
  const { items } = await panel.call('GET', 'users?size=100');
  assert.ok(items.every((user) => user.traffic_reset_at !== null));
  await view.close();
});

test('a change that breaks off goes on with what is left', async () => {
  for (let index = 0; index < 3; index += 1) await named(`break_${index}`, { data_limit: GB });
  const view = await open(panel, { token: await panel.token(), expected: ['503'] });
  const { page } = view;
  await view.go('/users?q=break_');
  await page.getByLabel('Select all on this page').check();
  let refused = 0;
  await page.route('**/api/users/bulk', (route) => (refused++ === 0 ? route.fulfill({ status: 503, body: '{"detail":"busy"}' }) : route.continue()));
  await page.getByRole('button', { name: 'Add data' }).click();
  await page.locator('.dialog').getByRole('button', { name: 'Add data to 3 users' }).click();
  await page.locator('.dialog [role=alert]').waitFor();
  await answer(page, 'Add data to 3 users');
  assert.equal((await one('break_2')).data_limit, 11 * GB);
  await view.close();
});

test('a change whose answer was lost is not made twice', async () => {
  for (let index = 0; index < 2; index += 1) await named(`lost_${index}`, { data_limit: GB });
  const view = await open(panel, { token: await panel.token(), expected: ['ERR_FAILED', 'net::'] });
  const { page } = view;
  await view.go('/users?q=lost_');
  await page.getByLabel('Select all on this page').check();
  let lost = 0;
  await page.route('**/api/users/bulk', async (route) => {
    if (lost++ > 0) return route.continue();
    assert.equal((await route.fetch()).status(), 200);
    return route.abort();
  });
  await page.getByRole('button', { name: 'Add data' }).click();
  await page.locator('.dialog').getByRole('button', { name: 'Add data to 2 users' }).click();
  await page.locator('.dialog [role=alert]').waitFor();
  assert.equal((await one('lost_0')).data_limit, 11 * GB, 'it was made');
  await answer(page, 'Add data to 2 users');
  await page.getByText('2 users changed').waitFor();
  assert.deepEqual([(await one('lost_0')).data_limit, (await one('lost_1')).data_limit], [11 * GB, 11 * GB]);
  await view.close();
});

test('every filter and sort of the API, in the URL; Back takes them off', async () => {
  // Without a service, so that no node makes traffic for it, which would start it.
  await named('f_hold', { expire_strategy: 'start_on_first_use', usage_duration: 86_400, data_limit: 2 * GB, service_ids: [] });
  await named('f_soon', { expire_strategy: 'fixed_date', expire_date: new Date(Date.now() + 2 * 86_400_000).toISOString(), data_limit: GB });
  await named('f_none', { service_ids: [] });
  await named('f_off');
  await panel.call('POST', 'users/f_off/disable');
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const shown = async () => {
    await settled(page);
    return page.locator('tbody td.first').allInnerTexts();
  };
  await view.go('/users?q=f_');
  await page.getByRole('link', { name: 'f_hold' }).waitFor();
  await page.getByRole('button', { name: 'Filter and sort' }).click();
  const filter = async (label, value, expected, path) => {
    await page.getByLabel(label, { exact: true }).selectOption(value);
    await until(`${label} ${value}`, async () => path.test(page.url()));
    await until(`${label}: ${expected}`, async () => JSON.stringify((await shown()).sort()) === JSON.stringify([...expected].sort()));
    await page.goBack();
    await until('Back', async () => (await shown()).length === 4);
  };
  await filter('State', 'on_hold', ['f_hold'], /state=on_hold/);
  await filter('State', 'inactive', ['f_off'], /state=inactive/);
  await filter('Services', 'Basic', ['f_off', 'f_soon'], /service=\d/);
  await filter('Ends', '3', ['f_soon'], /ends=3/);
  await filter('On nodes', 'false', ['f_off'], /on_nodes=false/);
  await filter('Owner', 'root', ['f_hold', 'f_none', 'f_off', 'f_soon'], /owner=root/);
  await page.getByLabel('Sort by').selectOption('data_limit');
  // Users without a limit are first or last, as the engine sorts.
  const limited = async () => (await shown()).filter((name) => ['f_soon', 'f_hold'].includes(name)).join();
  await until('by data limit', async () => (await limited()) === 'f_soon,f_hold');
  await page.getByRole('button', { name: 'Ascending' }).click();
  await until('the other way', async () => (await limited()) === 'f_hold,f_soon');
  assert.match(page.url(), /sort=data_limit/);
  await view.close();
});

test('a view is saved with filters, sort and columns, for its admin, and is a link', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users?q=f_&state=on_hold&sort=data_limit&desc=true');
  await settled(page);
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('menuitem', { name: 'Data limit' }).click();
  await page.getByRole('columnheader', { name: 'Data limit' }).waitFor();
  await page.getByRole('button', { name: 'Save this view' }).click();
  await page.getByLabel('Name of the view').fill('  منتظر <b> ');
  await page.keyboard.press('Enter');
  const link = page.getByRole('link', { name: 'منتظر <b>' });
  await link.waitFor();
  const address = new URL(page.url()).hash;
  // Another browser of the same admin has it, too.
  const elsewhere = await open(panel, { token: await panel.token() });
  await elsewhere.page.addInitScript(() => localStorage.setItem('sarban.users.views.root', JSON.stringify([{ name: 'of a browser', search: { state: 'expired' } }])));
  await elsewhere.go('/users');
  await elsewhere.page.getByRole('link', { name: 'منتظر <b>' }).waitFor();
  // What an earlier version stored in a browser is given to the panel.
  await elsewhere.page.reload();
  await elsewhere.page.getByRole('link', { name: 'of a browser' }).waitFor();
  await elsewhere.page.getByRole('button', { name: 'Remove view of a browser' }).click();
  await elsewhere.page.getByRole('link', { name: 'of a browser' }).waitFor({ state: 'detached' });
  await elsewhere.close();
  await view.go('/users');
  await page.reload();
  await link.click();
  await page.getByRole('columnheader', { name: 'Data limit' }).waitFor();
  await until('the same list', async () => (await page.locator('tbody td.first').allInnerTexts()).join() === 'f_hold');
  assert.deepEqual(new URLSearchParams(new URL(page.url()).hash.split('?')[1]).toString(), new URLSearchParams(address.split('?')[1]).toString());
  assert.equal(await page.getByRole('button', { name: 'Save this view' }).count(), 0, 'it is saved already');
  assert.deepEqual(await violations(page), []);
  await page.goBack();
  assert.doesNotMatch(page.url(), /state=/);
  const other = await open(panel, { token: await panel.token('olga', 'olgapass') });
  await other.go('/users');
  await settled(other.page);
  assert.equal(await other.page.getByRole('link', { name: 'منتظر <b>' }).count(), 0);
  await other.close();
  await page.getByRole('button', { name: /^Remove view/ }).click();
  await link.waitFor({ state: 'detached' });
  await page.reload();
  await settled(page);
  assert.equal(await link.count(), 0);
  await view.close();
});

test('the list with the keyboard alone, and the same keys in other tables', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const { keyboard } = page;
  await view.go('/');
  await keyboard.press('g');
  await keyboard.press('u');
  await page.getByLabel('Search by username').waitFor();
  await settled(page);
  await keyboard.press('/');
  await keyboard.type('break_');
  await until('found', async () => (await page.locator('tbody td.first').allInnerTexts()).join() === 'break_0,break_1,break_2');
  const focused = () => page.evaluate(() => document.activeElement?.querySelector('td.first')?.textContent);
  await keyboard.press('ArrowDown');
  assert.equal(await focused(), 'break_0');
  await keyboard.press('Space');
  await keyboard.press('ArrowDown');
  await keyboard.press('j');
  assert.equal(await focused(), 'break_2');
  await keyboard.press('Space');
  const bar = page.getByRole('region', { name: 'Selected users' });
  await bar.getByText('2 selected').waitFor();
  await keyboard.press('Escape');
  await bar.waitFor({ state: 'detached' });
  await keyboard.press('ArrowDown');
  await keyboard.press('End');
  await keyboard.press('ArrowUp');
  assert.equal(await focused(), 'break_1');
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'break_1' }).waitFor();
  await page.goBack();
  await page.getByRole('link', { name: 'break_0' }).waitFor();
  await keyboard.press('g');
  await keyboard.press('s');
  await page.getByRole('button', { name: 'Basic', exact: true }).waitFor();
  await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await keyboard.press('g');
  await keyboard.press('n');
  await page.getByRole('link', { name: 'fra-1' }).waitFor();
  await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'fra-1' }).waitFor();
  await view.close();
});

test('a sheet on paper has names, codes that are the links, and nothing else', async () => {
  const view = await open(panel, { token: await panel.token(), theme: 'dark' });
  const { page } = view;
  await view.go('/users?q=break_');
  await page.getByLabel('Select break_0').check();
  await page.getByLabel('Select break_2').check();
  await choose(page.getByRole('region', { name: 'Selected users' }), 'Actions', 'Print QR codes');
  const read = async (expected) => {
    await until('the sheet', async () => (await page.locator('.sheet li').count()) === expected.length);
    for (const [index, name] of expected.entries()) {
      const item = page.locator('.sheet li').nth(index);
      const link = new URL((await one(name)).subscription_url, panel.root).href;
      assert.deepEqual([await item.locator('strong').innerText(), await item.locator('code').innerText()], [name, link]);
      assert.equal(decode(await item.locator('svg.qr path').getAttribute('d'), await item.locator('svg.qr').getAttribute('viewBox')), link);
    }
  };
  await read(['break_0', 'break_2']);
  assert.deepEqual(await violations(page), []);
  await page.emulateMedia({ media: 'print' });
  const words = (await page.locator('body').innerText()).split(/\s+/).filter((word) => word !== '');
  const links = await page.locator('.sheet code').allInnerTexts();
  assert.deepEqual(words, ['break_0', links[0], 'break_2', links[1]]);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(255, 255, 255)');
  const paper = await page.locator('.sheet').evaluate((sheet) => [getComputedStyle(sheet).backgroundColor, getComputedStyle(sheet).color, getComputedStyle(sheet.querySelector('svg')).inlineSize]);
  assert.deepEqual(paper.slice(0, 2), ['rgb(255, 255, 255)', 'rgb(0, 0, 0)'], 'black on white in the dark theme, too');
  assert.ok(Number.parseFloat(paper[2]) >= 100, `${paper[2]}: at least 26 mm`);
  assert.ok((await page.pdf({ format: 'A4' })).length > 1_000);
  await page.emulateMedia({ media: null });
  // All who match, and one alone from its page.
  await view.go('/sheet?q=break_');
  await read(['break_0', 'break_1', 'break_2']);
  await view.go('/users/break_1');
  await choose(page.locator('main .head'), 'Actions', 'Print');
  await read(['break_1']);
  await view.close();
});

test('services that others changed meanwhile stay', async () => {
  const { items: services } = await panel.call('GET', 'services');
  const second = services.find((service) => service.name === 'Second');
  const third = await panel.call('POST', 'services', { name: 'Third', inbound_ids: [] });
  await named('both');
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/users/both');
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Third').check();
  await panel.call('PUT', 'users/both', { username: 'both', service_ids: [second.id] });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.deepEqual((await one('both')).service_ids, [second.id, third.id].sort((a, b) => a - b));
  await view.close();
});

test('views of a browser for which the panel has no room stay in it until there is some', async () => {
  await panel.call('PUT', 'views', { views: Array.from({ length: 28 }, (_, index) => ({ name: `stored ${index}`, search: JSON.stringify({ q: `s${index}` }) })) });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await page.addInitScript(() => {
    if (sessionStorage.getItem('test.views') !== null) return;
    sessionStorage.setItem('test.views', '1');
    localStorage.setItem('sarban.users.views.root', JSON.stringify([1, 2, 3, 4].map((number) => ({ name: `own ${number}`, search: { q: `o${number}` } }))));
  });
  const here = () => page.evaluate(() => JSON.parse(localStorage.getItem('sarban.users.views.root') ?? '[]').map(({ name, search }) => `${name} ${search.q}`));
  await view.go('/users');
  await page.getByRole('link', { name: 'own 2' }).waitFor();
  await until('two are given', async () => (await here()).join() === 'own 3 o3,own 4 o4');
  await page.getByRole('button', { name: 'Remove view stored 0', exact: true }).click();
  await page.getByRole('link', { name: 'own 3' }).waitFor();
  await until('one is left', async () => (await here()).join() === 'own 4 o4');
  await page.getByRole('button', { name: 'Remove view stored 1', exact: true }).click();
  await page.getByRole('link', { name: 'own 4' }).waitFor();
  await until('none is left', async () => (await here()).length === 0);
  assert.equal((await panel.call('GET', 'views')).views.length, 30);
  await panel.call('PUT', 'views', { views: [] });
  await view.close();
});

test('on a phone and from right to left nothing is wider than the screen', async () => {
  for (const language of ['en', 'fa', 'ar']) {
    const view = await open(panel, { token: await panel.token(), language, width: 360, height: 740 });
    const { page } = view;
    await page.addInitScript(() => localStorage.setItem('sarban.users.views.root', JSON.stringify([{ name: 'A view with a long name that goes on', search: { state: 'expired' } }])));
    await view.go('/users?q=break_&ends=30');
    await page.reload();
    await settled(page);
    await view.go('/users?q=break_');
    await page.locator('tbody input[type=checkbox]').first().check();
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(await wide(), 0, `${language}: the list`);
    await page.locator('.tools > button[aria-expanded]').click();
    assert.equal(await wide(), 0, `${language}: the filters`);
    assert.deepEqual(await violations(page), [], language);
    await page.locator('.bulk > .button:not(.quiet)').first().click();
    await page.locator('.dialog input').waitFor();
    assert.equal(await wide(), 0, `${language}: the question`);
    assert.deepEqual(await violations(page), [], language);
    await page.keyboard.press('Escape');
    await view.go('/sheet?q=break_');
    await page.locator('.sheet li').first().waitFor();
    assert.equal(await wide(), 0, `${language}: the sheet`);
    await view.close();
  }
});
