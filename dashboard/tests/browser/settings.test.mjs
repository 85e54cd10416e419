// Settings: only what was changed is sent, rules are tested as they are typed, today's rules are offered and taken, and a
// test message goes to a server in Telegram's place.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test, { after, before } from 'node:test';
import { open, settled, startPanel, until, violations } from './panel.mjs';

const SUBSCRIPTION = 'system/settings/subscription';
const OLD_RULES = [
  { pattern: '^Happ', result: 'xray' },
  { pattern: '^([Cc]lash|[Ss]tash)', result: 'clash' },
  { pattern: '.*', result: 'base64-links' },
];

let panel;
let telegram;
const messages = [];
before(async () => {
  telegram = createServer((request, response) => {
    let body = '';
    request.on('data', (some) => { body += some; });
    request.on('end', () => {
      messages.push({ path: request.url, ...JSON.parse(body) });
      const known = JSON.parse(body).chat_id === '10';
      response.writeHead(known ? 200 : 400, { 'content-type': 'application/json' });
      response.end(JSON.stringify(known ? { ok: true } : { ok: false, description: 'Bad Request: chat not found <b>' }));
    });
  });
  await new Promise((resolve) => telegram.listen(0, '127.0.0.1', resolve));
  panel = await startPanel({ TELEGRAM_API_URL: `http://127.0.0.1:${telegram.address().port}` });
});
after(() => telegram?.close());

/** Bodies of the changes that a page sends, by method and path. */
function sent(page) {
  const bodies = [];
  page.on('request', (request) => {
    if (['POST', 'PUT', 'PATCH'].includes(request.method())) bodies.push([`${request.method()} ${new URL(request.url()).pathname}`, request.postDataJSON()]);
  });
  return bodies;
}

test('a save sends what was changed, and what others changed meanwhile stays', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/settings');
  const bodies = sent(page);
  const save = page.getByRole('button', { name: 'Save', exact: true });
  assert.ok(await save.isDisabled(), 'nothing to save');
  await page.getByLabel('Support link').fill('t.me/mine');
  await panel.call('PATCH', SUBSCRIPTION, { profile_title: 'Set by somebody else' });
  await save.click();
  await page.getByText('Saved', { exact: true }).waitFor();
  assert.deepEqual(bodies, [['PATCH /api/system/settings/subscription', { support_link: 't.me/mine' }]]);
  const now = await panel.call('GET', SUBSCRIPTION);
  assert.deepEqual([now.profile_title, now.support_link], ['Set by somebody else', 't.me/mine']);
  assert.equal(await page.getByLabel('Name in apps').inputValue(), 'Set by somebody else', 'the form shows what is stored');
  assert.ok(await save.isDisabled());
  await view.close();
});

test('a refused rule stays as it was typed', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['422'] });
  const { page } = view;
  await view.go('/settings');
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.getByLabel('Pattern of rule 1', { exact: true }).fill('(');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('rule 1: must be a valid regular expression').waitFor();
  assert.equal(await page.getByLabel('Pattern of rule 1', { exact: true }).inputValue(), '(');
  await view.close();
});

test('the tester says what a user agent gets, with rules that are not saved yet', async () => {
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/settings');
  const tester = page.getByRole('region', { name: 'Test the rules' });
  await tester.getByLabel('This user agent gets…').fill('Flowvy/0.3.3 Mihomo/1.19.27');
  await tester.getByText('clash-meta', { exact: true }).waitFor();
  await tester.getByText('Flowvy', { exact: true }).waitFor();
  await tester.getByText('mihomo 1.19.27').waitFor();
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.getByLabel('Pattern of rule 1', { exact: true }).fill('^Flowvy');
  await tester.getByText('This app reads clash-meta best.').waitFor();
  await tester.getByText('links', { exact: true }).waitFor();
  await page.getByLabel('Format of rule 1', { exact: true }).selectOption('block');
  await tester.getByText('nothing', { exact: true }).waitFor();
  await settled(page);
  assert.deepEqual(await violations(page), []);
  assert.equal((await panel.call('GET', SUBSCRIPTION)).rules.length, 6, 'a test stores nothing');
  await view.close();
});

test("today's rules are offered and taken; own rules stay", async () => {
  await panel.call('PATCH', SUBSCRIPTION, { rules: OLD_RULES });
  const view = await open(panel, { token: await panel.token() });
  const { page } = view;
  await view.go('/settings');
  await page.getByText('Which apps?').click();
  const row = page.getByRole('row').filter({ hasText: 'Karing' });
  assert.match(await row.innerText(), /base64-links\s+sing-box/);
  assert.deepEqual(await violations(page), []);
  const take = page.getByRole('button', { name: 'Use today’s rules' });
  await page.getByLabel('Pattern of rule 1', { exact: true }).fill('^Happ/');
  assert.ok(await take.isDisabled());
  await page.getByText('Save your changes of the rules first.').waitFor();
  await page.getByLabel('Pattern of rule 1', { exact: true }).fill('^Happ');
  await page.getByLabel('Support link').fill('typed');
  await take.click();
  const question = page.getByRole('alertdialog');
  await question.getByText('All other apps get the same as before.').waitFor();
  await question.getByRole('button', { name: 'Use today’s rules' }).click();
  await page.getByText('Today’s rules are in use').waitFor();
  await until('the notice goes', async () => (await page.getByText('Which apps?').count()) === 0);
  const { rules } = await panel.call('GET', SUBSCRIPTION);
  assert.deepEqual([rules[0], rules.at(-1)], [OLD_RULES[0], OLD_RULES[2]]);
  assert.equal(await page.getByLabel('Pattern of rule 2', { exact: true }).inputValue(), rules[1].pattern);
  assert.equal(await page.getByLabel('Support link').inputValue(), 'typed', 'what was typed stays');
  await view.close();
});

test('Telegram: a test message with what is typed, then saved field by field', async () => {
  const view = await open(panel, { token: await panel.token(), expected: ['409', '422'] });
  const { page } = view;
  await view.go('/settings');
  await page.getByRole('link', { name: 'Telegram' }).click();
  await page.getByText('No bot is stored.').waitFor();
  const bodies = sent(page);
  const button = page.getByRole('button', { name: 'Send a test message' });
  await button.click();
  await page.getByText('No Telegram bot is set').waitFor();
  await page.getByLabel('Token of the bot').fill('12:ab/c');
  await button.click();
  await page.getByText('must be a token as @BotFather shows it').first().waitFor();
  await page.getByLabel('Token of the bot').fill('12:ab-C');
  await page.getByLabel('Chat ids of admins').fill('ten');
  await page.getByText('Ids are whole numbers.').waitFor();
  assert.ok(await button.isDisabled());
  await page.getByLabel('Chat ids of admins').fill('۱۰\n11');
  await button.click();
  await page.getByText('Arrived', { exact: true }).waitFor();
  await page.getByText('Did not arrive').waitFor();
  await page.getByText('chat not found <b>; check the id').waitFor();
  assert.deepEqual(messages.map(({ path, chat_id: chat }) => [path, chat]).sort(), [['/bot12:ab-C/sendMessage', '10'], ['/bot12:ab-C/sendMessage', '11']]);
  assert.equal(await panel.call('GET', 'system/settings/telegram'), null, 'a test stores nothing');
  assert.deepEqual(await violations(page), []);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved', { exact: true }).waitFor();
  assert.deepEqual(await panel.call('GET', 'system/settings/telegram'), { token: '12:ab-C', admin_id: [10, 11], channel_id: null });
  await panel.call('PATCH', 'system/settings/telegram', { admin_id: [10] });
  await page.getByLabel('Channel id').fill('-100');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await until('the channel', async () => (await panel.call('GET', 'system/settings/telegram')).channel_id === -100);
  assert.deepEqual(bodies.at(-1), ['PATCH /api/system/settings/telegram', { channel_id: -100 }]);
  assert.deepEqual((await panel.call('GET', 'system/settings/telegram')).admin_id, [10], 'what somebody else set stays');
  await view.close();
});
