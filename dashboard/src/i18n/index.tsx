// Languages: texts by key, and the choice of language, calendar and direction.

import { type ReactNode, createContext, useContext, useEffect, useMemo, useState } from 'react';
import { I18nProvider } from 'react-aria-components/I18nProvider';
import { type CalendarName, type Formats, formats } from './format.ts';
import { type Key, type Language, RIGHT_TO_LEFT, type Text, firstLanguage, loadTexts, textsOf } from './texts.ts';

export { LANGUAGES, type Key, type Language } from './texts.ts';
export type Values = Record<string, string | number>;

const RIGHT_TO_LEFT_LETTER = /[\u0590-\u08ff]/;

/** Makes one value for each language: those of `Intl` take long to make. */
function perLanguage<T>(make: (language: Language) => T): (language: Language) => T {
  const made = new Map<Language, T>();
  return (language) => {
    const value = made.get(language) ?? make(language);
    made.set(language, value);
    return value;
  };
}
const rules = perLanguage((language) => new Intl.PluralRules(language));
const numbers = perLanguage((language) => new Intl.NumberFormat(language));

/** Text of a key with its values. Numbers are written as the language writes them. */
export function text(messages: Partial<Record<Key, Text>>, language: Language, key: Key, values: Values = {}): string {
  const found = messages[key];
  const chosen = typeof found === 'string' ? found : (found?.[rules(language).select(Number(values.count ?? 0))] ?? found?.other ?? '');
  return chosen.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (typeof value === 'number') return numbers(language).format(value);
    if (value === undefined) return '';
    // Names from elsewhere do not change the direction of the sentence around them.
    return RIGHT_TO_LEFT.includes(language) || RIGHT_TO_LEFT_LETTER.test(value) ? `\u2068${value}\u2069` : value;
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

export function Localized({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(firstLanguage);
  const [calendar, setCalendar] = useState<CalendarName | null>(() => {
    const stored = localStorage.getItem('sarban.calendar');
    return stored === 'persian' || stored === 'gregory' ? stored : null;
  });
  const rtl = RIGHT_TO_LEFT.includes(language);
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
      t: (key, values) => text(textsOf(language), language, key, values),
      f: formats(language, used),
      setLanguage(next) {
        // Without its texts, the language stays as it is.
        void loadTexts(next).then(() => {
          localStorage.setItem('sarban.language', next);
          setLanguage(next);
        }, () => undefined);
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
