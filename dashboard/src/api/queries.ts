// What screens read, by name. Open screens read again every few seconds, hidden ones not at all.

import { QueryClient, keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, data } from './client.ts';
import { statusOf } from './errors.ts';
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

/** Milliseconds between two reads of what changes by itself. */
const LIVE = 5_000;
const SLOW = 30_000;

export type UserQuery = NonNullable<paths['/api/users']['get']['parameters']['query']>;

export const me = () =>
  queryOptions({ queryKey: ['me'], queryFn: ({ signal }) => data(api.GET('/api/admins/current', { signal })), staleTime: SLOW });

export const users = (query: UserQuery) =>
  queryOptions({
    queryKey: ['users', 'list', query],
    queryFn: ({ signal }) => data(api.GET('/api/users', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE,
  });

export const user = (username: string) =>
  queryOptions({
    queryKey: ['users', 'one', username],
    queryFn: ({ signal }) => data(api.GET('/api/users/{username}', { params: { path: { username } }, signal })),
    refetchInterval: LIVE,
  });

export const userNodes = (username: string) =>
  queryOptions({
    queryKey: ['users', 'nodes', username],
    queryFn: ({ signal }) => data(api.GET('/api/users/{username}/nodes', { params: { path: { username } }, signal })),
    refetchInterval: LIVE,
  });

export const explanation = (username: string, query: { user_agent?: string; format?: string }) =>
  queryOptions({
    queryKey: ['users', 'explanation', username, query],
    queryFn: ({ signal }) =>
      data(api.GET('/api/users/{username}/subscription', { params: { path: { username }, query }, signal })),
    placeholderData: keepPreviousData,
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
    refetchInterval: LIVE,
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
    queryFn: ({ signal }) => data(api.GET('/api/nodes', { params: { query: { size: 100 } }, signal })),
    refetchInterval: LIVE,
  });

export const nodeSettings = () =>
  queryOptions({ queryKey: ['node-settings'], queryFn: ({ signal }) => data(api.GET('/api/nodes/settings', { signal })) });

export const services = () =>
  queryOptions({
    queryKey: ['services'],
    queryFn: ({ signal }) => data(api.GET('/api/services', { params: { query: { size: 100 } }, signal })),
    staleTime: SLOW,
  });

export const admins = () =>
  queryOptions({
    queryKey: ['admins'],
    queryFn: ({ signal }) => data(api.GET('/api/admins', { params: { query: { size: 100 } }, signal })),
    staleTime: SLOW,
  });

export const cluster = () =>
  queryOptions({
    queryKey: ['cluster'],
    queryFn: ({ signal }) => data(api.GET('/api/cluster', { signal })),
    refetchInterval: LIVE,
  });

export type RunQuery = NonNullable<paths['/api/cluster/runs']['get']['parameters']['query']>;

export const runs = (query: RunQuery) =>
  queryOptions({
    queryKey: ['cluster', 'runs', query],
    queryFn: ({ signal }) => data(api.GET('/api/cluster/runs', { params: { query }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE,
  });

export type NotificationQuery = NonNullable<paths['/api/notifications']['get']['parameters']['query']>;

export const notifications = (query: NotificationQuery) =>
  queryOptions({
    queryKey: ['notifications', query],
    queryFn: ({ signal }) => data(api.GET('/api/notifications', { params: { query }, signal })),
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

/** Reads again what a change of users may have changed. */
export function usersChanged(): Promise<void> {
  void queryClient.invalidateQueries({ queryKey: ['stats'] });
  return queryClient.invalidateQueries({ queryKey: ['users'] });
}
