// What was typed into forms and is not saved yet. It outlives a reload and the end of the session, in this tab, until its
// admin signs out. Secrets are never stored: forms leave them out.

import { session } from '../api/session.ts';

const PREFIX = 'sarban.draft.';
/** A date within the stored JSON. */
const DATE = '$date';

interface Stored { admin: string | null; value: unknown }

function read(key: string): Stored | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? '', (_, value: unknown) =>
      typeof value === 'object' && value !== null && DATE in value ? new Date(String(value[DATE])) : value) as Stored;
  } catch {
    return undefined;
  }
}

export const drafts = {
  /** What the signed-in admin has typed into a form. */
  get(form: string): unknown {
    const stored = read(PREFIX + form);
    return stored?.admin === session.admin() ? stored?.value : undefined;
  },
  set(form: string, value: unknown): void {
    const text = JSON.stringify({ admin: session.admin(), value } satisfies Stored, function (this: Record<string, unknown>, key, given: unknown) {
      const raw = this[key];
      return raw instanceof Date ? { [DATE]: raw } : given;
    });
    try {
      sessionStorage.setItem(PREFIX + form, text);
    } catch {
      // The storage is full: the form still has it.
    }
  },
  drop: (form: string): void => sessionStorage.removeItem(PREFIX + form),
};

/** Nothing of one admin's stays for the next. */
function dropOthers(): void {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(PREFIX) && (session.admin() === null || read(key)?.admin !== session.admin())) sessionStorage.removeItem(key);
  }
}

dropOthers();
session.subscribe(dropOthers);
