// Moments some days away.

const HOUR = 3_600_000;

/** So many days from now, to the full hour away from now, so that the same list is not another one each second. */
export const inDays = (days: number, now = Date.now()): string => {
  const hours = now / HOUR + days * 24;
  return new Date((days < 0 ? Math.floor(hours) : Math.ceil(hours)) * HOUR).toISOString();
};
