// Acts on the cluster that more than one screen offers.

import { api, data } from '../../api/client.ts';
import { queryClient } from '../../api/queries.ts';
import type { I18n } from '../../i18n/index.tsx';
import type { Question } from '../../ui/overlays.tsx';

/** Has the leader run a task now. */
export function runTask(name: string, t: I18n['t']): Question {
  return {
    title: t('cluster.run.one', { name }), body: t('cluster.run.body'), act: t('cluster.run.one', { name }), done: t('cluster.run.done'),
    run: () => data(api.POST('/api/cluster/tasks/{name}/run', { params: { path: { name } } })).then(() => queryClient.invalidateQueries({ queryKey: ['cluster'] })),
  };
}
