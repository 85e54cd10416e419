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

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** As `changes`, but lists with the same content are the same. */
export function valueChanges<T extends object>(began: T, now: T): Partial<T> {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => !same(value, began[name as keyof T]))) as Partial<T>;
}

/** True if a list was changed here, and otherwise elsewhere since: sent whole, it would undo the other change. */
export function isOvertaken<T extends object>(began: T, now: T, fresh: T, list: keyof T): boolean {
  return !same(now[list], began[list]) && !same(fresh[list], began[list]) && !same(fresh[list], now[list]);
}
