// The edges of the cluster: processes that serve subscriptions from a copy, on hosts without the database.

import type { Cluster } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Moment, Panel, Status } from '../../ui/basics.tsx';

export function Edges({ cluster }: { cluster: Cluster }) {
  const { t, f } = useI18n();
  // A panel of an earlier version, beside this one during an upgrade, knows none.
  const edges = (cluster as Partial<Cluster>).edges ?? [];
  if (edges.length === 0) return null;
  return (
    <Panel title={t('cluster.edges')}>
      <ul className="lines">
        {edges.map((edge) => (
          <li key={edge.id} className="wraps" style={{ flexWrap: 'wrap' }}>
            {/* On a narrow screen, what follows goes below the name. */}
            <span style={{ flex: '1 1 16rem', minInlineSize: 0, overflowWrap: 'anywhere' }}>
              <bdi style={{ fontWeight: 550 }}>{edge.host}</bdi> <bdi className="soft" dir="ltr">{edge.version}</bdi>
              <span className="small soft" style={{ display: 'block' }}>{t('cluster.started')} <Moment at={edge.started_at} /> · {t('cluster.edge.seen')} <Moment at={edge.last_seen} /></span>
            </span>
            <span className="soft">{t('cluster.edge.users', { count: f.number(edge.users) })}</span>
            {edge.waiting_fetches > 0 && <span className="soft">{t('cluster.edge.waiting', { count: f.number(edge.waiting_fetches) })}</span>}
            {edge.is_connected && !edge.is_complete && <Status tone="attention">{t('cluster.edge.filling')}</Status>}
            <Status tone={edge.is_connected ? 'good' : 'bad'}>{t(edge.is_connected ? 'cluster.edge.connected' : 'cluster.edge.away')}</Status>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
