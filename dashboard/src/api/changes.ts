// What a form sends: the fields that its user changed, so that a save does not undo what others changed meanwhile.

/** The fields of `now` that differ from `began`; lists differ unless they are the same object. */
export function changes<T extends object>(began: T, now: T): Partial<T> {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== began[name as keyof T])) as Partial<T>;
}
