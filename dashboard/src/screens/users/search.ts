// What the list of users shows, as its URL says it.

import type { UserQuery } from '../../api/queries.ts';
import { SIZES } from '../../ui/list.tsx';

export const STATES = ['active', 'expired', 'limited', 'disabled'] as const;
export type StateFilter = (typeof STATES)[number];
export const SORTS = ['username', 'used_traffic', 'data_limit', 'expire_date', 'created_at'] as const;
export type Sort = (typeof SORTS)[number];

export interface UserSearch {
  q?: string;
  state?: StateFilter;
  owner?: string;
  /** Id of a service. */
  service?: number;
  sort?: Sort;
  desc?: boolean;
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

export function readUserSearch(search: Record<string, unknown>): UserSearch {
  const page = Number(search.page);
  const read: UserSearch = {
    q: text(search.q),
    state: one(STATES, search.state),
    owner: text(search.owner),
    service: Number.isInteger(search.service) ? Number(search.service) : undefined,
    sort: one(SORTS, search.sort),
    desc: search.desc === true ? true : undefined,
    page: Number.isInteger(page) && page > 1 ? page : undefined,
    size: one(SIZES, search.size),
    drawer: text(search.drawer),
  };
  return Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined));
}

const FILTERS: Record<StateFilter, Partial<UserQuery>> = {
  active: { is_active: true },
  expired: { expired: true },
  limited: { data_limit_reached: true },
  disabled: { enabled: false },
};

export function apiQuery(search: UserSearch): UserQuery {
  return {
    ...(search.q !== undefined ? { username: [search.q.toLowerCase()] } : {}),
    ...(search.state !== undefined ? FILTERS[search.state] : {}),
    ...(search.owner !== undefined ? { owner_username: search.owner } : {}),
    ...(search.service !== undefined ? { service_id: search.service } : {}),
    ...(search.sort !== undefined ? { order_by: search.sort, descending: search.desc === true } : {}),
    page: search.page ?? 1,
    size: search.size ?? 50,
  } as UserQuery;
}
