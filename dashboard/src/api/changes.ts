// What a form sends: the fields that its user changed, so that a save does not undo what others changed meanwhile.

/** The fields of `now` that differ from `began`; lists differ unless they are the same object. */
export function changes<T extends object>(began: T, now: T): Partial<T> {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== began[name as keyof T])) as Partial<T>;
}

/** The ids of `fresh` with what was added and removed between `began` and `now`. */
export function changedIds(began: readonly number[], now: readonly number[], fresh: readonly number[]): number[] {
  const stay = fresh.filter((id) => now.includes(id) || !began.includes(id));
  return [...stay, ...now.filter((id) => !began.includes(id) && !stay.includes(id))];
}
