// What a node did lately: its users, its last answer with traffic, how often it failed; and its traffic over time.

import { useQuery } from '@tanstack/react-query';
import type { PanelNode } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Facts, Loaded, Moment, Panel } from '../../ui/basics.tsx';
import { TrafficPanel } from '../../ui/TrafficPanel.tsx';
import { statistics, sync, usage } from './queries.ts';

export function Statistics({ node }: { node: PanelNode }) {
  const { t, f } = useI18n();
  const read = useQuery(statistics(node.id));
  const synced = useQuery(sync(node.id)).data?.synced_at;
  const times = (count: number) => t('nodes.times', { count });
  const at = (moment: string | null | undefined) => (moment == null ? <span className="soft">—</span> : <Moment at={moment} />);
  return (
    <div className="stack" style={{ gap: 16 }}>
      <Panel title={t('nodes.statistics')}>
        <Loaded of={read} rows={4}>
          {(now) => (
            <Facts facts={[
              [t('nodes.stats.users'), now.users == null ? <span key="users" className="soft">—</span> : f.number(now.users)],
              [t('step.list'), at(synced)],
              [t('nodes.stats.active'), now.active_users == null ? t('nodes.stats.no_answer') : f.number(now.active_users)],
              ...(now.active_bytes != null ? [[t('nodes.stats.bytes'), f.bytes(now.active_bytes)], [t('nodes.stats.asked'), at(now.usage_at)]] as [string, React.ReactNode][] : []),
              [t('nodes.stats.since'), at(now.status_since)],
              [t('nodes.stats.failures'), times(now.failures)],
              [t('nodes.healed'), now.healed_at == null ? times(now.healings) : <>{times(now.healings)} <span className="soft">· <Moment at={now.healed_at} /></span></>],
            ]} />
          )}
        </Loaded>
      </Panel>
      <TrafficPanel name="node" query={(start) => usage(node.id, start)} series={(series) => series} />
    </div>
  );
}
