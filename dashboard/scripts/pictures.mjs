// Takes the README's pictures of the dashboard from the demo: `make pictures`.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const target = process.env.CARGO_TARGET_DIR ?? new URL('../../target', import.meta.url).pathname;
const demo = new URL('../../tests/support/demo.py', import.meta.url).pathname;
const folder = new URL('../../docs/pictures/', import.meta.url);
const PICTURES = [
  { name: 'home', path: '/', language: 'en', theme: 'light', width: 1280, height: 850 },
  { name: 'user', path: '/users/bahar', language: 'fa', theme: 'dark', width: 1280, height: 850 },
];
/** Bytes of a picture: history holds every one that was ever committed. */
const MOST = 75_000;

const running = spawn('python3', [demo, join(target, 'debug/sarban'), join(target, 'debug/examples/test_node')], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise((resolve) => running.once('exit', resolve));
const url = await new Promise((resolve, reject) => {
  let output = '';
  running.stdout.on('data', (some) => {
    output += some;
    const found = /http:\S+/.exec(output);
    if (found && output.includes('Ctrl-C')) resolve(found[0]);
  });
  running.once('exit', () => reject(new Error(`the demo ended: ${output}`)));
});
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
try {
  const answer = await fetch(new URL('../api/admins/token', url), { method: 'POST', body: new URLSearchParams({ username: 'root', password: 'rootpass' }) });
  const { access_token: token } = await answer.json();
  mkdirSync(folder, { recursive: true });
  // Some traffic of today, beside the history.
  await new Promise((resolve) => setTimeout(resolve, 15_000));
  for (const { name, path, language, theme, width, height } of PICTURES) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
    await context.addInitScript(([held, lang]) => {
      localStorage.setItem('sarban.token', held);
      localStorage.setItem('sarban.language', lang);
    }, [token, language]);
    const page = await context.newPage();
    await page.goto(`${url}#${path}`);
    await page.locator('main h1').waitFor();
    await page.waitForFunction(() => document.querySelector('.pulse') === null && document.querySelector('.chart') !== null);
    await page.waitForTimeout(500);
    const session = await context.newCDPSession(page);
    const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 82 });
    const picture = Buffer.from(data, 'base64');
    if (picture.length > MOST) throw new Error(`${name}: ${picture.length} bytes, ${MOST} at most`);
    writeFileSync(new URL(`${name}.webp`, folder), picture);
    console.log(`docs/pictures/${name}.webp ${picture.length} bytes`);
    await context.close();
  }
} finally {
  await browser.close();
  running.kill('SIGINT');
  await ended;
}
