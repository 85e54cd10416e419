// What the screens of admins read, and what a change of one may have changed.

import { queryOptions } from '@tanstack/react-query';
import { api, data } from '../../api/client.ts';
import { queryClient } from '../../api/queries.ts';

export const readAdmin = (username: string, signal?: AbortSignal) => data(api.GET('/api/admins/{username}', { params: { path: { username } }, signal }));

/** An admin as it is stored now. */
export const adminRead = (username: string) =>
  queryOptions({ queryKey: ['admins', 'one', username], queryFn: ({ signal }) => readAdmin(username, signal), staleTime: 0, gcTime: 0, refetchOnWindowFocus: false });

/** How many users an admin has. */
export const usersOf = (username: string) =>
  queryOptions({
    queryKey: ['users', 'count', username],
    queryFn: async ({ signal }) => (await data(api.GET('/api/users', { params: { query: { username: [], owner_username: username, size: 1 } }, signal }))).total,
  });

export const adminsChanged = () => queryClient.invalidateQueries({ queryKey: ['admins'] });

/** The second factor of an admin. */
export const secondFactor = (admin: string) =>
  queryOptions({ queryKey: ['admins', 'second-factor', admin], queryFn: ({ signal }) => data(api.GET('/api/second-factor', { params: { query: { admin } }, signal })) });
