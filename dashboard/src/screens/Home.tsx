// Home: what needs attention first, then the users and their traffic in numbers, one chart and the nodes.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Schemas } from '../api/client.ts';
import * as queries from '../api/queries.ts';
import { type Right, has, useMay } from '../api/rights.ts';
import { useI18n } from '../i18n/index.tsx';
import { useMe } from '../shell/Shell.tsx';
import { Allowed, Empty, Loaded, Meter, Panel, Status } from '../ui/basics.tsx';
import { Icon } from '../ui/icons.tsx';
import { days } from '../ui/series.ts';
import { TrafficPanel, useStart } from '../ui/TrafficPanel.tsx';
import { Attention } from './Attention.tsx';
import { nodeTone } from './nodes/tone.ts';
import { QuotaUse, isLimited } from './QuotaUse.tsx';

export function Home() {
  const { t, f } = useI18n();
  const me = useMe();
  const may = useMay();
  // Read beside the admin, not after it.
  const unlessBarred = (right: Right) => me === undefined || has(me, right);
  const [ofUsers, inNumbers] = [unlessBarred('users:read=own'), unlessBarred('stats:read=own')];
  const stats = useQuery({ ...queries.userStats(), enabled: inNumbers });
  const disabled = useQuery({ ...queries.userCount({ enabled: false }), enabled: may('users:read=own') });
  const ofFleet = (['nodes:read', 'cluster:read', 'notifications:read', 'stats:read', 'users:read'] as const).every(may);
  const total = stats.data?.total;
  const states = [['active', 'good'], ['on_hold', 'off'], ['expired', 'bad'], ['limited', 'attention'], ['disabled', 'off']] as const;
  return (
    <>
      <div className="head"><h1>{t('nav.home')}</h1></div>
      <div className="home">
        {me !== undefined && ofUsers && <Attention ofFleet={ofFleet} />}
        {inNumbers && (
          <div className="all">
            <Loaded of={stats} rows={2}>
              {(now) => (
                <div className="numbers">
                  {ofUsers ? <Link to="/users"><span className="what">{t('home.users')}</span><span className="value">{f.number(now.total)}</span></Link>
                    : <div><span className="what">{t('home.users')}</span><span className="value">{f.number(now.total)}</span></div>}
                  <div><span className="what">{t('home.online')}</span><span className="value">{f.number(now.online)}</span></div>
                  <Traffic />
                </div>
              )}
            </Loaded>
          </div>
        )}
        {total === 0 && (
          <div className="all panel">
            <Empty title={t('users.none')} action={<Allowed needs="users:write=own"><Link className="button primary" to="/users" search={{ drawer: 'new' }}><Icon name="plus" />{t('users.new')}</Link></Allowed>}>{t('users.none.body')}</Empty>
          </div>
        )}
        {inNumbers && (
          <div className="most">
            <TrafficPanel name="home" query={queries.traffic} series={(series) => series} below={(_, start) => may('stats:read') && <ByNode start={start} named={may('nodes:read')} />} />
          </div>
        )}
        <div className="rest stack" style={{ gap: 16 }}>
          {me !== undefined && !me.is_sudo && ofUsers && <OwnQuota username={me.username} />}
          {inNumbers && (
            <Panel title={t('home.states')}>
              <Loaded of={stats}>
                {(now) => (
                  <ul className="lines">
                    {states.filter(([state]) => ofUsers || state !== 'disabled').map(([state, tone]) => {
                      const count = state === 'disabled' ? disabled.data : now[state];
                      const name = <Status tone={tone}>{t(`state.${state}`)}</Status>;
                      return (
                        <li key={state}>
                          {ofUsers ? <Link className="grow" to="/users" search={{ state }}>{name}</Link> : <span className="grow">{name}</span>}
                          <span>{count === undefined ? '…' : f.number(count)}</span>
                        </li>
                      );
                    })}
                  </ul>
                )}
              </Loaded>
            </Panel>
          )}
          {may('nodes:read') && <Nodes />}
        </div>
      </div>
    </>
  );
}

/** The own quota of an admin who has one. */
function OwnQuota({ username }: { username: string }): ReactNode {
  const { t } = useI18n();
  const read = useQuery(queries.quota(username));
  return read.data !== undefined && isLimited(read.data) && <Panel title={t('quota.title')}><QuotaUse quota={read.data} /></Panel>;
}

/** The traffic of this hour, this day and thirty days, from the series that the chart shows. */
function Traffic() {
  const { t, f } = useI18n();
  const read = useQuery(queries.traffic(useStart('30d')));
  const today = new Date().setHours(0, 0, 0, 0);
  const bytesOf = (bytes: number | undefined): string => (read.data === undefined ? '…' : f.bytes(bytes ?? 0));
  const values: [string, number | undefined][] = [
    [t('home.hour'), read.data?.usages.at(-1)?.[1]],
    [t('home.today'), read.data && days(read.data).find((bar) => bar.at.getTime() === today)?.bytes],
    [t('home.month'), read.data?.total],
  ];
  return <>{values.map(([what, bytes]) => <div key={what}><span className="what">{what}</span><span className="value">{read.isError && read.data === undefined ? '—' : bytesOf(bytes)}</span></div>)}</>;
}

/** Nodes that are listed; the rest is one line. */
const MOST_NODES = 8;

/** `named`: the nodes may be opened. */
function ByNode({ start, named }: { start: string; named: boolean }): ReactNode {
  const { t, f } = useI18n();
  const read = useQuery(queries.trafficByNode(start));
  return (
    <Loaded of={read} rows={2}>
      {({ nodes, total }) => {
        const rest = nodes.slice(MOST_NODES).reduce((sum, node) => sum + node.total, 0);
        const part = (bytes: number) => <><span className="grow"><Meter part={total === 0 ? 0 : bytes / total} /></span><span className="nowrap">{f.bytes(bytes)}</span></>;
        return nodes.length > 0 && (
          <ul className="lines" aria-label={t('home.by_node')} style={{ marginBlockStart: 16 }}>
            {nodes.slice(0, MOST_NODES).map((node) => (
              <li key={node.node_id ?? 0}>
                {node.node_id == null || !named ? <span className="cut" style={{ flex: '0 1 140px' }}>{node.node_id == null ? t('home.deleted_nodes') : <bdi>{node.node_name}</bdi>}</span>
                  : <Link className="cut" style={{ flex: '0 1 140px' }} to="/nodes/$id/$tab" params={{ id: String(node.node_id), tab: 'traffic' }}><bdi>{node.node_name}</bdi></Link>}
                {part(node.total)}
              </li>
            ))}
            {nodes.length > MOST_NODES && (
              <li>
                {named ? <Link className="cut" style={{ flex: '0 1 140px' }} to="/nodes">{t('home.more_nodes', { count: nodes.length - MOST_NODES })}</Link>
                  : <span className="cut" style={{ flex: '0 1 140px' }}>{t('home.more_nodes', { count: nodes.length - MOST_NODES })}</span>}
                {part(rest)}
              </li>
            )}
          </ul>
        );
      }}
    </Loaded>
  );
}

/** Those that do not work first. */
const ORDER: Record<Schemas['NodeResponse']['status'], number> = { unhealthy: 0, healthy: 1, disabled: 2 };

function Nodes() {
  const { t } = useI18n();
  const read = useQuery(queries.nodes());
  return (
    <Panel title={t('nav.nodes')} aside={<Link to="/nodes">{t('all')}</Link>}>
      <Loaded of={read}>
        {({ items }) => items.length === 0 ? <p className="soft">{t('nodes.none')}</p> : (
          <>
            <ul className="lines">
              {[...items].sort((a, b) => ORDER[a.status] - ORDER[b.status]).slice(0, MOST_NODES).map((node) => (
                <li key={node.id}>
                  <Link className="grow cut" to="/nodes/$id/$tab" params={{ id: String(node.id), tab: 'status' }}><bdi>{node.name}</bdi></Link>
                  <Status tone={nodeTone(node)}>{t(`node.${node.status}`)}</Status>
                </li>
              ))}
              {items.length > MOST_NODES && <li><Link to="/nodes">{t('home.more_nodes', { count: items.length - MOST_NODES })}</Link></li>}
            </ul>
          </>
        )}
      </Loaded>
    </Panel>
  );
}
