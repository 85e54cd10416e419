// Every form holds what was typed, so that it is not lost, and is sent once at a time.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

const source = new URL('../../src/', import.meta.url);
const files = readdirSync(source, { recursive: true }).filter((name) => name.endsWith('.tsx'));
const textOf = (name) => readFileSync(new URL(name, source), 'utf8');

/** Forms with nothing to lose: passwords that are not stored, and questions with a value or two. */
const SHORT = ['screens/SignIn.tsx', 'screens/Setup.tsx', 'screens/profile/ProfilePage.tsx', 'ui/FormDialog.tsx'];

test('a form asks before unsaved work is left', () => {
  const forms = files.filter((name) => textOf(name).includes('<form'));
  assert.ok(forms.includes('ui/EditDrawer.tsx') && forms.includes('screens/settings/SettingsPage.tsx'), forms.join());
  assert.deepEqual(forms.filter((name) => !SHORT.includes(name) && !textOf(name).includes('useUnsaved(')), []);
});

test('a form is sent with useSubmit or EditForm', () => {
  assert.deepEqual(files.filter((name) => textOf(name).includes('<form') && !textOf(name).includes('useSubmit(')), []);
  assert.deepEqual(files.filter((name) => /\bset(Busy|Saving|Sending)\(/.test(textOf(name))), []);
});
