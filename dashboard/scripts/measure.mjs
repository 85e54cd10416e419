// Measures what docs/dashboard.md promises, on this machine; SARBAN and TEST_NODE name programs other than target/debug's.
//
//   measure.mjs large DATABASE   the list of a database that the example `seed` has filled: tasks while scrolling and searching
//   measure.mjs lists DATABASE   every filter and order of the list's API: the first page, and one in the middle
//   measure.mjs bulk DATABASE    changes of many users, part by part, which change the database
//   measure.mjs idle [COUNT]     event streams of a thousand dashboards that nobody touches: the panel's CPU and memory

import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { open, quit, settled, startPanel } from '../tests/browser/panel.mjs';

const [, , what, value] = process.argv;
/** Parts of a bulk change that are timed. */
const PARTS = 16;
/** Password of the admins that `seed` makes. */
const SEEDED = 'benchmark';

/** Tasks over 50 ms of a page while `act` runs, in milliseconds. */
async function longTasks(page, act) {
  await page.evaluate(() => {
    const tasks = [];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => Math.round(duration))));
    observer.observe({ type: 'longtask' });
    globalThis.tasksSince = () => { observer.disconnect(); return tasks; };
  });
  await act();
  await page.waitForTimeout(500);
  return page.evaluate(() => globalThis.tasksSince());
}

async function large(database) {
  const panel = await startPanel({ SQLALCHEMY_DATABASE_URL: `sqlite:///${database}` }, { admin: false });
  panel.rootToken = await panel.token('root', SEEDED);
  const { page, close, go } = await open(panel, { token: panel.rootToken });
  const { total } = await panel.call('GET', 'users?size=1');
  const began = Date.now();
  const answered = page.waitForResponse((response) => response.url().includes('/api/users?')).then(() => Date.now());
  await go('/users?size=100');
  await page.locator('tbody tr').nth(99).waitFor();
  console.log(`${total} users; list there after ${Date.now() - began} ms, ${Date.now() - (await answered)} ms after its answer`);
  await settled(page);
  const scrolling = await longTasks(page, async () => {
    for (let step = 0; step < 60; step += 1) {
      await page.mouse.move(700, 400);
      await page.mouse.wheel(0, step < 30 ? 200 : -200);
      await page.waitForTimeout(16);
    }
  });
  console.log(`scrolling: tasks over 50 ms: ${scrolling.join(', ') || 'none'}`);
  const moving = await longTasks(page, async () => {
    for (let step = 0; step < 40; step += 1) await page.keyboard.press('ArrowDown');
    for (let step = 0; step < 10; step += 1) {
      await page.keyboard.press('Space');
      await page.keyboard.press('ArrowUp');
    }
    await page.keyboard.press('Escape');
  });
  console.log(`moving and selecting with keys: tasks over 50 ms: ${moving.join(', ') || 'none'}`);
  const searching = await longTasks(page, async () => {
    await page.locator('main input[type=search]').click();
    for (const letter of 'user_12') await page.keyboard.type(letter, { delay: 120 });
    await page.waitForTimeout(1_000);
    await settled(page);
  });
  console.log(`searching: tasks over 50 ms: ${searching.join(', ') || 'none'}`);
  const paging = await longTasks(page, async () => {
    await page.locator('main input[type=search]').fill('');
    await page.waitForTimeout(1_000);
    await settled(page);
    for (let step = 0; step < 5; step += 1) {
      await page.getByRole('button', { name: 'Next page' }).click();
      await settled(page);
    }
  });
  console.log(`paging: tasks over 50 ms: ${paging.join(', ') || 'none'}`);
  await close();
  await panel.stop();
}

async function lists(database) {
  const panel = await startPanel({ SQLALCHEMY_DATABASE_URL: `sqlite:///${database}` }, { admin: false });
  panel.rootToken = await panel.token('root', SEEDED);
  const timed = async (path) => {
    const began = performance.now();
    const answer = await panel.call('GET', path);
    return [performance.now() - began, answer];
  };
  const soon = new Date(Math.ceil(Date.now() / 3_600_000 + 7 * 24) * 3_600_000).toISOString();
  const filters = [
    '', 'username=user', 'username=us', 'username=zz9', 'is_active=true', 'is_active=false', 'on_hold=true', 'expired=true', 'data_limit_reached=true', 'enabled=false', 'activated=false',
    'service_id=1', `expired=false&expires_before=${soon}`, 'owner_username=reseller_7', `owner_username=reseller_7&username=us&expired=false&expires_before=${soon}`,
  ];
  const orders = ['', ...['username', 'used_traffic', 'data_limit', 'expire_date', 'created_at'].flatMap((sort) => [`&order_by=${sort}`, `&order_by=${sort}&descending=true`])];
  const slowest = { first: [0], middle: [0] };
  const note = (place, time, query) => { if (time > slowest[place][0]) slowest[place] = [Math.round(time), query]; };
  for (const filter of filters) {
    // The number of matches is cached for two seconds.
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    for (const order of orders) {
      const query = `users?size=50&${filter}${order}`;
      const [first, { pages }] = await timed(query);
      note('first', first, query);
      const middle = `${query}&page=${Math.ceil(Math.max(1, pages) / 2)}`;
      const again = [];
      for (let time = 0; time < 3; time += 1) again.push((await timed(middle))[0]);
      note('middle', Math.min(...again), middle);
    }
  }
  console.log(`${filters.length} filters in ${orders.length} orders; slowest first page: ${slowest.first.join(' ms, ')}; slowest page in the middle, best of three: ${slowest.middle.join(' ms, ')}`);
  await panel.stop();
}

async function bulk(database) {
  const panel = await startPanel({ SQLALCHEMY_DATABASE_URL: `sqlite:///${database}` }, { admin: false });
  panel.rootToken = await panel.token('root', SEEDED);
  const acts = [
    { action: 'extend', seconds: 86_400 }, { action: 'add_data', bytes: 5e9 }, { action: 'disable' }, { action: 'enable' }, { action: 'reset' }, { action: 'add_service', service_id: 3 },
    { action: 'remove_service', service_id: 3 }, { action: 'revoke_sub' }, { action: 'set_owner', admin_username: 'reseller_3' }, { action: 'delete' },
  ];
  for (const act of acts) {
    const began = performance.now();
    let [matched, changed, cursor] = [0, 0, undefined];
    const times = [];
    do {
      const start = performance.now();
      const answer = await panel.call('POST', 'users/bulk', { ...act, filter: {}, ...(cursor === undefined ? {} : { cursor }) });
      times.push(Math.round(performance.now() - start));
      matched += answer.matched;
      changed += answer.changed;
      cursor = answer.cursor ?? undefined;
    } while (cursor !== undefined && times.length < PARTS);
    times.sort((one, other) => one - other);
    console.log(`${act.action}: ${changed} of ${matched} users changed in ${((performance.now() - began) / 1000).toFixed(1)} s; parts: ${times[times.length >> 1]} ms in the middle, ${times.at(-1)} ms at most`);
  }
  await panel.stop();
}

/** Seconds of CPU and megabytes of memory of a process. */
function usage(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const memory = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
  return { seconds: (Number(fields[11]) + Number(fields[12])) / 100, megabytes: Number(memory) / 1024 };
}

async function idle(count) {
  const panel = await startPanel();
  const tokens = [];
  // An admin has 64 streams at most.
  for (let index = 0; index * 60 < count; index += 1) {
    const admin = { username: `admin_${index}`, password: 'a_password', is_sudo: false, enabled: true, modify_users_access: true, all_services_access: true, service_ids: [], subscription_url_prefix: '' };
    await panel.call('POST', 'admins', admin);
    tokens.push(await panel.token(admin.username, admin.password));
  }
  const { pid } = panel.process;
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const minute = async () => {
    const before = usage(pid);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    const after = usage(pid);
    return `${(after.seconds - before.seconds).toFixed(2)} s of CPU in a minute, ${after.megabytes.toFixed(1)} MB`;
  };
  console.log(`without: ${await minute()}`);
  const { hostname, port } = new URL(panel.root);
  let streams = 0;
  let ended = 0;
  for (let index = 0; index < count; index += 1) {
    await new Promise((resolve, reject) => {
      // As from many addresses: one address has a share of the connections.
      const asked = request({ hostname, port, path: '/api/events', agent: false, localAddress: `127.0.${1 + (index % 100)}.1`, headers: { authorization: `Bearer ${tokens[Math.floor(index / 60)]}` } }, (response) => {
        if (response.statusCode !== 200) return reject(new Error(`stream ${index}: ${response.statusCode}`));
        streams += 1;
        response.resume();
        response.on('close', () => { ended += 1; });
        resolve();
      });
      asked.on('error', reject);
      asked.end();
    });
  }
  console.log(`with ${streams} event streams: ${await minute()}; ${ended} ended`);
  await panel.stop();
  process.exit(0);
}

if (what === 'large' && value !== undefined) await large(value);
else if (what === 'lists' && value !== undefined) await lists(value);
else if (what === 'bulk' && value !== undefined) await bulk(value);
else if (what === 'idle') await idle(Number(value ?? 1000));
else {
  console.error('usage: measure.mjs large DATABASE | lists DATABASE | bulk DATABASE | idle [COUNT]');
  process.exitCode = 2;
}
await quit();
