// The second factor: set up with a QR code, asked for at sign-in, reset by a sudo admin, required by a role.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import test, { before } from 'node:test';
import { open, startPanel, until } from './panel.mjs';

let panel;
before(async () => { panel = await startPanel(); });

/** The code of an authenticator app (RFC 6238), of this half minute or one near it. */
function codeOf(secret, steps = 0) {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

const signIn = async (page, name, password) => {
  await page.getByLabel('Username', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
};

test('an app is set up, its code is needed at sign-in, and a sudo admin resets it', async () => {
  const root = await panel.token();
  await panel.call('POST', 'admins', { username: 'sara', password: 'sarapass', is_sudo: false }, root);
  const view = await open(panel, { token: await panel.token('sara', 'sarapass'), expected: ['401', '422'] });
  const { page } = view;
  await view.go('/me');
  await page.getByRole('button', { name: 'Set up an authenticator app' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Your password').fill('wrong');
  await dialog.getByRole('button', { name: 'Set up an authenticator app' }).click();
  await dialog.getByText('This is not your present password.').waitFor();
  await dialog.getByLabel('Your password').fill('sarapass');
  await dialog.getByRole('button', { name: 'Set up an authenticator app' }).click();
  await dialog.getByRole('img', { name: 'QR code for the authenticator app' }).waitFor();
  const secret = await dialog.locator('.copyline code').textContent();
  await dialog.getByLabel('One-time code').fill('000000');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByText('This code is wrong. Compare the clock of your phone.').waitFor();
  await dialog.getByLabel('One-time code').fill(codeOf(secret));
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('Each code signs you in once').waitFor();
  const recovery = await page.locator('ol.codes li').allTextContents();
  assert.equal(recovery.length, 10);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  await page.getByText('10 recovery codes are left.').waitFor();

  const other = await open(panel, { expected: ['401'] });
  await other.go('/');
  await signIn(other.page, 'sara', 'sarapass');
  await other.page.getByLabel('One-time code').fill('000000');
  await other.page.getByRole('button', { name: 'Sign in' }).click();
  await other.page.getByText('This code is wrong or was used already.').waitFor();
  // The next half minute's: that of the present one may be the one that confirmed the app.
  await other.page.getByLabel('One-time code').fill(codeOf(secret, 1));
  await other.page.getByRole('button', { name: 'Sign in' }).click();
  await until('sara is signed in', () => other.page.evaluate(() => localStorage.getItem('sarban.token') !== null));
  await other.close();

  const admins = await open(panel, { token: root });
  await admins.go('/admins');
  await admins.page.getByRole('button', { name: 'Actions for sara' }).click();
  await admins.page.getByRole('menuitem', { name: 'Reset second factor' }).click();
  await admins.page.getByRole('alertdialog').getByRole('button', { name: 'Reset second factor' }).click();
  await admins.page.getByText('Second factor reset').waitFor();
  await panel.token('sara', 'sarapass');
  await admins.close();
  await view.close();
});
