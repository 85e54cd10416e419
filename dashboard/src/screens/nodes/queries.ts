// What the screens of one node read.

import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, data } from '../../api/client.ts';
import { announcedInterval, partlyAnnouncedInterval } from '../../api/live.ts';
import { withLines } from './lineEnds.ts';

const path = (node_id: number) => ({ path: { node_id } });

export const node = (id: number) =>
  queryOptions({ queryKey: ['nodes', id], queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}', { params: path(id), signal })), refetchInterval: announcedInterval });

/** What is on its way to a node arrives without an announcement: until then it is read often. */
export const sync = (id: number) =>
  queryOptions({ queryKey: ['nodes', id, 'sync'], queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}/sync', { params: path(id), signal })), refetchInterval: ({ state }) => (state.data?.in_step === true ? partlyAnnouncedInterval() : 5_000) });

export const statistics = (id: number) =>
  queryOptions({ queryKey: ['nodes', id, 'stats'], queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}/stats', { params: path(id), signal })), refetchInterval: announcedInterval });

export const usage = (id: number, start: string) =>
  queryOptions({
    queryKey: ['nodes', id, 'usage', start],
    queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}/usage', { params: { ...path(id), query: { start } }, signal })),
    staleTime: 30_000,
    placeholderData: keepPreviousData,
  });

/** Asks the node, so it is read when it is opened and not again by itself. */
export const config = (id: number, backend: string) =>
  queryOptions({
    queryKey: ['engine-config', id, backend],
    queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}/{backend}/config', { params: { path: { node_id: id, backend } }, signal })).then(withLines),
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
    retry: false,
  });
