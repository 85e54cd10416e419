// What a form of settings began with and what was typed: both follow what is read again, unless a list was changed on both sides.

import { useState } from 'react';
import { isOvertaken, valueChanges } from '../../api/changes.ts';

/** `fresh`: what was read last. `list`: the field that is sent whole. */
export function useDraft<T extends object>(fresh: T, list: keyof T) {
  const [began, setBegan] = useState(fresh);
  const [draft, setDraft] = useState(fresh);
  const [seen, setSeen] = useState(fresh);
  const changed = valueChanges(began, draft);
  const overtaken = isOvertaken(began, draft, fresh, list);
  /** Begins with other values; what was typed stays. */
  const begin = (values: T, typed: Partial<T>) => {
    setBegan(values);
    setDraft({ ...values, ...typed });
  };
  if (Object.keys(valueChanges(seen, fresh)).length > 0) {
    setSeen(fresh);
    if (!overtaken) begin(fresh, changed);
  }
  return {
    draft,
    changed,
    overtaken,
    set: (next: Partial<T>) => setDraft((now) => ({ ...now, ...next })),
    /** True if the values, read right before they are sent, make this form's list an old one. */
    isOld: (values: T) => isOvertaken(began, draft, values, list),
    /** Begins with what the panel stored; what was typed since it was sent stays. */
    saved(values: T) {
      setBegan(values);
      setDraft((now) => ({ ...values, ...valueChanges(draft, now) }));
    },
    /** Begins with the list of somebody else; other fields keep what was typed. */
    takeList(value: T[keyof T]) {
      setBegan((now) => ({ ...now, [list]: value }));
      setDraft((now) => ({ ...now, [list]: value }));
    },
    /** Gives up the changed list for what was read last. */
    loadAgain() {
      const { [list]: _, ...typed } = changed;
      begin(fresh, typed as unknown as Partial<T>);
    },
  };
}
