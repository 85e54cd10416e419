// What lists have in common: the head, the search field, the pages, and their place in the URL.

import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useI18n } from '../i18n/index.tsx';
import { Button, Choose, Empty, Loaded, type Reading } from './basics.tsx';
import { Icon } from './icons.tsx';
import { type KeyHint, useKeyHints } from './keys.ts';
import { SIZES } from './sizes.ts';

/** What every list has in its URL. */
export interface ListSearch {
  q?: string;
  page?: number;
  /** `new`, or what is edited. */
  drawer?: string;
}

/** Rows of a page, where a list does not let its reader choose. */
export const PAGE_SIZE = 50;

/** The URL of a list: what it says, and how to change it. A change begins at the first page, unless it names one. */
export function useListSearch<T extends ListSearch = ListSearch>() {
  const search = useSearch({ strict: false } as never) as T;
  const navigate = useNavigate();
  const change = (next: Partial<T>) =>
    void navigate({ to: '.', search: ((now: object) => Object.fromEntries(Object.entries({ ...now, page: undefined, ...next }).filter(([, value]) => value !== undefined))) as never });
  return {
    search,
    change,
    /** Opens a drawer, or closes it. */
    show: (drawer?: string) => change({ drawer, page: search.page } as Partial<T>),
    onPage: (page: number) => change({ page: page > 1 ? page : undefined } as Partial<T>),
  };
}

export function ListHead({ title, total, children }: { title: string; total?: number; children?: ReactNode }) {
  const { f } = useI18n();
  return (
    <div className="head">
      <h1>{title}{total !== undefined && <span className="count">{f.number(total)}</span>}</h1>
      {children}
    </div>
  );
}

const SEARCH_KEYS: KeyHint[] = [['/', 'keys.search']];
/** Of every table, see `src/shell/rowKeys.ts`. */
const ROW_KEYS: KeyHint[] = [['j k ↓ ↑', 'keys.rows'], ['Enter', 'keys.open']];

/** A search field whose text is sent when typing pauses. Back and Forward change it, but never while it is typed in. */
export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  useKeyHints(SEARCH_KEYS);
  const [typed, setTyped] = useState(value);
  const sent = useRef(value);
  useEffect(() => {
    if (value !== sent.current) {
      sent.current = value;
      setTyped(value);
    }
  }, [value]);
  useEffect(() => {
    if (typed.trim() === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = typed.trim();
      onChange(sent.current);
    }, 250);
    return () => clearTimeout(timer);
  });
  return (
    <span className="search">
      <Icon name="search" />
      <input className="input" type="search" aria-label={label} placeholder={label} value={typed} onChange={(event) => setTyped(event.target.value)} spellCheck={false} autoCapitalize="none" />
    </span>
  );
}

/** The line above a list: its search, and what else narrows it. */
export function ListTools({ label, children }: { label: string; children?: ReactNode }) {
  const { search, change } = useListSearch();
  useKeyHints(ROW_KEYS);
  return (
    <div className="tools">
      <SearchField label={label} value={search.q ?? ''} onChange={(q) => change({ q: q === '' ? undefined : q })} />
      {children}
    </div>
  );
}

export function NoMatch() {
  const { t } = useI18n();
  const { change } = useListSearch();
  return <div className="tablebox"><Empty title={t('list.no_match')} action={<Button onClick={() => change({ q: undefined })}>{t('filters.clear')}</Button>} /></div>;
}

/** A column of a list. */
export interface Column<T> {
  title: string;
  cell: (item: T) => ReactNode;
  /** At the inline end, as numbers are. */
  end?: boolean;
  /** The title is only for screen readers. */
  untitled?: boolean;
  /** Classes that place the cell where a phone shows rows as cards. */
  place?: string;
}

/** A page of a list as a table: with what is said when nothing is stored, or nothing matches, and the way to other pages. */
export function ListTable<T extends { id: number }>(props: {
  of: Reading<{ items: T[]; page: number; pages: number }>;
  caption: string;
  columns: Column<T>[];
  /** `cards`: rows are cards on a phone; `acts`: with a menu in the last column. */
  look?: 'cards' | 'cards acts';
  empty?: ReactNode;
}) {
  const { search, onPage } = useListSearch();
  return (
    <Loaded of={props.of}>
      {({ items, page, pages }) => items.length === 0 ? (search.q || props.empty === undefined ? <NoMatch /> : <div className="tablebox">{props.empty}</div>) : (
        <>
          <div className={`tablebox ${props.look ?? ''}`}>
            <table className="list">
              <caption className="hidden">{props.caption}</caption>
              <thead>
                <tr>{props.columns.map(({ title, end, untitled }) => <th key={title} scope="col" className={end ? 'end' : undefined}>{untitled ? <span className="hidden">{title}</span> : title}</th>)}</tr>
              </thead>
              <tbody>
                {items.map((item) => (
                  <tr key={item.id}>{props.columns.map(({ title, cell, end, place }) => <td key={title} className={[end ? 'end' : '', place ?? ''].join(' ').trim() || undefined}>{cell(item)}</td>)}</tr>
                ))}
              </tbody>
            </table>
          </div>
          {pages > 1 && <Pages page={page} pages={pages} onPage={onPage} />}
        </>
      )}
    </Loaded>
  );
}

export function Pages({ page, pages, size, onPage, onSize }: { page: number; pages: number; size?: number; onPage: (page: number) => void; onSize?: (size: number) => void }) {
  const { t } = useI18n();
  return (
    <div className="foot">
      <nav className="row" aria-label={t('pages')}>
        <Button icon="back" label={t('page.previous')} disabled={page <= 1} onClick={() => onPage(page - 1)} />
        <span>{t('page.of', { page, pages: Math.max(1, pages) })}</span>
        <Button icon="next" label={t('page.next')} disabled={page >= pages} onClick={() => onPage(page + 1)} />
      </nav>
      {onSize && (
        <label className="row">
          {t('page.size')}
          <Choose value={size} onChange={(event) => onSize(Number(event.target.value))}>
            {SIZES.map((one) => <option key={one} value={one}>{one}</option>)}
          </Choose>
        </label>
      )}
    </div>
  );
}
