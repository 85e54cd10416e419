// Nodes and the cluster: live log, configuration refused and applied, reasons with advice, runs, notifications.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test, { before } from 'node:test';
import { open, settled, startPanel, until } from './panel.mjs';

let panel;
let node;
before(async () => {
  panel = await startPanel();
  ({ node } = await panel.furnish());
});

const log = (line) => panel.control({ do: 'log', line: `${line}\n` });

test('a log over its WebSocket: live, level, search, pause, and again after it broke', async () => {
  // The panel names the reason when it closes the socket; the browser writes nothing about it.
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go(`/nodes/${node.id}`);
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  await page.getByText('Live', { exact: true }).waitFor();
  const box = page.getByRole('region', { name: 'Log of xray' });
  const lines = () => box.locator('p').allInnerTexts();
  await box.getByText('xray log line 2 buffer=True').waitFor();
  await log('2026/11/29 02:26:47 [Warning] disk <b>full</b>');
  await log('2026/11/29 02:26:48 [Info] all is well');
  await log('2026/11/29 02:26:49 from 192.0.2.1:5 accepted tcp:example.org:443');
  await box.getByText('disk <b>full</b>').waitFor();
  await box.getByText('accepted tcp').waitFor();

  await page.getByLabel('Level').selectOption('warning');
  assert.deepEqual(await lines(), ['2026/11/29 02:26:47 [Warning] disk <b>full</b>']);
  assert.match(page.url(), /level=warning/);
  await page.getByLabel('Level').selectOption('');
  await page.getByRole('searchbox', { name: 'Search in the log' }).fill('WELL');
  assert.deepEqual(await lines(), ['2026/11/29 02:26:48 [Info] all is well']);
  assert.equal(await box.locator('mark').innerText(), 'well');
  await page.reload();
  await page.getByText('1 of 6 lines').waitFor();
  await page.getByRole('searchbox', { name: 'Search in the log' }).fill('');

  await page.getByRole('button', { name: 'Pause' }).click();
  await log('while paused');
  await page.getByText('Paused; 1 new line since').waitFor();
  assert.ok(!(await lines()).includes('while paused'));
  await page.getByRole('button', { name: 'Continue' }).click();
  await box.getByText('while paused').waitFor();

  const first = await lines();
  await panel.control({ do: 'drop_connections' });
  await page.getByText('The log broke off.').waitFor();
  await page.getByText('The node closed the log').waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  await log('after the break');
  await box.getByText('after the break').waitFor();
  assert.deepEqual(await lines(), [...first, 'after the break'], 'no line is missing or doubled');
  await view.close();
});

test('a log says why it can’t be read', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['WebSocket', '502'] });
  const { page } = view;
  const absent = await panel.call('POST', 'nodes', { name: 'gone', address: '127.0.0.1', port: 9, connection_backend: 'grpcio' });
  await view.go(`/nodes/${absent.id}/status`);
  await page.getByText('Nothing listens at 127.0.0.1:9. Is the node program running there?').waitFor({ timeout: 20_000 });
  await page.getByText('Not connected; it gets its full list when it is').waitFor();
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  await page.getByText('The node has not reported any engine.').waitFor();
  await view.close();
  await panel.call('DELETE', `nodes/${absent.id}`);
});

test('a configuration: syntax with its line, refused in the engine’s words, then applied', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  await view.go(`/nodes/${node.id}/config`);
  const editor = page.locator('.code .cm-content');
  await editor.waitFor();
  await page.getByText('As it runs').waitFor();
  const write = async (text) => {
    await editor.click();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(text);
  };
  const shown = async () => (await editor.locator('.cm-line').allInnerTexts()).map((line) => line.replace(/\n$/, '')).join('\n');

  await write('{\n  "log": {},\n  "inbounds" []\n}');
  await page.getByText('Syntax error in line 3, column 14').waitFor();
  assert.equal(await page.locator('.code .cm-fault').innerText(), '  "inbounds" []');

  const refused = '{\n  "inbounds": [{"tag": "vless", "protocol": "nonsense", "port": 443}]\n}';
  await write(refused);
  await page.getByText('Edited, not applied').waitFor();
  await page.getByRole('button', { name: 'Apply and restart' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.waitFor();
  assert.deepEqual(await dialog.locator('tr.removed code').allInnerTexts(), ['{"log": {"loglevel": "warning"}}']);
  assert.equal((await dialog.locator('tr.added code').allInnerTexts()).join('\n'), refused);
  await dialog.getByRole('button', { name: 'Apply and restart' }).click();
  await page.getByText('Not applied. Your text is still here.').waitFor({ timeout: 40_000 });
  await page.getByText('unknown config id: nonsense').waitFor();
  assert.equal(await shown(), refused);
  assert.equal((await panel.call('GET', `nodes/${node.id}/xray/config`)).config, '{"log": {"loglevel": "warning"}}');
  // The text outlives a look at the log.
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  await page.getByText('Live', { exact: true }).waitFor();
  await page.goBack();
  await editor.waitFor();
  assert.equal(await shown(), refused);

  const good = '{\n  // less\n  "log": {"loglevel": "error"},\n}';
  await write(good);
  await page.getByRole('button', { name: 'Apply and restart' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Apply and restart' }).click();
  await page.getByText('The engine runs with it').waitFor({ timeout: 40_000 });
  await page.getByText('As it runs').waitFor();
  assert.equal((await panel.call('GET', `nodes/${node.id}/xray/config`)).config, good);

  const file = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  assert.equal((await file).suggestedFilename(), 'fra-1-xray.json');
  await page.getByLabel('Format').selectOption('YAML');
  await write('a:\n  - b\n c: [');
  await page.getByText(/Syntax error in line 3/).waitFor();
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await page.getByText('As it runs').waitFor();
  assert.equal(await shown(), good);
  await view.close();
});

test('a configuration that somebody else changed meanwhile is compared with what runs now', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go(`/nodes/${node.id}/config`);
  const editor = page.locator('.code .cm-content');
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText('{"log": {"loglevel": "info"}}');
  await panel.call('PUT', `nodes/${node.id}/xray/config`, { config: '{"log": {"loglevel": "debug"}}', format: 1 });
  await page.getByRole('button', { name: 'Apply and restart' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.getByText('It was changed elsewhere').waitFor();
  assert.deepEqual(await dialog.locator('tr.removed code').allInnerTexts(), ['{"log": {"loglevel": "debug"}}']);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await view.close();
});

test('a new node may count nothing, and its users are in step', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go(`/nodes/${node.id}/status`);
  await page.getByText('It has the latest state of all users').waitFor({ timeout: 20_000 });
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Traffic counts').fill('0');
  await page.getByText('Only a new node can have 0.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Save' }).isDisabled(), true);
  // A changed form would ask before it is left.
  await page.getByLabel('Traffic counts').fill('1');
  const free = await panel.call('POST', 'nodes', { name: 'free', address: '127.0.0.1', port: 9, usage_coefficient: 0 });
  await view.go(`/nodes/${free.id}/status?drawer=edit`);
  await page.getByLabel('Name').fill('gratis');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'gratis', exact: true }).waitFor();
  await page.getByText('× 0', { exact: true }).waitFor();
  await view.close();
  await panel.call('DELETE', `nodes/${free.id}`);
});

test('how to join: one command with the panel’s certificate', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/nodes?drawer=new');
  const { certificate } = await panel.call('GET', 'nodes/settings');
  await page.getByRole('dialog').locator('pre').waitFor();
  const command = await page.getByRole('dialog').locator('pre').textContent();
  assert.ok(command.includes(`client.pem <<'END' &&\n${certificate.trimEnd()}\nEND\n`), command);
  assert.match(command, /docker run -d .* --network host /);
  assert.ok(command.includes('SERVICE_PORT=53042 ') && command.includes('SSL_CLIENT_CERT_FILE='), command);
  // A shell takes it: every quote and brace is closed.
  assert.equal(spawnSync('bash', ['-n'], { input: command }).status, 0);
  await page.getByLabel('Port').fill('62050');
  await page.getByText('Every panel must reach port 62050').waitFor();
  assert.ok((await page.getByRole('dialog').locator('pre').textContent()).includes('SERVICE_PORT=62050 '));
  await page.getByLabel('Connection').selectOption('grpcio');
  await page.getByRole('dialog').locator('pre').waitFor({ state: 'detached' });
  await view.close();
});

test('runs of the cluster on a timeline, with filters in the URL', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await until('runs', async () => (await panel.call('GET', 'cluster/runs')).total > 3);
  await view.go('/cluster');
  await page.getByRole('img', { name: 'Runs over time' }).waitFor();
  const [{ task }] = (await panel.call('GET', 'cluster/runs')).items;
  await page.getByRole('combobox', { name: 'Task' }).selectOption(task);
  await until('one lane', async () => (await page.locator('.timeline .lane').count()) === 1);
  assert.match(page.url(), new RegExp(`task=${task}`));
  assert.ok((await page.locator('.timeline .run').count()) > 0);
  await page.getByRole('combobox', { name: 'Result' }).selectOption('Failed');
  await page.getByText('No run matches').waitFor();
  await page.goBack();
  await page.getByRole('img', { name: 'Runs over time' }).waitFor();
  await view.close();
});

test('"all right" is not said before everything is known', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  let answer;
  await page.route('**/api/notifications?*', async (route) => { await new Promise((resolve) => { answer = resolve; }); await route.continue(); });
  await view.go('/');
  await page.getByRole('link', { name: 'fra-1' }).waitFor();
  await page.waitForTimeout(500);
  assert.equal(await page.getByText('Everything is all right').count(), 0);
  answer();
  await page.getByText('Everything is all right').waitFor();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await settled(page);
  await view.close();
});
