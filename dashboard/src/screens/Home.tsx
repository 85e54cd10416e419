// Home: what needs attention first, then the fleet in four numbers and one chart.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Cluster, PanelNode } from '../api/client.ts';
import * as queries from '../api/queries.ts';
import { moment } from '../i18n/format.ts';
import { useI18n } from '../i18n/index.tsx';
import { useMe } from '../shell/Shell.tsx';
import { Empty, Loaded, Panel, Status, Waiting } from '../ui/basics.tsx';
import { Icon } from '../ui/icons.tsx';
import { days } from '../ui/series.ts';
import { TrafficPanel, useStart } from '../ui/TrafficPanel.tsx';
import { nodeTone } from './nodes/tone.ts';

export function Home() {
  const { t, f } = useI18n();
  const me = useMe();
  const stats = useQuery(queries.userStats());
  const sudo = me?.is_sudo === true;
  const total = stats.data?.total;
  return (
    <>
      <div className="head"><h1>{t('nav.home')}</h1></div>
      <div className="home">
        {sudo && <Attention />}
        <div className="all">
          <Loaded of={stats} rows={2}>
            {(now) => (
              <div className="numbers">
                <Link to="/users"><span className="what">{t('home.users')}</span><span className="value">{f.number(now.total)}</span></Link>
                <Link to="/users" search={{ state: 'active' }}><span className="what">{t('state.active')}</span><span className="value">{f.number(now.active)}</span></Link>
                <div><span className="what">{t('home.online')}</span><span className="value">{f.number(now.online)}</span></div>
                <TrafficToday />
              </div>
            )}
          </Loaded>
        </div>
        {total === 0 && (
          <div className="all panel">
            <Empty title={t('users.none')} action={<Link className="button primary" to="/users" search={{ drawer: 'new' }}><Icon name="plus" />{t('users.new')}</Link>}>{t('users.none.body')}</Empty>
          </div>
        )}
        <div className="most"><TrafficPanel name="home" query={queries.traffic} series={(series) => series} /></div>
        <div className="rest stack" style={{ gap: 16 }}>
          <Panel title={t('home.states')}>
            <Loaded of={stats}>
              {(now) => (
                <ul className="lines">
                  {([['active', now.active, 'good'], ['on_hold', now.on_hold, 'off'], ['expired', now.expired, 'bad'], ['limited', now.limited, 'attention']] as const).map(([state, count, tone]) => (
                    <li key={state}>
                      <span className="grow">
                        {state === 'on_hold' ? <Status tone={tone}>{t('state.on_hold')}</Status> : <Link to="/users" search={{ state }}><Status tone={tone}>{t(`state.${state}`)}</Status></Link>}
                      </span>
                      <span>{f.number(count)}</span>
                    </li>
                  ))}
                </ul>
              )}
            </Loaded>
          </Panel>
          {sudo && <Nodes />}
        </div>
      </div>
    </>
  );
}

function TrafficToday() {
  const { t, f } = useI18n();
  const read = useQuery(queries.traffic(useStart('30d')));
  const today = new Date().setHours(0, 0, 0, 0);
  const bytes = read.data && days(read.data).find((bar) => bar.at.getTime() === today)?.bytes;
  return <div><span className="what">{t('home.today')}</span><span className="value">{read.data ? f.bytes(bytes ?? 0) : '…'}</span></div>;
}

interface Point { id: string; tone: 'bad' | 'attention'; words: ReactNode; to: ReactNode }

function Attention() {
  const { t } = useI18n();
  const nodes = useQuery(queries.nodes());
  const cluster = useQuery(queries.cluster());
  const dead = useQuery(queries.notifications({ state: 'dead', size: 1 }));
  const points = usePoints(nodes.data?.items, cluster.data, dead.data?.total);
  const reads = [nodes, cluster, dead];
  // Nothing is called all right before everything is known.
  if (reads.some((read) => read.data === undefined && !read.isError)) return <div className="all"><Waiting rows={1} /></div>;
  return (
    <section className="all panel" aria-label={t('home.attention')}>
      {points.length === 0 && !reads.some((read) => read.isError) ? (
        <p><Status tone="good">{t('home.fine')}</Status> <span className="soft">{cluster.data?.leader && t('home.leader', { name: cluster.data.leader.host })}</span></p>
      ) : (
        <>
          <h2 style={{ marginBlockEnd: 10 }}>{t('home.attention')}</h2>
          <Loaded of={nodes} rows={1}>{() => null}</Loaded>
          <Loaded of={cluster} rows={1}>{() => null}</Loaded>
          <Loaded of={dead} rows={1}>{() => null}</Loaded>
          <ul className="lines">
            {points.map((point) => (
              <li key={point.id}>
                <span className="grow"><span style={{ display: 'flex', gap: 8 }}><span className={`status ${point.tone}`}><Icon name="alert" /></span><span style={{ minInlineSize: 0 }}>{point.words}</span></span></span>
                {point.to}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function usePoints(nodes: PanelNode[] | undefined, cluster: Cluster | undefined, dead: number | undefined): Point[] {
  const { t, f } = useI18n();
  const points: Point[] = [];
  if (cluster !== undefined && cluster.leader == null) {
    points.push({ id: 'leader', tone: 'bad', words: t('home.no_leader'), to: <Link to="/cluster">{t('nav.cluster')}</Link> });
  }
  if (cluster?.redis === 'down') points.push({ id: 'redis', tone: 'bad', words: t('home.redis_down'), to: <Link to="/cluster">{t('nav.cluster')}</Link> });
  for (const node of nodes ?? []) {
    if (node.status !== 'unhealthy') continue;
    points.push({
      id: `node-${node.id}`, tone: 'bad',
      words: <>{t('home.node_down', { name: node.name })} {node.message && <bdi dir="ltr" className="soft">{node.message}</bdi>}</>,
      to: <Link to="/nodes/$id" params={{ id: String(node.id) }}>{t('open')}</Link>,
    });
  }
  for (const node of nodes ?? []) {
    const stopped = node.status === 'healthy' ? node.backends.filter((engine) => !engine.running) : [];
    if (stopped.length === 0) continue;
    points.push({
      id: `engines-${node.id}`, tone: 'attention',
      words: t('home.engines', { name: node.name, engines: f.list(stopped.map((engine) => engine.name)) }),
      to: <Link to="/nodes/$id" params={{ id: String(node.id) }}>{t('open')}</Link>,
    });
  }
  for (const task of cluster?.tasks ?? []) {
    if (task.last_state !== 'failed') continue;
    points.push({
      id: `task-${task.name}`, tone: 'attention',
      words: <>{t('home.task_failed', { name: task.name })} {task.last_finished_at && <span className="soft">{f.exact(moment(task.last_finished_at))}</span>}</>,
      to: <Link to="/cluster">{t('open')}</Link>,
    });
  }
  if (dead !== undefined && dead > 0) {
    points.push({ id: 'dead', tone: 'attention', words: t('home.dead', { count: dead }), to: <Link to="/notifications" search={{ state: 'dead' }}>{t('open')}</Link> });
  }
  return points;
}

function Nodes() {
  const { t } = useI18n();
  const read = useQuery(queries.nodes());
  return (
    <Panel title={t('nav.nodes')} aside={<Link to="/nodes">{t('all')}</Link>}>
      <Loaded of={read}>
        {({ items }) => items.length === 0 ? <p className="soft">{t('nodes.none')}</p> : (
          <ul className="lines">
            {items.slice(0, 8).map((node) => (
              <li key={node.id}>
                <Link className="grow cut" to="/nodes/$id" params={{ id: String(node.id) }}><bdi>{node.name}</bdi></Link>
                <Status tone={nodeTone(node)}>{t(`node.${node.status}`)}</Status>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}
