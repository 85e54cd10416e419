// A real panel on SQLite with a test node, in a temporary folder, and a browser to look at it.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const run = promisify(execFile);
const target = process.env.CARGO_TARGET_DIR ?? new URL('../../../target', import.meta.url).pathname;
const sarban = process.env.SARBAN ?? join(target, 'debug/sarban');
const testNode = process.env.TEST_NODE ?? join(target, 'debug/examples/test_node');
const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

export const PASSWORD = 'rootpass';

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function until(what, condition, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await condition().catch(() => undefined);
    if (found) return found;
    assert.ok(Date.now() < end, `${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What ends after the last test of a file. */
let browser;
const panels = [];
after(async () => {
  await browser?.close();
  await Promise.all(panels.map((panel) => panel.stop()));
});

/** Starts a panel with the admin `root` and one node, until the last test of the file. */
export async function startPanel(settings = {}, { admin = true } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'sarban-dashboard.'));
  const [port, nodePort, controlPort] = [await freePort(), await freePort(), await freePort()];
  const env = {
    PATH: process.env.PATH, HOME: home, UVICORN_HOST: '127.0.0.1', UVICORN_PORT: String(port), DATA_DIR: home,
    SQLALCHEMY_DATABASE_URL: `sqlite:///${home}/db.sqlite3`, SARBAN_ADMIN_PASSWORD: PASSWORD, ...settings,
  };
  const processes = [];
  const folders = [home];
  const start = (program, args) => {
    const child = spawn(program, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (some) => { output += some; });
    child.stderr.on('data', (some) => { output += some; });
    processes.push(child);
    child.output = () => output;
    return child;
  };
  start(testNode, ['--listen', `127.0.0.1:${nodePort}`, '--bytes-per-second', '50000', '--control', `127.0.0.1:${controlPort}`]);
  const root = `http://127.0.0.1:${port}/`;
  const panel = {
    root, home, nodePort,
    url: `${root}${(settings.DASHBOARD_PATH ?? '/dashboard/').replace(/^\//, '')}`,
    process: null,
    async up() {
      panel.process = start(sarban, ['serve']);
      await until(`the panel: ${panel.process.output()}`, async () => (await fetch(`${root}health/ready`)).ok);
    },
    async down() {
      panel.process.kill('SIGKILL');
      await new Promise((resolve) => panel.process.once('exit', resolve));
    },
    /** Another panel on the same database, as on another host. */
    async beside() {
      const [other, folder] = [await freePort(), mkdtempSync(join(tmpdir(), 'sarban-dashboard.'))];
      const child = spawn(sarban, ['serve'], { cwd: folder, env: { ...env, DATA_DIR: folder, UVICORN_PORT: String(other), INSTANCE_NAME: 'beside' }, stdio: 'ignore' });
      processes.push(child);
      folders.push(folder);
      const root = `http://127.0.0.1:${other}/`;
      await until('the second panel', async () => (await fetch(`${root}health/ready`)).ok, 40);
      return { ...panel, root, url: panel.url.replace(panel.root, root) };
    },
    async stop() {
      for (const child of processes) child.kill('SIGKILL');
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    },
    async token(username = 'root', password = PASSWORD) {
      const response = await fetch(`${root}api/admins/token`, { method: 'POST', body: new URLSearchParams({ username, password }) });
      assert.equal(response.status, 200);
      return (await response.json()).access_token;
    },
    async call(method, path, body, token) {
      const response = await fetch(`${root}api/${path}`, {
        method, headers: { authorization: `Bearer ${token ?? (panel.rootToken ??= await panel.token())}`, 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
      return response.status === 204 ? null : response.json().catch(() => null);
    },
    /** Has the test node do something: `{ do: 'log', line: '…' }`. */
    control: (command) => new Promise((resolve, reject) => {
      const socket = connect(controlPort, '127.0.0.1', () => socket.write(`${JSON.stringify(command)}\n`));
      socket.once('error', reject);
      socket.once('data', (answer) => { socket.destroy(); resolve(JSON.parse(answer)); });
    }),
    /** A node and a service with all its inbounds, each of which has a host from the start. */
    async furnish() {
      const changes = [...(await panel.call('GET', 'nodes')).items].map((node) => panel.call('DELETE', `nodes/${node.id}`));
      await Promise.all(changes);
      const node = await panel.call('POST', 'nodes', { name: 'fra-1', address: '127.0.0.1', port: nodePort, connection_backend: 'grpcio', usage_coefficient: 1 });
      const inbounds = await until('inbounds of the node', async () => {
        const { items } = await panel.call('GET', 'inbounds');
        return items.length > 0 ? items : undefined;
      });
      const service = await panel.call('POST', 'services', { name: 'Basic', inbound_ids: inbounds.map((inbound) => inbound.id) });
      return { node, service, inbounds };
    },
  };
  panels.push(panel);
  await panel.up();
  if (admin) await run(sarban, ['admin', 'create', '-u', 'root', '--sudo'], { cwd: home, env });
  return panel;
}

export async function launch() {
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  return browser;
}

/** A page that records what must not happen: errors in the console, requests elsewhere, tokens in URLs. */
export async function open(panel, { token, language = 'en', theme = 'light', contrast = 'no-preference', forcedColors = 'none', width = 1280, height = 800, expected = [] } = {}) {
  const context = await (await launch()).newContext({ viewport: { width, height }, colorScheme: theme, contrast, forcedColors, locale: 'en' });
  await context.addInitScript(([held, lang]) => {
    if (location.protocol === 'about:') return;
    if (held !== null && sessionStorage.getItem('test.began') === null) localStorage.setItem('sarban.token', held);
    sessionStorage.setItem('test.began', '1');
    if (localStorage.getItem('sarban.language') === null) localStorage.setItem('sarban.language', lang);
  }, [token ?? null, language]);
  const page = await context.newPage();
  const faults = [];
  const usual = [...expected];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !usual.some((known) => message.text().includes(known))) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`error: ${error}`));
  page.on('websocket', (socket) => {
    if (/eyJ[\w-]+\./.test(socket.url())) faults.push(`token in a URL: ${socket.url()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(panel.root) && !request.url().startsWith('data:')) faults.push(`foreign request: ${request.url()}`);
    if (/eyJ[\w-]+\./.test(request.url())) faults.push(`token in a URL: ${request.url()}`);
  });
  return {
    page, context, faults,
    expect: (text) => usual.push(text),
    async go(path) {
      await page.goto(`${panel.url}#${path}`);
      await page.locator('main h1, .signin form').first().waitFor();
    },
    async close() {
      // A route that a test answers itself may be in flight.
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      await context.close();
      assert.deepEqual(faults, []);
    },
  };
}

/** Violations of accessibility rules, as text; of all rules unless some are named. */
export async function violations(page, rules) {
  // What fades in has little contrast until it is there.
  await page.waitForFunction(() => document.getAnimations().every((one) => one.playState !== 'running' || one.effect?.getComputedTiming().endTime === Infinity));
  // Outside of the page's policy, like a debugger.
  if (await page.evaluate(() => globalThis.axe === undefined)) await page.evaluate(axe);
  const runOnly = rules ?? ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const look = async () => {
    // A list that is being read again is pale until then.
    await settled(page);
    return (await page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly }), runOnly)).violations;
  };
  let found = await look();
  // It may have been read again during the look.
  if (found.length > 0) found = await look();
  return found.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(' ')} — ${node.failureSummary?.split('\n').slice(1, 2).join('').trim()}`));
}

/** Waits until nothing is loading. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('.pulse') === null && document.querySelector('[aria-busy="true"]') === null);
  await page.waitForTimeout(150);
}
