// Acts on a node that more than one screen offers.

import { api, data } from '../../api/client.ts';
import { queryClient } from '../../api/queries.ts';
import type { I18n } from '../../i18n/index.tsx';
import type { Question } from '../../ui/overlays.tsx';

/** Sends a node its full list of users. */
export function resync(id: number, name: string, t: I18n['t']): Question {
  return {
    title: t('nodes.resync.one', { name }), body: t('nodes.resync.body'), act: t('nodes.resync'), done: t('nodes.done'),
    run: () => data(api.POST('/api/nodes/{node_id}/resync', { params: { path: { node_id: id } } })).then(() => queryClient.invalidateQueries({ queryKey: ['nodes'] })),
  };
}
