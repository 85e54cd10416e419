// Passkeys with a virtual authenticator: added, used to sign in without a password, renamed, removed.

import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { open, startPanel, until, violations } from './panel.mjs';

let panel;
before(async () => { panel = await startPanel(); });

/** The panel under a host name: browsers have no passkeys for addresses. */
const named = () => {
  const root = panel.root.replace('127.0.0.1', 'localhost');
  return { ...panel, root, url: panel.url.replace(panel.root, root) };
};

/** A device that recognizes its user; returns a function that has it refuse the user. */
async function addDevice({ context, page }) {
  const cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options });
  return (isUserVerified) => cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
}

const isSignedIn = (page) => page.evaluate(() => localStorage.getItem('sarban.token') !== null);

test('a passkey is added, signs its admin in alone, and is renamed and removed', async () => {
  await panel.call('POST', 'admins', { username: 'sara', password: 'sarapass', is_sudo: false });
  const view = await open(named(), { token: await panel.token('sara', 'sarapass'), expected: ['401', '422'] });
  const { page } = view;
  const recognize = await addDevice(view);
  await view.go('/me');
  const add = async (name, password) => {
    await page.getByRole('button', { name: 'Add passkey' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByLabel('Your password').fill(password);
    await dialog.getByRole('button', { name: 'Add passkey' }).click();
    return dialog;
  };
  const refused = await add('my phone', 'wrong');
  await refused.getByText('This is not your present password.').waitFor();
  await refused.getByRole('button', { name: 'Cancel' }).click();
  await add('my phone', 'sarapass');
  await page.getByText('Each code signs you in once').waitFor();
  assert.equal(await page.locator('ol.codes li').count(), 10);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  await page.getByText('my phone', { exact: true }).waitFor();
  await page.getByText('Never used').waitFor();
  assert.deepEqual(await violations(page), []);
  const again = await add('the same', 'sarapass');
  await again.getByText('This device has a passkey of yours already.').waitFor();
  await again.getByRole('button', { name: 'Cancel' }).click();

  await page.evaluate(() => localStorage.removeItem('sarban.token'));
  await page.reload();
  await page.locator('.signin form').waitFor();
  assert.deepEqual(await violations(page), []);
  await recognize(false);
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByText('No passkey was used.').waitFor();
  assert.equal(await isSignedIn(page), false);
  await recognize(true);
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await until('sara is signed in', () => isSignedIn(page));

  await view.go('/me');
  await page.getByRole('button', { name: 'Actions for my phone' }).click();
  await page.getByRole('menuitem', { name: 'Rename my phone' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('blue phone');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByText('blue phone', { exact: true }).waitFor();
  assert.equal(await page.getByText('Never used').count(), 0);
  await page.getByRole('button', { name: 'Actions for blue phone' }).click();
  await page.getByRole('menuitem', { name: 'Remove blue phone' }).click();
  await page.getByRole('alertdialog').getByLabel('Your password').fill('sarapass');
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove blue phone' }).click();
  await page.getByText('A passkey signs you in without a password').waitFor();
  await panel.token('sara', 'sarapass');

  // The device still has it.
  await page.evaluate(() => localStorage.removeItem('sarban.token'));
  await page.reload();
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByText('No admin of this panel has this passkey.').waitFor();
  await view.close();
});

test('where a browser can have no passkeys, none is offered', async () => {
  const view = await open(panel);
  await view.go('/');
  await view.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  assert.equal(await view.page.getByRole('button', { name: 'Sign in with a passkey' }).count(), 0);
  await view.close();
  const own = await open(panel, { token: await panel.token() });
  await own.go('/me');
  await own.page.getByText('This browser has passkeys only where the panel has an HTTPS address with a host name.').waitFor();
  assert.equal(await own.page.getByRole('button', { name: 'Add passkey' }).count(), 0);
  await own.close();
});
