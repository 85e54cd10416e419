// Languages: texts by key, and the choice of language, calendar and direction.

import { type ReactNode, createContext, useContext, useEffect, useMemo, useState } from 'react';
import { I18nProvider } from 'react-aria-components/I18nProvider';
import ar from './ar.ts';
import en from './en.ts';
import fa from './fa.ts';
import { type CalendarName, type Formats, formats } from './format.ts';
import type moreEn from './more/en.ts';
import ru from './ru.ts';
import zh from './zh.ts';

export const LANGUAGES = { en: 'English', fa: 'فارسی', ar: 'العربية', ru: 'Русский', zh: '中文' } as const;
export type Language = keyof typeof LANGUAGES;
export type Key = keyof typeof en | keyof typeof moreEn;
/** A text with `{name}` in place of values; with plural forms it is chosen by `count`. */
export type Text = string | Partial<Record<Intl.LDMLPluralRule, string>>;
export type Messages = Record<keyof typeof en, Text>;
/** Texts that are loaded with the screens that show them. */
export type MoreTexts = Record<keyof typeof moreEn, Text>;
export type Values = Record<string, string | number>;

const MESSAGES: Record<Language, Partial<Record<Key, Text>>> = { en, fa, ar, ru, zh };

/** Adds the texts of screens before they are shown. */
export function addTexts(more: Record<Language, MoreTexts>): void {
  for (const language of Object.keys(LANGUAGES) as Language[]) Object.assign(MESSAGES[language], more[language]);
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff]/;

/** Text of a key with its values. Numbers are written as the language writes them. */
export function text(messages: Partial<Record<Key, Text>>, language: Language, key: Key, values: Values = {}): string {
  const found = messages[key];
  const form = new Intl.PluralRules(language).select(Number(values.count ?? 0));
  const chosen = typeof found === 'string' ? found : (found?.[form] ?? found?.other ?? '');
  return chosen.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (typeof value === 'number') return new Intl.NumberFormat(language).format(value);
    if (value === undefined) return '';
    // Names from elsewhere do not change the direction of the sentence around them.
    return language === 'fa' || language === 'ar' || RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value;
  });
}

export interface I18n {
  language: Language;
  calendar: CalendarName;
  rtl: boolean;
  t(key: Key, values?: Values): string;
  f: Formats;
  setLanguage(language: Language): void;
  setCalendar(calendar: CalendarName): void;
}

const Context = createContext<I18n | null>(null);

export function useI18n(): I18n {
  const value = useContext(Context);
  if (value === null) throw new Error('outside of Localized');
  return value;
}

function isLanguage(name: string): name is Language {
  return Object.hasOwn(LANGUAGES, name);
}

function firstLanguage(): Language {
  const wanted = [localStorage.getItem('sarban.language') ?? '', ...navigator.languages];
  return wanted.map((name) => name.split('-')[0] ?? '').find(isLanguage) ?? 'en';
}

export function Localized({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(firstLanguage);
  const [calendar, setCalendar] = useState<CalendarName | null>(() => {
    const stored = localStorage.getItem('sarban.calendar');
    return stored === 'persian' || stored === 'gregory' ? stored : null;
  });
  const rtl = language === 'fa' || language === 'ar';
  const used = calendar ?? (language === 'fa' ? 'persian' : 'gregory');
  useEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = rtl ? 'rtl' : 'ltr';
  }, [language, rtl]);
  const value = useMemo<I18n>(
    () => ({
      language,
      calendar: used,
      rtl,
      t: (key, values) => text(MESSAGES[language], language, key, values),
      f: formats(language, used),
      setLanguage(next) {
        localStorage.setItem('sarban.language', next);
        setLanguage(next);
      },
      setCalendar(next) {
        localStorage.setItem('sarban.calendar', next);
        setCalendar(next);
      },
    }),
    [language, used, rtl],
  );
  return (
    <Context value={value}>
      <I18nProvider locale={`${language}-u-ca-${used}`}>{children}</I18nProvider>
    </Context>
  );
}
