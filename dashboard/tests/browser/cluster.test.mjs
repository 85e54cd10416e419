// Two panels on PostgreSQL and Redis, or on PostgreSQL alone: what is changed on one is seen on the other.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { promisify } from 'node:util';
import { open, quit, startPanel, until } from './panel.mjs';

const run = promisify(execFile);
const { SARBAN_TEST_POSTGRES_URL: postgres, SARBAN_TEST_POSTGRES_BIN: bin, SARBAN_TEST_REDIS_URL: redis } = process.env;

/** Seconds within which an open screen shows what was changed on another panel: the change is announced over Redis, without
 * Redis it is the dashboard's interval of reading; and the time of a slow machine. */
const SEEN = { redis: 3, database: 10 };

after(quit);

async function database() {
  assert.ok(postgres && bin && redis, 'a PostgreSQL and a Redis must run: tests/support/services.sh run tests/support/dashboard.sh test');
  const name = `dashboard_${randomBytes(6).toString('hex')}`;
  await run(join(bin, 'psql'), [postgres, '-qc', `CREATE DATABASE ${name}`]);
  const url = new URL(postgres);
  url.pathname = `/${name}`;
  return { name, url: url.href, drop: () => run(join(bin, 'psql'), [postgres, '-qc', `DROP DATABASE ${name} WITH (FORCE)`]) };
}

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
      const epoch = async () => (await a.call('GET', 'cluster', undefined, token)).leader?.epoch;
      const before = await until('a leader', epoch);
      await page.getByRole('button', { name: 'Hand over' }).click();
      await page.getByRole('alertdialog').getByRole('button', { name: 'Hand over' }).click();
      await page.getByText('Requested').waitFor();
      await until('another term', async () => ((await epoch()) ?? 0) > before);
      await view.close();
    } finally {
      await a.stop();
      await drop();
    }
  });
}
