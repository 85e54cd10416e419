// `make demo`: a fleet with something of everything, and nothing left of it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { until } from './panel.mjs';

const target = process.env.CARGO_TARGET_DIR ?? new URL('../../../target', import.meta.url).pathname;
const script = new URL('../../../tests/support/demo.py', import.meta.url).pathname;

test('the demo shows a living fleet, ends at Ctrl-C and leaves nothing behind', async () => {
  const demo = spawn('python3', [script, process.env.SARBAN ?? join(target, 'debug/sarban'), process.env.TEST_NODE ?? join(target, 'debug/examples/test_node')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  demo.stdout.on('data', (some) => { output += some; });
  demo.stderr.on('data', (some) => { output += some; });
  const ended = new Promise((resolve) => demo.once('exit', resolve));
  try {
    await until('the demo', async () => output.includes('Ctrl-C') || demo.exitCode !== null, 120);
    assert.equal(demo.exitCode, null, output);
    const root = /http:\S+?:\d+\//.exec(output)[0];
    const home = /folder, (\S+)\.\n/.exec(output)[1];
    const [, username, password] = /username (\S+), password (\S+)/.exec(output);
    const { access_token: token } = await (await fetch(`${root}api/admins/token`, { method: 'POST', body: new URLSearchParams({ username, password }) })).json();
    const get = async (path) => (await fetch(`${root}api/${path}`, { headers: { authorization: `Bearer ${token}` } })).json();
    assert.ok((await fetch(`${root}dashboard/`)).ok);
    const users = await get('system/stats/users');
    for (const state of ['active', 'on_hold', 'expired', 'limited']) assert.ok(users[state] > 0, `${state}: ${JSON.stringify(users)}`);
    const nodes = (await get('nodes')).items.map((node) => node.status).sort();
    assert.deepEqual(nodes, ['healthy', 'healthy', 'unhealthy']);
    const { total, usages } = await get(`system/stats/traffic?start=${new Date(Date.now() - 25 * 86_400_000).toISOString()}`);
    assert.ok(total > 0 && usages.filter(([, bytes]) => bytes > 0).length > 20 * 24, 'a month of history');
    const before = await get('system/stats/traffic');
    await until('new traffic', async () => (await get('system/stats/traffic')).total > before.total, 40);
    assert.ok(existsSync(home));
    demo.kill('SIGINT');
    assert.equal(await ended, 0, output);
    assert.ok(!existsSync(home), `${home} is still there`);
    await assert.rejects(fetch(root), 'the panel has ended');
  } finally {
    demo.kill('SIGTERM');
    await ended;
  }
});
