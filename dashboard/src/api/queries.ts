// What screens read, by name. Open screens read again when the panel announces a change, and every few seconds what it does
// not announce; hidden ones not at all.

import { QueryClient, keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Schemas, api, data } from './client.ts';
import { everything } from './everything.ts';
import { statusOf } from './errors.ts';
import { announcedInterval, partlyAnnouncedInterval } from './live.ts';
import type { paths } from './schema.d.ts';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // A refusal stays one; everything else is worth two more tries.
      retry: (tries, error) => tries < 2 && ![400, 401, 403, 404, 409, 422].includes(statusOf(error)),
      refetchOnWindowFocus: true,
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
});

/** Milliseconds between two reads of what is not announced. */
const LIVE = 5_000;
/** Milliseconds between two reads of what changes rarely. */
const SLOW = 30_000;

export type UserQuery = NonNullable<paths['/api/users']['get']['parameters']['query']>;

export const me = () =>
  queryOptions({ queryKey: ['me'], queryFn: ({ signal }) => data(api.GET('/api/admins/current', { signal })), staleTime: SLOW });

/** The signed-in admin's saved views. */
export const views = () =>
  queryOptions({ queryKey: ['views'], queryFn: ({ signal }) => data(api.GET('/api/views', { signal })), staleTime: SLOW });

export const users = (query: UserQuery) =>
  queryOptions({
    queryKey: ['users', 'list', query],
    queryFn: ({ signal }) => data(api.GET('/api/users', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: announcedInterval,
  });

export const user = (username: string) =>
  queryOptions({
    queryKey: ['users', 'one', username],
    queryFn: ({ signal }) => data(api.GET('/api/users/{username}', { params: { path: { username } }, signal })),
    refetchInterval: announcedInterval,
  });

export const explanation = (username: string, query: { user_agent?: string; format?: string; document?: boolean }) =>
  queryOptions({
    queryKey: ['users', 'explanation', username, query],
    queryFn: ({ signal }) =>
      data(api.GET('/api/users/{username}/subscription', { params: { path: { username }, query }, signal })),
    placeholderData: keepPreviousData,
  });

/** Everything that stands in the way of a user, for an app or for the last one that fetched the subscription. */
export const diagnosis = (id: number, username: string, agent: string) =>
  queryOptions({
    queryKey: ['diagnosis', id, username, agent],
    queryFn: ({ signal }) =>
      data(api.GET('/api/users/{username}/diagnosis', { params: { path: { username }, query: agent === '' ? {} : { as: agent } }, signal })),
    placeholderData: keepPreviousData,
    // Nothing announces that a node has confirmed a change.
    refetchInterval: (query) => (query.state.data?.findings.some(({ code }) => code === 'change_pending' || code === 'node_out_of_step') ? LIVE : announcedInterval()),
  });

export const userTraffic = (username: string, start: string) =>
  queryOptions({
    queryKey: ['users', 'usage', username, start],
    queryFn: ({ signal }) =>
      data(api.GET('/api/users/{username}/usage', { params: { path: { username }, query: { start } }, signal })),
    staleTime: SLOW,
  });

export const userStats = () =>
  queryOptions({
    queryKey: ['stats', 'users'],
    queryFn: ({ signal }) => data(api.GET('/api/system/stats/users', { signal })),
    refetchInterval: announcedInterval,
  });

/** Number of users that a filter matches. */
export const userCount = (query: Partial<UserQuery>) =>
  queryOptions({
    queryKey: ['users', 'count', query],
    queryFn: async ({ signal }) => (await data(api.GET('/api/users', { params: { query: { ...query, size: 1 } as UserQuery }, signal }))).total,
    placeholderData: keepPreviousData,
    refetchInterval: announcedInterval,
  });

export const trafficByNode = (start: string) =>
  queryOptions({
    queryKey: ['stats', 'traffic-by-node', start],
    queryFn: ({ signal }) => data(api.GET('/api/system/stats/traffic/nodes', { params: { query: { start } }, signal })),
    refetchInterval: SLOW,
    placeholderData: keepPreviousData,
  });

/** Work that is waiting. Nothing announces that it is done, but most of what makes some. */
export const backlog = () =>
  queryOptions({
    queryKey: ['backlog'],
    queryFn: ({ signal }) => data(api.GET('/api/system/stats/backlog', { signal })),
    refetchInterval: partlyAnnouncedInterval,
  });

/** The traffic of one admin's users. */
export const trafficOf = (owner: string, start: string) =>
  queryOptions({
    queryKey: ['stats', 'traffic', owner, start],
    queryFn: ({ signal }) => data(api.GET('/api/system/stats/traffic', { params: { query: { start, owner_username: owner } }, signal })),
    staleTime: SLOW,
  });

export const traffic = (start: string) =>
  queryOptions({
    queryKey: ['stats', 'traffic', start],
    queryFn: ({ signal }) => data(api.GET('/api/system/stats/traffic', { params: { query: { start } }, signal })),
    refetchInterval: SLOW,
    placeholderData: keepPreviousData,
  });

export const nodes = () =>
  queryOptions({
    queryKey: ['nodes'],
    queryFn: ({ signal }) => everything((page) => data(api.GET('/api/nodes', { params: { query: page }, signal }))),
    refetchInterval: announcedInterval,
  });

export const nodeSettings = () =>
  queryOptions({ queryKey: ['node-settings'], queryFn: ({ signal }) => data(api.GET('/api/nodes/settings', { signal })) });

/** A page of the nodes whose name contains a text. */
export const nodePage = (query: { name?: string; page?: number; size?: number }) =>
  queryOptions({
    queryKey: ['nodes', 'list', query],
    queryFn: ({ signal }) => data(api.GET('/api/nodes', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: announcedInterval,
  });

/** A page of services with the number of their users. */
export const servicePage = (query: { name?: string; page?: number; size?: number }) =>
  queryOptions({
    queryKey: ['services', 'list', query],
    queryFn: ({ signal }) => data(api.GET('/api/services', { params: { query: { ...query, count_users: true } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: SLOW,
  });

export const inboundPage = (query: { tag?: string; page?: number; size?: number }) =>
  queryOptions({
    queryKey: ['inbounds', 'list', query],
    queryFn: ({ signal }) => data(api.GET('/api/inbounds', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: SLOW,
  });

export const adminPage = (query: { username?: string; page?: number; size?: number }) =>
  queryOptions({
    queryKey: ['admins', 'list', query],
    queryFn: ({ signal }) => data(api.GET('/api/admins', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    staleTime: SLOW,
  });

/** What an admin may have and use, and what is used. */
export const quota = (username: string) =>
  queryOptions({
    queryKey: ['quota', username],
    queryFn: ({ signal }) => data(api.GET('/api/admins/{username}/quota', { params: { path: { username } }, signal })),
    refetchInterval: announcedInterval,
  });
export const quotasChanged = () => queryClient.invalidateQueries({ queryKey: ['quota'] });

/** The services that the admin may assign, for choices. */
export const services = () =>
  queryOptions({
    queryKey: ['services', 'all'],
    queryFn: ({ signal }) => everything((page) => data(api.GET('/api/services', { params: { query: { ...page, count_users: true } }, signal }))),
    staleTime: SLOW,
  });

/** All admins, for choices. */
export const admins = () =>
  queryOptions({
    queryKey: ['admins', 'all'],
    queryFn: ({ signal }) => everything((page) => data(api.GET('/api/admins', { params: { query: page }, signal }))),
    staleTime: SLOW,
  });

export const inbounds = () =>
  queryOptions({
    queryKey: ['inbounds', 'all'],
    queryFn: ({ signal }) => everything((page) => data(api.GET('/api/inbounds', { params: { query: page }, signal }))),
    refetchInterval: SLOW,
  });

export const hosts = () =>
  queryOptions({
    queryKey: ['hosts', 'all'],
    queryFn: ({ signal }) => everything((page) => data(api.GET('/api/inbounds/hosts', { params: { query: page }, signal }))),
    refetchInterval: SLOW,
  });

/** The hosts of an inbound, or those with a text in name or address: for lists that are too long to be loaded whole. */
export const foundHosts = ({ text = '', inbound }: { text?: string; inbound?: number }) =>
  queryOptions({
    queryKey: ['hosts', 'found', text, inbound],
    queryFn: ({ signal }) => everything((page) => inbound === undefined
      ? data(api.GET('/api/inbounds/hosts', { params: { query: { ...page, search: text } }, signal }))
      : data(api.GET('/api/inbounds/{id}/hosts', { params: { path: { id: inbound }, query: page }, signal }))),
    placeholderData: keepPreviousData,
    refetchInterval: SLOW,
  });

export const host = (id: number) =>
  queryOptions({
    queryKey: ['hosts', 'one', id],
    queryFn: ({ signal }) => data(api.GET('/api/inbounds/hosts/{id}', { params: { path: { id } }, signal })),
  });

export type PreviewQuery = NonNullable<paths['/api/inbounds/hosts/preview']['post']['parameters']['query']>;

/** A host as apps would get it if it were stored like this. */
export const hostPreview = (body: Schemas['HostBody'], query: PreviewQuery) =>
  queryOptions({
    queryKey: ['hosts', 'preview', body, query],
    queryFn: ({ signal }) => data(api.POST('/api/inbounds/hosts/preview', { params: { query }, body, signal })),
    placeholderData: keepPreviousData,
    gcTime: 0,
  });

export const cluster = () =>
  queryOptions({
    queryKey: ['cluster'],
    queryFn: ({ signal }) => data(api.GET('/api/cluster', { signal })),
    refetchInterval: partlyAnnouncedInterval,
  });

export type RunQuery = NonNullable<paths['/api/cluster/runs']['get']['parameters']['query']>;

export const runs = (query: RunQuery) =>
  queryOptions({
    queryKey: ['cluster', 'runs', query],
    queryFn: ({ signal }) => data(api.GET('/api/cluster/runs', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: partlyAnnouncedInterval,
  });

export type NotificationQuery = NonNullable<paths['/api/notifications']['get']['parameters']['query']>;

export const notifications = (query: NotificationQuery) =>
  queryOptions({
    queryKey: ['notifications', query],
    queryFn: ({ signal }) => data(api.GET('/api/notifications', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: announcedInterval,
  });

export type AuditQuery = NonNullable<paths['/api/audit']['get']['parameters']['query']>;

export const audit = (query: AuditQuery) =>
  queryOptions({
    queryKey: ['audit', query],
    queryFn: ({ signal }) => data(api.GET('/api/audit', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE,
  });

// Forms: what is being typed is not read again under the hands.
export const subscriptionSettings = () =>
  queryOptions({
    queryKey: ['settings', 'subscription'],
    queryFn: ({ signal }) => data(api.GET('/api/system/settings/subscription', { signal })),
    refetchOnWindowFocus: false,
  });

export const ruleOffer = () =>
  queryOptions({ queryKey: ['settings', 'offer'], queryFn: ({ signal }) => data(api.GET('/api/system/settings/subscription/offer', { signal })) });

export const telegramSettings = () =>
  queryOptions({
    queryKey: ['settings', 'telegram'],
    queryFn: ({ signal }) => data(api.GET('/api/system/settings/telegram', { signal })),
    refetchOnWindowFocus: false,
  });

/** Reads again what a change of services, inbounds or hosts may have changed. */
export function hostsChanged(): Promise<void> {
  for (const kind of ['services', 'inbounds']) void queryClient.invalidateQueries({ queryKey: [kind] });
  return queryClient.invalidateQueries({ queryKey: ['hosts'] });
}

/** Reads again what a change of users may have changed. */
export function usersChanged(): Promise<void> {
  for (const kind of ['stats', 'diagnosis']) void queryClient.invalidateQueries({ queryKey: [kind] });
  return queryClient.invalidateQueries({ queryKey: ['users'] });
}
