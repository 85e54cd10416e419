// What can be done to hosts, one or many. A change of state touches nothing else of a host.

import { type Host, api, data } from '../../api/client.ts';
import { statusOf } from '../../api/errors.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useOverlays } from '../../ui/overlays.tsx';

/** Sets weights or states of hosts. */
export async function changeHosts(hosts: { id: number; weight?: number; is_disabled?: boolean }[]): Promise<void> {
  await data(api.PUT('/api/inbounds/hosts', { body: { hosts } }));
  await queries.hostsChanged();
}

async function removeHost(id: number): Promise<void> {
  try {
    await data(api.DELETE('/api/inbounds/hosts/{id}', { params: { path: { id } } }));
  } catch (error) {
    // Somebody else was quicker.
    if (statusOf(error) !== 404) throw error;
  }
}

export function useHostActs(after: () => void) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  return {
    setState(hosts: Host[], enabled: boolean) {
      const act = enabled ? 'hosts.enable' : 'hosts.disable';
      const values = { count: hosts.length };
      ask({
        title: t(act, values), act: t(act, values), body: t(enabled ? 'hosts.enable.body' : 'hosts.disable.body'), done: t(enabled ? 'act.enable.done' : 'act.disable.done'),
        run: () => changeHosts(hosts.map(({ id }) => ({ id, is_disabled: !enabled }))).then(after),
      });
    },
    /** `all`: the hosts in whose chains these may be. */
    remove(hosts: Host[], all: Host[]) {
      const ids = hosts.map(({ id }) => id);
      const chained = all.filter((host) => !ids.includes(host.id) && host.chain_ids.some((id) => ids.includes(id))).length;
      const first = hosts.length === 1 ? hosts[0] : undefined;
      const act = first === undefined ? t('hosts.delete', { count: hosts.length }) : t('act.delete.one', { name: first.remark });
      ask({
        title: act, act, danger: true, done: t('act.delete.done'),
        body: <><p>{t('hosts.delete.body')}</p>{chained > 0 && <p>{t('hosts.delete.chained', { count: chained })}</p>}</>,
        run: async () => {
          try {
            for (const id of ids) await removeHost(id);
            after();
          } finally {
            await queries.hostsChanged();
          }
        },
      });
    },
  };
}
