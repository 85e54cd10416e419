// Every screen in several languages, themes and widths: accessible, without horizontal scrolling, without errors; and the
// sizes and times of the first load.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { gzipSync } from 'node:zlib';
import { open, quit, settled, startPanel, violations } from './panel.mjs';

/** Most bytes of the first load, compressed. */
const FIRST_LOAD = 250_000;

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
  paths = ['/', '/users', '/users?drawer=new', '/users/user_1', '/users/user_1?drawer=edit', '/users/user_1?drawer=owner', '/nodes', '/nodes?drawer=new', `/nodes/${node.id}`, `/nodes/${node.id}/log`,
    `/nodes/${node.id}/log?q=line&level=error`, `/nodes/${node.id}/config`, `/nodes/${node.id}/traffic`, `/nodes/${node.id}/status?drawer=edit`, '/services',
    '/services?drawer=new', `/services?drawer=${service.id}`, '/hosts', '/hosts?view=order', '/hosts?drawer=new', `/hosts?drawer=new-${inbounds[0].id}`, `/hosts?drawer=${host.id}`,
    `/hosts?inbound=${inbounds[0].id}`, '/inbounds', '/admins', '/admins?drawer=new', '/cluster', '/cluster?state=failed', '/notifications', '/notifications?channel=telegram&state=dead', '/settings', '/settings/telegram', '/nowhere'];
});
after(async () => {
  await quit();
  await panel?.stop();
});

for (const [language, theme, width] of [['en', 'light', 1280], ['en', 'dark', 1280], ['fa', 'light', 360], ['ar', 'dark', 360], ['ru', 'light', 360], ['zh', 'dark', 360]]) {
  test(`screens in ${language}, ${theme}, ${width} px`, async () => {
    const view = await open(panel, { token: await panel.token(), language, theme, width, height: 760 });
    const { page } = view;
    const wrong = [];
    for (const path of paths) {
      await view.go(path);
      if (path.includes('drawer')) await page.getByRole('dialog').waitFor();
      await settled(page);
      assert.equal(await page.evaluate(() => `${document.documentElement.lang} ${document.documentElement.dir} ${document.documentElement.dataset.theme}`), `${language} ${['fa', 'ar'].includes(language) ? 'rtl' : 'ltr'} ${theme}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) wrong.push(`${path}: ${over} px too wide`);
      for (const found of await violations(page)) wrong.push(`${path}: ${found}`);
    }
    assert.deepEqual(wrong, []);
    await view.close();
  });
}

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
  assert.ok(!files.some((response) => /UserEditor|more|[Cc]ode/.test(response.url())), 'editor and other screens are loaded when needed');
  await view.close();
});

test('on a slow line the list of users is there in 4 s, and in 2 s from the cache', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page, context } = view;
  const line = await context.newCDPSession(page);
  await line.send('Network.enable');
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 300, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 });
  const load = async () => {
    const began = Date.now();
    await page.goto('about:blank');
    await page.goto(`${panel.url}#/users`, { waitUntil: 'commit' });
    await page.getByRole('link', { name: 'user_1', exact: true }).waitFor();
    return Date.now() - began;
  };
  const cold = await load();
  const warm = await load();
  console.log(`1.6 Mbit/s, 300 ms: ${cold} ms cold, ${warm} ms warm`);
  assert.ok(cold < 4_000, `${cold} ms cold`);
  assert.ok(warm < 2_000, `${warm} ms warm`);
  await view.close();
});
