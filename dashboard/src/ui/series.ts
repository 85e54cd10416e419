// Traffic over time as bars: hours as the panel counts them, or days of the reader's time zone.

export interface Bar { at: Date; bytes: number }
/** Bytes by hour: pairs of unix seconds and bytes. */
export interface Usages { usages: number[][] }

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export type Range = '24h' | '30d';

/** The start of a range that ends with this hour: a whole hour, or a midnight of the reader's time zone. */
export function startOf(range: Range, now: number): string {
  const hour = Math.floor(now / HOUR) * HOUR;
  return new Date(range === '24h' ? hour - DAY + HOUR : new Date(hour + HOUR / 2 - 29 * DAY).setHours(0, 0, 0, 0)).toISOString();
}

/** Sums hours to days. Where days begin in the middle of an hour of the panel, the hour's middle decides. */
export function days(series: Usages): Bar[] {
  const found = new Map<number, number>();
  for (const [seconds = 0, bytes = 0] of series.usages) {
    const day = new Date(seconds * 1000 + HOUR / 2).setHours(0, 0, 0, 0);
    found.set(day, (found.get(day) ?? 0) + bytes);
  }
  return [...found].map(([day, bytes]) => ({ at: new Date(day), bytes }));
}

export function hours(series: Usages): Bar[] {
  return series.usages.map(([seconds = 0, bytes = 0]) => ({ at: new Date(seconds * 1000), bytes }));
}
