// The audit log: an entry with its difference, without secrets; filters and an open entry in the URL; a new entry appears.

import assert from 'node:assert/strict';
import test from 'node:test';
import { open, settled, startPanel, until } from './panel.mjs';

test('changes are listed with what differs, and filtered', async () => {
  const panel = await startPanel();
  try {
    const ann = await panel.call('POST', 'users', { username: 'ann', expire_strategy: 'never', data_limit: 5 });
    await panel.call('PUT', 'users/ann', { username: 'ann', note: 'paid' });
    await panel.call('POST', 'users/ann/revoke_sub');
    await panel.call('POST', 'services', { name: 'gold' });
    const view = await open(panel, { token: await panel.token() });
    const { page } = view;
    await view.go('/audit');
    await settled(page);
    const row = (text) => page.getByRole('row').filter({ hasText: text }).first();
    await row('service.create').getByText('gold').waitFor();

    await row('user.update').getByRole('button', { name: 'Details' }).click();
    await page.getByRole('row', { name: 'note paid', exact: true }).waitFor();
    assert.match(page.url(), /open=\d+/);
    await row('user.revoke').getByRole('button', { name: 'Details' }).click();
    await page.getByText('*** (changed)').waitFor();
    assert.equal((await page.locator('body').innerText()).includes(ann.key), false, 'no key is on the screen');

    await page.getByRole('combobox', { name: 'Object' }).selectOption('service');
    await until('only services', async () => (await page.getByText('user.create').count()) === 0);
    assert.match(page.url(), /object=service/);
    await page.goBack();
    await row('user.create').waitFor();

    await page.getByRole('searchbox', { name: 'Name of the object' }).fill('gold');
    await until('one entry', async () => (await page.getByRole('row').count()) === 2);
    await page.getByRole('searchbox', { name: 'Name of the author' }).fill('nobody');
    await page.getByText('Nothing matches').first().waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).first().click();

    await panel.call('POST', 'services', { name: 'silver' });
    await row('silver').waitFor({ timeout: 7_000 });
    await view.close();
  } finally {
    await panel.stop();
  }
});
