// Every screen in several languages, themes and widths: accessible, without horizontal scrolling, without errors; and the
// sizes and times of the first load.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { gzipSync } from 'node:zlib';
import { PASSWORD, open, settled, startPanel, violations } from './panel.mjs';

/** Most bytes of the first load, compressed: 250 kB are promised, of which 30 kB stay free for what is to come. */
const FIRST_LOAD = 220_000;

let panel;
let paths;
before(async () => {
  panel = await startPanel({ DASHBOARD_PATH: '/board/of/mine/' });
  const { node, service, inbounds } = await panel.furnish();
  const host = (await panel.call('GET', 'inbounds/hosts')).items[0];
  await panel.call('POST', 'inbounds/hosts', { remark: 'Far {USERNAME}', address: 'far.example', protocol: 'hysteria2', port: 443, password: 'pw', security: 'tls', service_ids: [service.id] });
  for (let index = 0; index < 30; index += 1) {
    await panel.call('POST', 'users', {
      username: `user_${index}`, data_limit: index % 3 === 0 ? null : (index + 1) * 1024 ** 3, service_ids: [service.id],
      ...(index % 4 === 0 ? { expire_strategy: 'never' } : index % 4 === 1 ? { expire_strategy: 'start_on_first_use', usage_duration: 30 * 86_400 }
        : { expire_strategy: 'fixed_date', expire_date: index % 4 === 2 ? '2020-01-01T00:00:00Z' : '2036-01-01T00:00:00Z' }),
    });
  }
  paths = ['/', '/users', '/users?drawer=new', '/users?ends=7&on_nodes=true&cols=limit,services,app', '/sheet?q=user_', '/users/user_1', '/users/user_1?drawer=edit', '/users/user_1?drawer=owner', '/nodes', '/nodes?drawer=new', `/nodes/${node.id}`, `/nodes/${node.id}/log`,
    `/nodes/${node.id}/log?q=line&level=error`, `/nodes/${node.id}/config`, `/nodes/${node.id}/traffic`, `/nodes/${node.id}/status?drawer=edit`, '/services',
    '/services?drawer=new', `/services?drawer=${service.id}`, '/hosts', '/hosts?view=order', '/hosts?drawer=new', `/hosts?drawer=new-${inbounds[0].id}`, `/hosts?drawer=${host.id}`,
    `/hosts?inbound=${inbounds[0].id}`, '/inbounds', '/admins', '/admins?drawer=new', '/admins?drawer=edit-root', '/admins?drawer=give-root', '/admins?drawer=quota-root', '/admins?drawer=traffic-root', '/roles', '/roles?drawer=new', '/roles?drawer=edit-owner', '/me', '/me?drawer=token', '/me?tokens=all', '/cluster', '/cluster?state=failed', '/audit', '/audit?object=user&actor=admin', '/notifications', '/notifications?channel=telegram&state=dead', '/settings', '/settings/telegram', '/nowhere'];
});

// Each view looks for what only it can show: structure does not depend on colours, colours not on the language, and texts that
// are too wide are found without the rules.
const VIEWS = [
  ['all', 'en', 'light', 1280], ['all', 'fa', 'light', 360], ['width', 'ar', 'dark', 360], ['width', 'ru', 'light', 360], ['width', 'zh', 'dark', 360],
  ['colours', 'en', 'dark', 1280], ['colours', 'en', 'light', 1280, { contrast: 'more' }], ['colours', 'en', 'dark', 1280, { contrast: 'more' }],
  ['colours', 'en', 'light', 1280, { forcedColors: 'active' }],
];
const RULES = { all: undefined, colours: ['color-contrast', 'link-in-text-block'] };
for (const [what, language, theme, width, more = {}] of VIEWS) {
  test(`screens in ${[language, theme, `${width} px`, ...Object.entries(more).map((setting) => setting.join(' '))].join(', ')}: ${what}`, async () => {
    const view = await open(panel, { token: await panel.token(), language, theme, width, height: 760, ...more });
    const { page } = view;
    const wrong = [];
    for (const path of paths) {
      await view.go(path);
      if (path.includes('drawer')) await page.getByRole('dialog').waitFor();
      await settled(page);
      assert.equal(await page.evaluate(() => `${document.documentElement.lang} ${document.documentElement.dir} ${document.documentElement.dataset.theme}`), `${language} ${['fa', 'ar'].includes(language) ? 'rtl' : 'ltr'} ${theme}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) wrong.push(`${path}: ${over} px too wide`);
      if (what !== 'width') for (const found of await violations(page, RULES[what])) wrong.push(`${path}: ${found}`);
    }
    assert.deepEqual(wrong, []);
    await view.close();
  });
}

test('what floats is accessible: menus, questions, the calendar, the palette, keys and preferences', async () => {
  const wrong = [];
  for (const more of [{}, { theme: 'dark', language: 'fa', width: 360 }, { contrast: 'more' }, { forcedColors: 'active' }]) {
    const view = await open(panel, { token: await panel.token(), height: 760, ...more });
    const { page } = view;
    const look = async (what) => {
      await page.waitForTimeout(200);
      for (const found of await violations(page)) wrong.push(`${what} ${JSON.stringify(more)}: ${found}`);
    };
    const close = async () => {
      await page.keyboard.press('Escape');
      await page.locator('[role=dialog], [role=alertdialog], [role=menu]').first().waitFor({ state: 'detached' });
    };
    await view.go('/users/user_1');
    await settled(page);
    await page.locator('main .head [aria-haspopup=menu]').first().click();
    await page.getByRole('menu').waitFor();
    await look('menu');
    await page.getByRole('menuitem').last().click();
    await page.getByRole('alertdialog').waitFor();
    await look('question');
    await close();
    await view.go('/users/user_2?drawer=edit');
    await page.locator('.dateinput button').click();
    await page.locator('.calendar').waitFor();
    await look('calendar');
    await page.keyboard.press('Escape');
    await page.locator('.calendar').waitFor({ state: 'detached' });
    await close();
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await look('keys');
    await close();
    await page.keyboard.press('Control+k');
    await page.locator('.palette [role=option]').first().waitFor();
    await look('palette');
    await close();
    if (more.width === undefined) await page.getByTitle('Preferences').click();
    else await page.locator('nav.bottom button').click();
    await page.getByRole('dialog').waitFor();
    await look(more.width === undefined ? 'preferences' : 'more');
    await close();
    await view.close();
  }
  assert.deepEqual(wrong, []);
});

test('more contrast is what the system asks for, in both themes, or what the reader chooses', async () => {
  for (const theme of ['light', 'dark']) {
    const usual = await open(panel, { token: await panel.token(), theme });
    const soft = (page) => page.evaluate(() => [getComputedStyle(document.querySelector('.soft')).color, getComputedStyle(document.body).color]);
    await usual.go('/');
    await usual.page.locator('.soft').first().waitFor();
    const [before, text] = await soft(usual.page);
    assert.notEqual(before, text, theme);
    await usual.page.getByTitle('Preferences').click();
    await usual.page.getByLabel('More contrast').check();
    assert.deepEqual(await soft(usual.page), [text, text], theme);
    await usual.close();
    const asked = await open(panel, { token: await panel.token(), theme, contrast: 'more' });
    await asked.go('/');
    await asked.page.locator('.soft').first().waitFor();
    assert.deepEqual(await soft(asked.page), [text, text], theme);
    await asked.close();
  }
});

test('the keyboard goes on in the screen after a drawer or question, and a toast covers no content', async () => {
  await panel.call('POST', 'services', { name: 'Short-lived', inbound_ids: [] });
  for (const width of [1280, 360]) {
    const view = await open(panel, { token: await panel.token(), width, height: 760 });
    const { page } = view;
    const focused = () => page.evaluate(() => `${document.activeElement?.tagName} ${document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id}`);
    await view.go('/users?drawer=new');
    await page.getByLabel('Username', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.waitForTimeout(200);
    assert.equal(await focused(), 'MAIN main', 'an address opened it');
    if (width > 720) {
      await view.go('/services');
      await page.getByRole('button', { name: 'Actions for Short-lived' }).press('Enter');
      await page.getByRole('menuitem', { name: 'Delete' }).press('Enter');
      await page.getByRole('alertdialog').getByRole('button', { name: 'Delete Short-lived' }).press('Enter');
      await page.getByRole('link', { name: 'Short-lived' }).waitFor({ state: 'detached' });
      await page.getByRole('alertdialog').waitFor({ state: 'detached' });
      await page.waitForTimeout(300);
      assert.equal(await focused(), 'MAIN main', 'what had the focus is gone');
    } else {
      await view.go('/settings');
      await page.getByLabel('Support link').fill(`t.me/of_${width}`);
      await page.getByRole('button', { name: 'Save', exact: true }).click();
    }
    const toast = await page.locator('.toast').first().boundingBox();
    const under = width > 720 ? page.locator('nav.side') : page.locator('nav.bottom');
    const place = await under.boundingBox();
    assert.ok(toast.x >= place.x && toast.x + toast.width <= place.x + place.width && toast.y >= place.y - 1 && toast.y + toast.height <= place.y + place.height + 1, JSON.stringify({ toast, place }));
    await view.close();
  }
});

test('the sign-in page is accessible in both themes and fits a phone', async () => {
  for (const theme of ['light', 'dark']) {
    const view = await open(panel, { theme, width: 360 });
    await view.go('/');
    assert.deepEqual(await violations(view.page), []);
    assert.equal(await view.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
    await view.close();
  }
});

test('the first load is small and takes one round', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const files = [];
  page.on('response', (response) => { if (response.url().startsWith(panel.url)) files.push(response); });
  await view.go('/users');
  await page.getByRole('link', { name: 'user_1', exact: true }).waitFor();
  let bytes = 0;
  for (const response of files) {
    const { pathname, search } = new URL(response.url());
    bytes += gzipSync(await response.body(), { level: 9 }).length;
    if (!pathname.endsWith('/')) {
      assert.match(search, /^\?v=[0-9a-f]{12}$/, response.url());
      assert.equal(response.headers()['cache-control'], 'public, max-age=31536000, immutable', response.url());
      const start = (await response.request().allHeaders()).referer;
      assert.equal(start, undefined, 'no referrer');
    }
  }
  console.log(`first load: ${files.length} files, ${bytes} bytes compressed`);
  assert.ok(bytes < FIRST_LOAD, `${bytes} bytes`);
  const names = files.map((response) => new URL(response.url()).pathname.split('/').at(-1));
  assert.deepEqual(names.filter((name) => /UserEditor|more|[Cc]ode/.test(name)), [], 'editors and other screens are loaded when needed');
  assert.deepEqual(names.filter((name) => name.startsWith('text-')), ['text-en.js'], 'a language is loaded alone');
  assert.ok(new Set(names).size === names.length && names.length <= 10, `few files, each once: ${names.join(' ')}`);
  await view.close();
});

test('a language that is chosen later is loaded then, also for screens that are open', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  const files = [];
  page.on('request', (request) => files.push(new URL(request.url()).pathname.split('/').at(-1)));
  await view.go('/nodes');
  await page.getByTitle('Preferences').click();
  await page.getByLabel('Language').selectOption('fa');
  await page.getByRole('heading', { name: 'نودها' }).waitFor();
  assert.deepEqual(files.filter((name) => /^(text|more)-/.test(name)).sort(), ['more-en.js', 'more-fa.js', 'text-en.js', 'text-fa.js']);
  await page.reload();
  await page.getByRole('button', { name: 'افزودن نود' }).first().waitFor();
  await view.close();
});

test('on a slow line the list of users is there in 4 s, and in two rounds from the cache', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page, context } = view;
  // Measured in the page, from the begin of its navigation: a test looks a few times a second only.
  await context.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (![...document.querySelectorAll('tbody a')].some((link) => link.textContent === 'user_1')) return;
      observer.disconnect();
      requestAnimationFrame(() => { globalThis.listed = performance.now(); });
    }).observe(document, { childList: true, subtree: true });
  });
  const line = await context.newCDPSession(page);
  await line.send('Network.enable');
  const load = async () => {
    await page.goto('about:blank');
    await page.goto(`${panel.url}#/users`, { waitUntil: 'commit' });
    return Math.round(await (await page.waitForFunction(() => globalThis.listed)).jsonValue());
  };
  const best = async () => {
    let best = Infinity;
    for (let count = 0; count < 5; count += 1) best = Math.min(best, await load());
    return best;
  };
  // What the machine takes, which may be busy with other tests; the rest is the line's.
  await load();
  const machine = await best();
  await line.send('Network.clearBrowserCache');
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 300, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 });
  const cold = await load();
  const warm = await best();
  console.log(`1.6 Mbit/s, 300 ms: ${cold} ms cold, ${warm} ms warm, of which ${machine} ms without the line`);
  assert.ok(cold - machine < 4_000, `${cold} ms cold, ${machine} ms without the line`);
  // Two rounds, the page and the list; a third would make it 900 ms. 1 s is promised for all.
  assert.ok(warm - machine < 850, `${warm} ms warm, ${machine} ms without the line`);
  await view.close();
});

test('the list of users is asked for before the libraries are there, once, and as its URL says', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  for (const [path, query, shown] of [
    ['/users', 'page=1&size=50', 'user_1'],
    ['/users?q=user_1&state=active&service=1&sort=username&desc=true&size=25', 'username=user_1&is_active=true&service_id=1&order_by=username&descending=true&page=1&size=25', 'user_15'],
    ['/users?ends=7&on_nodes=false&page=2', null, null],
  ]) {
    await page.goto('about:blank');
    const asked = [];
    const listen = (request) => { if (request.url().startsWith(`${panel.root}api/`)) asked.push(request.url().slice(panel.root.length)); };
    page.on('request', listen);
    // The libraries come once the list is asked for.
    const list = page.waitForRequest(/\/api\/users\?/);
    await page.route(/\/vendor\.js/, async (route) => { await list; await route.continue(); });
    await view.go(path);
    if (shown !== null) await page.getByRole('link', { name: shown, exact: true }).waitFor();
    await settled(page);
    page.off('request', listen);
    const lists = asked.filter((one) => one.startsWith('api/users?'));
    assert.equal(lists.length, 1, asked.join(' '));
    if (query !== null) assert.equal(lists[0], `api/users?${query}`);
    for (const one of ['api/admins/current', 'api/events', 'api/views']) assert.equal(asked.filter((name) => name === one).length, 1, `${one}: ${asked.join(' ')}`);
    await page.unroute(/\/vendor\.js/);
  }
  await view.close();
});

test('an early refusal is one: a session that has ended, and an admin who may not list users', async () => {
  const ended = await open(panel, { token: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyb290In0.no', expected: ['401'] });
  await ended.page.goto(`${panel.url}#/users`);
  await ended.page.getByLabel('Password').fill(PASSWORD);
  await ended.page.getByLabel('Password').press('Enter');
  await ended.page.getByRole('link', { name: 'user_1', exact: true }).waitFor();
  await ended.close();

  await panel.call('POST', 'roles', { name: 'techs', rights: { nodes: { read: 'all' } } });
  await panel.call('POST', 'admins', { username: 'tech', password: 'techpass', is_sudo: false, role: 'techs' });
  const tech = await open(panel, { token: await panel.token('tech', 'techpass'), expected: ['403'] });
  await tech.page.goto(`${panel.url}#/users`);
  await tech.page.getByRole('heading', { name: 'You may not open: Users' }).waitFor();
  assert.equal(await tech.page.getByRole('alert').count(), 0);
  await tech.close();
});
