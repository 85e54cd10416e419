// The status of a node: the reason in words and what to do, its engines, how far its users are in step, how to join it.

import { useQuery } from '@tanstack/react-query';
import type { PanelNode } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Facts, Loaded, Moment, Notice, Panel, Status } from '../../ui/basics.tsx';
import { adviceFor } from './advice.ts';
import { Engines } from './Engines.tsx';
import { JoinNode } from './JoinNode.tsx';
import { sync } from './queries.ts';

/** The panel stops counting waiting users here. */
const MOST_COUNTED = 1_000;

export function NodeStatus({ node }: { node: PanelNode }) {
  const { t, f } = useI18n();
  return (
    <>
      <Reason node={node} />
      <div className="twocol">
        <div className="stack" style={{ gap: 16 }}>
          <Engines node={node} />
          <Step node={node} />
        </div>
        <div className="stack" style={{ gap: 16 }}>
          <Panel title={t('user.about')}>
            <Facts facts={[
              [t('nodes.address'), <code key="address">{node.address}:{node.port}</code>],
              [t('nodes.kind'), t(node.connection_backend === 'grpcio' ? 'nodes.kind.plain' : 'nodes.kind.tls')],
              [t('nodes.coefficient'), <bdi key="coefficient" dir="ltr">× {f.number(node.usage_coefficient, 3)}</bdi>],
              [t('services.inbounds'), f.number(node.inbound_ids.length)],
            ]} />
          </Panel>
          {node.connection_backend !== 'grpcio' && <div className="panel"><JoinNode port={node.port} /></div>}
        </div>
      </div>
    </>
  );
}

/** Why the node has its status, in the panel's words, and what to do about it. */
function Reason({ node }: { node: PanelNode }) {
  const { t } = useI18n();
  const stopped = node.status === 'healthy' && node.backends.some((engine) => !engine.running);
  if (node.message == null && node.status === 'healthy' && !stopped) return null;
  const advice = node.status === 'disabled' ? 'advice.disabled' : stopped ? 'advice.stopped' : adviceFor(node.message ?? '');
  return (
    <div style={{ marginBlockEnd: 16 }}>
      <Notice tone={node.status === 'unhealthy' ? 'bad' : stopped ? 'attention' : 'off'}>
        {advice !== undefined && <p>{t(advice, { name: node.name, address: `${node.address}:${node.port}` })}</p>}
        {node.message != null ? <p className="small soft"><bdi dir="ltr">{node.message}</bdi></p> : advice === undefined && <p>{t('advice.connecting')}</p>}
      </Notice>
    </div>
  );
}

/** Whether the node has the users of the database. */
function Step({ node }: { node: PanelNode }) {
  const { t } = useI18n();
  const read = useQuery(sync(node.id));
  return (
    <Panel title={t('nav.users')}>
      <Loaded of={read} rows={2}>
        {(now) => (
          <div className="stack">
            <p className="wraps">
              {now.in_step ? <Status tone="good">{t('step.in')}</Status>
                : !now.connected ? <Status tone={node.status === 'disabled' ? 'off' : 'bad'}>{t('step.apart')}</Status>
                : <Status tone="attention">{t(now.waiting_users >= MOST_COUNTED ? 'step.many' : 'step.waiting', { count: now.waiting_users })}</Status>}
            </p>
            <Facts facts={[
              [t('step.list'), now.synced_at != null ? <Moment key="list" at={now.synced_at} /> : t('never')],
              ...(now.waiting_since != null ? [[t('step.since'), <Moment key="since" at={now.waiting_since} />] as [string, React.ReactNode]] : []),
              ...(node.connection_backend !== 'grpcio' ? [[t('step.pin'), now.certificate_fingerprint != null ? <code key="pin" style={{ overflowWrap: 'anywhere' }}>{now.certificate_fingerprint}</code> : t('step.no_pin')] as [string, React.ReactNode]] : []),
            ]} />
          </div>
        )}
      </Loaded>
    </Panel>
  );
}
