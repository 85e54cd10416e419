// Texts by language and key. A language is loaded alone, and the texts of later screens with those screens.
// `src/begin.ts` asks for the first language before this runs.

import type en from './en.ts';
import type moreEn from './more/en.ts';

export const LANGUAGES = { en: 'English', fa: 'فارسی', ar: 'العربية', ru: 'Русский', zh: '中文' } as const;
export type Language = keyof typeof LANGUAGES;
export const RIGHT_TO_LEFT: readonly Language[] = ['fa', 'ar'];

/** A text with `{name}` in place of values; with plural forms it is chosen by `count`. */
export type Text = string | Partial<Record<Intl.LDMLPluralRule, string>>;
export type Messages = Record<keyof typeof en, Text>;
/** Texts that are loaded with the screens that show them. */
export type MoreTexts = Record<keyof typeof moreEn, Text>;
export type Key = keyof Messages | keyof MoreTexts;

type Load<T> = () => Promise<{ default: T }>;
const FIRST: Record<Language, Load<Messages>> = {
  en: () => import('./en.ts'), fa: () => import('./fa.ts'), ar: () => import('./ar.ts'), ru: () => import('./ru.ts'), zh: () => import('./zh.ts'),
};
const MORE: Record<Language, Load<MoreTexts>> = {
  en: () => import('./more/en.ts'), fa: () => import('./more/fa.ts'), ar: () => import('./more/ar.ts'), ru: () => import('./more/ru.ts'), zh: () => import('./more/zh.ts'),
};

const loaded: Partial<Record<Language, Partial<Record<Key, Text>>>> = {};
let shown: Language = firstLanguage();
let wantsMore = false;

function isLanguage(name: string): name is Language {
  return Object.hasOwn(LANGUAGES, name);
}

/** The reader's choice, or the first of the browser's languages that is known. */
export function firstLanguage(): Language {
  const wanted = [localStorage.getItem('sarban.language') ?? '', ...navigator.languages];
  return wanted.map((name) => name.split('-')[0] ?? '').find(isLanguage) ?? 'en';
}

/** Loads what a language needs now; its texts are there when this resolves. */
export async function loadTexts(language: Language): Promise<void> {
  const [first, more] = await Promise.all([FIRST[language](), wantsMore ? MORE[language]() : undefined]);
  loaded[language] = { ...loaded[language], ...first.default, ...more?.default };
  shown = language;
}

/** Loads the texts of later screens, from now on with every language. */
export function loadMoreTexts(): Promise<void> {
  wantsMore = true;
  return loadTexts(shown);
}

export const textsOf = (language: Language): Partial<Record<Key, Text>> => loaded[language] ?? {};
