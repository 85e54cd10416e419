// Two panels on PostgreSQL and Redis, or on PostgreSQL alone: what is changed on one is seen on the other.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { open, startPanel, until } from './panel.mjs';

const run = promisify(execFile);
const { SARBAN_TEST_POSTGRES_URL: postgres, SARBAN_TEST_POSTGRES_BIN: bin, SARBAN_TEST_REDIS_URL: redis } = process.env;

/** Seconds within which an open screen shows what was changed on another panel: the change is announced over Redis, without
 * Redis it is the dashboard's interval of reading; and the time of a slow machine. */
const SEEN = { redis: 3, database: 10 };

async function database() {
  assert.ok(postgres && bin && redis, 'a PostgreSQL and a Redis must run: tests/support/services.sh run tests/support/dashboard.sh test');
  const name = `dashboard_${randomBytes(6).toString('hex')}`;
  await run(join(bin, 'psql'), [postgres, '-qc', `CREATE DATABASE ${name}`]);
  const url = new URL(postgres);
  url.pathname = `/${name}`;
  return { name, url: url.href, drop: () => run(join(bin, 'psql'), [postgres, '-qc', `DROP DATABASE ${name} WITH (FORCE)`]) };
}

test('the cluster screen shows the last back-up and makes one at once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sarban-backups.'));
  const panel = await startPanel({ BACKUP_TO: folder });
  try {
    const token = await panel.token();
    // A new place gets its first back-up at once.
    await until('the first back-up', async () => (await panel.call('GET', 'cluster', undefined, token)).back_up.last_at !== null, 60);
    const view = await open(panel, { token });
    await view.go('/cluster');
    const region = view.page.getByRole('region', { name: 'Back-ups' });
    await region.getByText(folder).waitFor();
    await region.getByText('Size', { exact: true }).waitFor();
    const before = readdirSync(folder).length;
    assert.ok(before >= 1);
    await region.getByRole('button', { name: 'Back up now' }).click();
    await view.page.getByRole('alertdialog').getByRole('button', { name: 'Back up now' }).click();
    await view.page.getByText('Requested').waitFor();
    await until('another back-up', async () => readdirSync(folder).filter((name) => name.endsWith('.backup')).length > before, 60);
    await view.close();
  } finally {
    await panel.stop();
    rmSync(folder, { recursive: true });
  }
});

test('the cluster screen lists the edges that have reported', async () => {
  const panel = await startPanel({});
  try {
    const token = await panel.token();
    const report = { id: '6b1c1f0e-4d0f-4c6e-9a55-0c0f5f1d2a01', host: 'edge-one', version: '1.2.3', started_at: Date.now() * 1000, users: 1234, is_complete: true, waiting_fetches: 7 };
    await panel.call('POST', 'edge/report', report, token);
    const view = await open(panel, { token });
    await view.go('/cluster');
    const region = view.page.getByRole('region', { name: 'Edges' });
    await region.getByText('edge-one').waitFor();
    await region.getByText('Users: 1,234').waitFor();
    await region.getByText('Fetches not sent yet: 7').waitFor();
    await region.getByText('connected', { exact: true }).waitFor();
    await view.close();
    // The longest lines, on a phone.
    const host = 'edge-with-a-name-of-sixty-four-characters-in-one-word-000000000';
    await panel.call('POST', 'edge/report', { ...report, host, is_complete: false, waiting_fetches: 1234567 }, token);
    for (const language of ['en', 'fa', 'ar', 'ru', 'zh']) {
      const phone = await open(panel, { token, language, width: 390 });
      await phone.go('/cluster');
      await phone.page.getByText(host).waitFor();
      assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${language}: the page is wider than the screen`);
      await phone.close();
    }
  } finally {
    await panel.stop();
  }
});

for (const kind of ['redis', 'database']) {
  test(`a change on panel B is seen on panel A, coordinated by ${kind}`, async () => {
    const { name, url, drop } = await database();
    const a = await startPanel({ SQLALCHEMY_DATABASE_URL: url, CLUSTER_NAME: name, INSTANCE_NAME: 'first', ...(kind === 'redis' ? { REDIS_URL: redis } : {}) });
    try {
      const { node, service } = await a.furnish();
      const b = await a.beside();
      const token = await a.token();
      const view = await open(a, { token });
      const { page } = view;
      await view.go('/users');
      await page.getByRole('button', { name: 'New user' }).first().waitFor();

      const seen = async (what, change, locator) => {
        const began = Date.now();
        await change();
        await locator.waitFor({ timeout: SEEN[kind] * 1000 });
        console.log(`${kind}: ${what} seen after ${Date.now() - began} ms`);
      };
      const call = (method, path, body) => fetch(`${b.root}api/${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })
        .then(async (response) => assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.text()}`));
      await seen('a new user', () => call('POST', 'users', { username: 'of_b', expire_strategy: 'never', service_ids: [service.id] }), page.getByRole('link', { name: 'of_b', exact: true }));
      await seen('its state', () => call('POST', 'users/of_b/disable'), page.getByRole('row', { name: /of_b/ }).getByText('Disabled'));
      await view.go(`/nodes/${node.id}/status`);
      await seen('a node’s name', () => call('PUT', `nodes/${node.id}`, { name: 'renamed' }), page.getByRole('heading', { name: 'renamed' }));

      // Both are members, one of them leads, and it can hand over.
      await view.go('/cluster');
      const members = page.getByRole('region', { name: 'Members' });
      await until('two members', async () => (await members.getByRole('listitem').count()) === 2);
      assert.equal(await members.getByText('leads', { exact: true }).count(), 1);
      // The end of a requested run is announced; what is not is read rarely then.
      await seen('a requested run', () => call('POST', 'cluster/tasks/prune/run'), page.getByRole('row').filter({ hasText: 'on request' }).filter({ hasText: 'Done' }));
      if (kind === 'redis') {
        let reads = 0;
        page.on('request', (request) => { if (request.url().endsWith('/api/cluster')) reads += 1; });
        await page.waitForTimeout(8_000);
        assert.ok(reads <= 1, `${reads} reads of an idle cluster in eight seconds`);
      }
      const epoch = async () => (await a.call('GET', 'cluster', undefined, token)).leader?.epoch;
      const before = await until('a leader', epoch);
      await page.getByRole('button', { name: 'Hand over' }).click();
      await page.getByRole('alertdialog').getByRole('button', { name: 'Hand over' }).click();
      await page.getByText('Requested').waitFor();
      await until('another term', async () => ((await epoch()) ?? 0) > before);
      await page.getByRole('region', { name: 'Lease' }).getByText(String(await epoch()), { exact: true }).waitFor({ timeout: SEEN[kind] * 1000 });
      await view.close();
    } finally {
      await a.stop();
      await drop();
    }
  });
}
