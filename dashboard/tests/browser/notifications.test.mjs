// The outbox: a webhook that fails, what was given up, sending it again, filters in the URL.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test from 'node:test';
import { open, settled, startPanel, until } from './panel.mjs';

test('notifications that were given up are sent again', async () => {
  let answers = 500;
  const received = [];
  const webhook = createServer((request, response) => {
    let body = '';
    request.on('data', (some) => { body += some; });
    request.on('end', () => {
      if (answers === 200) received.push(JSON.parse(body));
      response.writeHead(answers).end();
    });
  });
  await new Promise((resolve) => webhook.listen(0, '127.0.0.1', resolve));
  const panel = await startPanel({ WEBHOOK_ADDRESS: `http://127.0.0.1:${webhook.address().port}/`, RECURRENT_NOTIFICATIONS_TIMEOUT: '1', NUMBER_OF_RECURRENT_NOTIFICATIONS: '1' });
  try {
    for (const username of ['ann', 'bahar', 'carl']) await panel.call('POST', 'users', { username, expire_strategy: 'never' });
    await until('three that were given up', async () => (await panel.call('GET', 'notifications?state=dead')).total === 3, 60);
    const view = await open(panel, { token: await panel.token() });
    const { page } = view;
    await view.go('/');
    await page.getByText('3 notifications could not be delivered.').waitFor();
    await page.getByRole('listitem').filter({ hasText: 'could not be delivered' }).getByRole('link').click();
    assert.match(page.url(), /state=dead/);
    await settled(page);
    assert.equal(await page.getByRole('row').count(), 4);

    answers = 200;
    await page.getByRole('row').nth(1).getByRole('button', { name: 'Send again' }).click();
    const dialog = page.getByRole('alertdialog');
    await dialog.getByText('"user_created"').waitFor();
    await dialog.getByRole('button', { name: 'Send again' }).click();
    await page.getByText('It is sent again').waitFor();
    await until('one delivery', async () => received.length === 1);
    // All at once, whatever page they are on; one is deleted before.
    await page.getByRole('row').nth(1).getByRole('button', { name: 'Delete' }).click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Send 1 again' }).click();
    await dialog.getByText('on every page').waitFor();
    await dialog.getByRole('button', { name: 'Send 1 again' }).click();
    await until('another delivery', async () => new Set(received.map((one) => one.user.username)).size === 2);
    await page.getByText('No notification matches').waitFor();
    answers = 500;
    for (const username of ['dora', 'emil']) await panel.call('POST', 'users', { username, expire_strategy: 'never' });
    // The page shows without a reload that they were given up.
    await page.getByRole('button', { name: 'Delete 2' }).click({ timeout: 60_000 });
    await dialog.getByRole('button', { name: 'Delete 2' }).click();
    await page.getByText('No notification matches').waitFor();
    assert.equal((await panel.call('GET', 'notifications?state=dead')).total, 0);

    await page.getByText('Delivered', { exact: true }).first().click();
    await until('two rows', async () => (await page.getByRole('row').count()) === 3);
    await page.getByRole('combobox', { name: 'Channel' }).selectOption('telegram');
    await page.getByText('No notification matches').waitFor();
    assert.match(page.url(), /channel=telegram/);
    await view.close();
  } finally {
    webhook.close();
    await panel.stop();
  }
});
