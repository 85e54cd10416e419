// What the screens of roles read.

import { queryOptions } from '@tanstack/react-query';
import { api, data } from '../../api/client.ts';
import { announcedInterval } from '../../api/live.ts';
import { queryClient } from '../../api/queries.ts';

export const rolesRead = () =>
  queryOptions({ queryKey: ['roles'], queryFn: ({ signal }) => data(api.GET('/api/roles', { signal })), refetchInterval: announcedInterval });

export const rolesChanged = () =>
  Promise.all([['roles'], ['admins'], ['me']].map((queryKey) => queryClient.invalidateQueries({ queryKey })));
