// What a form of settings began with and what was typed: both follow what is read again, unless a list was changed on both sides.

import { useState } from 'react';
import { isOvertaken, valueChanges } from '../../api/changes.ts';
import { useForm } from '../../ui/form.ts';

/** `name`: of the form. `fresh`: what was read last. `list`: the field that is sent whole. `secrets`: what the browser does not store. */
export function useDraft<T extends object>(name: string, fresh: T, list: keyof T, secrets: readonly (keyof T & string)[] = []) {
  const form = useForm(name, () => fresh, secrets);
  const { began, draft } = form;
  const [seen, setSeen] = useState(fresh);
  const changed = valueChanges(began, draft);
  const overtaken = isOvertaken(began, draft, fresh, list);
  if (Object.keys(valueChanges(seen, fresh)).length > 0) {
    setSeen(fresh);
    if (!overtaken) form.begin(fresh, () => changed);
  }
  return {
    form,
    draft,
    changed,
    overtaken,
    set: form.set,
    /** True if the values, read right before they are sent, make this form's list an old one. */
    isOld: (values: T) => isOvertaken(began, draft, values, list),
    /** Begins with what the panel stored; what was typed since it was sent stays. */
    saved(values: T) {
      form.begin(values, (now) => valueChanges(draft, now));
    },
    /** Begins with the list of somebody else; other fields keep what was typed. */
    takeList(value: T[keyof T]) {
      form.begin({ ...began, [list]: value }, (now) => ({ ...valueChanges(began, now), [list]: value }));
    },
    /** Gives up the changed list for what was read last. */
    loadAgain() {
      const { [list]: _, ...typed } = changed;
      form.begin(fresh, () => typed as unknown as Partial<T>);
    },
  };
}
