// Numbers, bytes, dates and durations in the reader's language.

import type { Language } from './index.tsx';

/** Calendars that a reader can choose. */
export type CalendarName = 'gregory' | 'persian';

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const;

/** A moment of the API: ISO 8601, UTC if it has no offset. */
export function moment(text: string): Date {
  return new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);
}

export interface Formats {
  number(value: number, digits?: number): string;
  /** Bytes in units of 1024, as data limits have always been counted: `3.2 GB`. */
  bytes(value: number): string;
  percent(part: number): string;
  /** `12 Mar 2027` */
  date(at: Date): string;
  /** `12 Mar 2027, 14:05` */
  exact(at: Date): string;
  hour(at: Date): string;
  /** `14:05:09`, with the date unless it is today. */
  precise(at: Date): string;
  /** `in 3 days`, `2 hours ago` */
  relative(at: Date, now: Date): string;
  /** `30 days` */
  duration(seconds: number): string;
  /** `14 ms`, `5.6 sec`, `21 min` */
  brief(milliseconds: number): string;
  list(items: string[]): string;
}

export function formats(language: Language, calendar: CalendarName): Formats {
  const locale = `${language}-u-ca-${calendar}`;
  const numbers = new Map<number, Intl.NumberFormat>();
  const number = (value: number, digits = 0): string => {
    let format = numbers.get(digits);
    if (format === undefined) numbers.set(digits, (format = new Intl.NumberFormat(language, { maximumFractionDigits: digits })));
    return format.format(value);
  };
  const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
  const date = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'short', day: 'numeric' });
  const exact = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
  const hour = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const dayAndClock = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  const list = new Intl.ListFormat(language, { type: 'conjunction', style: 'short' });
  const units = new Map<string, Intl.NumberFormat>();
  const unit = (value: number, name: string, unitDisplay: 'long' | 'short' = 'long', digits = 1): string => {
    const key = `${name} ${unitDisplay} ${digits}`;
    let format = units.get(key);
    if (format === undefined) units.set(key, (format = new Intl.NumberFormat(language, { style: 'unit', unit: name, unitDisplay, maximumFractionDigits: digits })));
    return format.format(value);
  };
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [[60, 'second'], [3600, 'minute'], [86_400, 'hour'], [86_400 * 400, 'day'], [86_400 * 730, 'month']];
  const size: Record<string, number> = { second: 1, minute: 60, hour: 3600, day: 86_400, month: 2_629_800, year: 31_557_600 };
  return {
    number,
    bytes(value) {
      let index = 0;
      let rest = Math.max(0, value);
      while (rest >= 1024 && index < UNITS.length - 1) {
        rest /= 1024;
        index += 1;
      }
      // An isolated unit: in right-to-left text it stays behind its number.
      return `${number(rest, rest < 10 && index > 0 ? 2 : rest < 100 && index > 0 ? 1 : 0)}\u00a0\u2066${UNITS[index]}\u2069`;
    },
    percent: (part) => percent.format(part),
    date: (at) => date.format(at),
    exact: (at) => exact.format(at),
    hour: (at) => hour.format(at),
    precise: (at) => (at.toDateString() === new Date().toDateString() ? clock : dayAndClock).format(at),
    relative(at, now) {
      const seconds = (at.getTime() - now.getTime()) / 1000;
      const [, name] = steps.find(([limit]) => Math.abs(seconds) < limit) ?? [0, 'year' as const];
      return relative.format(Math.trunc(seconds / (size[name] ?? 1)), name);
    },
    duration(seconds) {
      if (seconds % 86_400 === 0 || seconds >= 3 * 86_400) return unit(seconds / 86_400, 'day');
      if (seconds >= 3600) return unit(seconds / 3600, 'hour');
      return seconds % 60 === 0 || seconds >= 120 ? unit(seconds / 60, 'minute') : unit(seconds, 'second');
    },
    brief(milliseconds) {
      const [value, name]: [number, string] = milliseconds < 1_000 ? [milliseconds, 'millisecond'] : milliseconds < 120_000 ? [milliseconds / 1_000, 'second'] : [milliseconds / 60_000, 'minute'];
      return unit(value, name, 'short', value < 10 && name !== 'millisecond' ? 1 : 0);
    },
    list: (items) => list.format(items),
  };
}

/** Digits of any script, and the decimal marks of all five languages. */
export function numberOf(text: string): number {
  const plain = text.trim()
    .replace(/[٠-٩]/g, (digit) => String(digit.charCodeAt(0) - 0x660))
    .replace(/[۰-۹]/g, (digit) => String(digit.charCodeAt(0) - 0x6f0))
    .replace(/[٫,]/g, '.');
  return plain === '' ? Number.NaN : Number(plain);
}
