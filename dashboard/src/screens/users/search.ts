// What the list of users shows, as its URL says it.

import type { UserQuery } from '../../api/queries.ts';
import { SIZES } from '../../ui/sizes.ts';
import { inDays } from './days.ts';

export const STATES = ['active', 'inactive', 'on_hold', 'expired', 'limited', 'nearly_limited', 'disabled'] as const;
export type StateFilter = (typeof STATES)[number];
export const SORTS = ['username', 'used_traffic', 'data_limit', 'expire_date', 'created_at'] as const;
export type Sort = (typeof SORTS)[number];
/** Days within which an account ends. */
export const ENDS = [1, 3, 7, 30] as const;
export const COLUMNS = ['usage', 'limit', 'ends', 'online', 'owner', 'services', 'lifetime', 'fetched', 'app', 'created', 'note'] as const;
export type Column = (typeof COLUMNS)[number];

/** What narrows the list. */
export interface UserFilter {
  q?: string;
  state?: StateFilter;
  /** True: users that nodes are meant to have. */
  on_nodes?: boolean;
  owner?: string;
  /** Id of a service. */
  service?: number;
  /** Within how many days accounts end that have not ended yet. */
  ends?: number;
}

export interface UserSearch extends UserFilter {
  sort?: Sort;
  desc?: boolean;
  /** Columns, unless they are those that were chosen last. */
  cols?: string;
  page?: number;
  size?: number;
  /** `new`, or the name of the user that is edited. */
  drawer?: string;
}

function text(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function one<T>(choices: readonly T[], value: unknown): T | undefined {
  return choices.find((choice) => choice === value);
}

const defined = <T extends object>(search: T): T => Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as T;

export function readUserFilter(search: Record<string, unknown>): UserFilter {
  return defined({
    q: text(search.q),
    state: one(STATES, search.state),
    on_nodes: typeof search.on_nodes === 'boolean' ? search.on_nodes : undefined,
    owner: text(search.owner),
    service: Number.isInteger(search.service) ? Number(search.service) : undefined,
    ends: one<number>(ENDS, search.ends),
  });
}

export function readUserSearch(search: Record<string, unknown>): UserSearch {
  const page = Number(search.page);
  return defined({
    ...readUserFilter(search),
    sort: one(SORTS, search.sort),
    desc: search.desc === true ? true : undefined,
    cols: text(search.cols),
    page: Number.isInteger(page) && page > 1 ? page : undefined,
    size: one(SIZES, search.size),
    drawer: text(search.drawer),
  });
}

/** What a sheet of QR codes shows: users by name, or all who match. */
export interface SheetSearch extends UserFilter {
  /** Names between commas. */
  names?: string;
}

export const readSheetSearch = (search: Record<string, unknown>): SheetSearch => defined({ ...readUserFilter(search), names: text(search.names) });

/** The same list without what narrows it. */
export const NO_FILTER: { [name in keyof Required<UserFilter>]: undefined } = { q: undefined, state: undefined, on_nodes: undefined, owner: undefined, service: undefined, ends: undefined };

export const isFiltered = (search: UserSearch): boolean => Object.keys(NO_FILTER).some((name) => search[name as keyof UserFilter] !== undefined);

/** What a saved view holds: filters, sort and columns. */
export function viewOf(search: UserSearch): UserSearch {
  return defined({ ...search, page: undefined, size: undefined, drawer: undefined });
}

const FILTERS: Record<StateFilter, Partial<UserQuery>> = {
  active: { is_active: true },
  inactive: { is_active: false },
  on_hold: { on_hold: true },
  expired: { expired: true },
  limited: { data_limit_reached: true },
  nearly_limited: { nearly_limited: true },
  disabled: { enabled: false },
};

/** The filter as the API takes it, in a list and in a bulk change. */
export function apiFilter(search: UserFilter): UserQuery {
  return {
    ...(search.q !== undefined ? { username: [search.q.toLowerCase()] } : {}),
    ...(search.state !== undefined ? FILTERS[search.state] : {}),
    ...(search.on_nodes !== undefined ? { activated: search.on_nodes } : {}),
    ...(search.owner !== undefined ? { owner_username: search.owner } : {}),
    ...(search.service !== undefined ? { service_id: search.service } : {}),
    ...(search.ends !== undefined ? { expired: false, expires_before: inDays(search.ends) } : {}),
  };
}

export function apiQuery(search: UserSearch): UserQuery {
  return {
    ...apiFilter(search),
    ...(search.sort !== undefined ? { order_by: search.sort, descending: search.desc === true } : {}),
    page: search.page ?? 1,
    size: search.size ?? 50,
  } as UserQuery;
}
