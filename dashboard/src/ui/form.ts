// The values of a form: what it began with and what was typed, which outlives a reload and the end of the session.

import { useEffect, useRef, useState } from 'react';
import { valueChanges } from '../api/changes.ts';
import { drafts } from './drafts.ts';

export interface Form<T extends object = object> {
  /** What the form began with: only what differs from it is sent. */
  began: T;
  draft: T;
  /** True when something would be lost. */
  changed: boolean;
  /** True while the form shows what was typed before a reload, and whether passwords or keys are missing of it. */
  restored: false | 'whole' | 'without secrets';
  set: (next: Partial<T>) => void;
  /** Begins with other values; of what was typed, `typed` stays. */
  begin: (values: T, typed?: (now: T) => Partial<T>) => void;
  /** Gives up what was typed. */
  reset: () => void;
  /** Nothing of the form would be lost any more: it was saved, or given up. */
  finish: () => void;
  /** As `changed`, but also right after `finish`. */
  isUnsaved: () => boolean;
}

interface Kept<T> { began: Partial<T>; typed: Partial<T>; lacks: boolean }

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'list' : value instanceof Date ? 'date' : typeof value);

/** The fields that a form of today's version has, too. */
function fitting<T extends object>(values: Partial<T>, fresh: T): Partial<T> {
  const fits = ([name, value]: [string, unknown]) => {
    const now = fresh[name as keyof T];
    return name in fresh && (now === null || value === null || kindOf(now) === kindOf(value));
  };
  return Object.fromEntries(Object.entries(values).filter(fits)) as Partial<T>;
}

const without = <T extends object>(values: Partial<T>, names: readonly string[]): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name))) as Partial<T>;

/** `name`: of the form and of what it edits. `start`: the stored values. `secrets`: fields that are not stored in the browser. */
export function useForm<T extends object>(name: string, start: () => T, secrets: readonly (keyof T & string)[] = []): Form<T> {
  const [state, setState] = useState(() => {
    const fresh = start();
    const kept = drafts.get(name) as Kept<T> | undefined;
    if (kept === undefined) return { began: fresh, draft: fresh, restored: false as Form['restored'] };
    // Fields that were not changed are those that are stored by now.
    return { began: { ...fresh, ...fitting(kept.began, fresh) }, draft: { ...fresh, ...fitting(kept.typed, fresh) }, restored: kept.lacks ? 'without secrets' as const : 'whole' as const };
  });
  const finished = useRef(false);
  const { began, draft, restored } = state;
  const typed = valueChanges(began, draft);
  const changed = Object.keys(typed).length > 0;
  useEffect(() => {
    if (finished.current) return;
    const stored = without(typed, secrets);
    const names = Object.keys(stored);
    if (names.length === 0) return drafts.drop(name);
    const before = Object.fromEntries(names.map((field) => [field, began[field as keyof T]])) as Partial<T>;
    drafts.set(name, { began: before, typed: stored, lacks: names.length < Object.keys(typed).length } satisfies Kept<T>);
  }, [name, began, draft]);
  const finish = () => {
    finished.current = true;
    drafts.drop(name);
  };
  return {
    began, draft, changed, restored: restored !== false && changed ? restored : false, finish,
    set: (next) => setState((now) => ({ ...now, draft: { ...now.draft, ...next } })),
    begin: (values, stay = () => ({})) => setState((now) => ({ began: values, draft: { ...values, ...stay(now.draft) }, restored: false })),
    reset: () => setState((now) => ({ ...now, draft: now.began, restored: false })),
    isUnsaved: () => !finished.current && changed,
  };
}
