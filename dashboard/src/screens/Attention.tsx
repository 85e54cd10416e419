// What needs attention: of the fleet for who may read it, of the own users for everybody. Each line leads to its place.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Cluster, PanelNode, Schemas } from '../api/client.ts';
import * as queries from '../api/queries.ts';
import { useI18n } from '../i18n/index.tsx';
import { Loaded, Moment, Status, Waiting } from '../ui/basics.tsx';
import { Icon } from '../ui/icons.tsx';
import { SPOOL_LATE, isLate } from './cluster/host.ts';
import { inDays } from './users/days.ts';

/** Days within which an account is about to end. */
const SOON = 3;
/** Seconds after which changes that no node has confirmed, and usage that is not counted, are no longer usual. */
const CHANGES_LATE = 30;
const USAGE_LATE = 300;

interface Point { id: string; tone: 'bad' | 'attention'; words: ReactNode; to: ReactNode }

export function Attention({ ofFleet }: { ofFleet: boolean }) {
  return ofFleet ? <OfFleet /> : <OfUsers />;
}

function OfUsers() {
  const ending = useQuery(queries.userCount({ is_active: true, expires_before: inDays(SOON) }));
  const points = useUserPoints(ending.data);
  return <Points points={points} reads={[ending]} leader={null} />;
}

function OfFleet() {
  const nodes = useQuery(queries.nodes());
  const cluster = useQuery(queries.cluster());
  const backlog = useQuery(queries.backlog());
  const dead = useQuery(queries.notifications({ state: 'dead', size: 1 }));
  const ending = useQuery(queries.userCount({ is_active: true, expires_before: inDays(SOON) }));
  const points = [
    ...useClusterPoints(cluster.data), ...useNodePoints(nodes.data?.items), ...useBacklogPoints(backlog.data), ...useDeadPoints(dead.data?.total),
    ...useUserPoints(ending.data),
  ];
  return <Points points={points} reads={[nodes, cluster, backlog, dead, ending]} leader={cluster.data?.leader?.host ?? null} />;
}

type Read = Parameters<typeof Loaded<unknown>>[0]['of'];

function Points({ points, reads, leader }: { points: Point[]; reads: Read[]; leader: string | null }) {
  const { t } = useI18n();
  // Nothing is called all right before everything is known.
  if (reads.some((read) => read.data === undefined && !read.isError)) return <div className="all"><Waiting rows={1} /></div>;
  const failed = reads.filter((read) => read.isError);
  const leads = leader !== null && <Link to="/cluster">{t('home.leads', { name: leader })}</Link>;
  if (points.length === 0 && failed.length === 0) {
    return (
      <section className="all panel" aria-label={t('home.attention')}>
        <p className="row wrap between"><Status tone="good">{t('home.fine')}</Status>{leads}</p>
      </section>
    );
  }
  return (
    <section className="all panel" aria-label={t('home.attention')}>
      <div className="row wrap between" style={{ marginBlockEnd: 10 }}><h2>{t('home.attention')}</h2>{leads}</div>
      {failed.map((read, index) => <Loaded key={index} of={read} rows={1}>{() => null}</Loaded>)}
      <ul className="lines">
        {points.map((point) => (
          <li key={point.id}>
            <span className="grow"><span style={{ display: 'flex', gap: 8 }}><span className={`status ${point.tone}`}><Icon name="alert" /></span><span style={{ minInlineSize: 0, overflowWrap: 'anywhere' }}>{point.words}</span></span></span>
            {point.to}
          </li>
        ))}
      </ul>
    </section>
  );
}

function useClusterPoints(cluster: Cluster | undefined): Point[] {
  const { t, f } = useI18n();
  if (cluster === undefined) return [];
  const points: Point[] = [];
  const to = <Link to="/cluster">{t('open')}</Link>;
  if (cluster.leader == null) points.push({ id: 'leader', tone: 'bad', words: t('home.no_leader'), to });
  if (cluster.redis === 'down') points.push({ id: 'redis', tone: 'bad', words: t('home.redis_down'), to });
  for (const member of cluster.members) {
    if (member.can_work === false) points.push({ id: `member-${member.instance}`, tone: 'bad', words: t('home.unable', { name: member.host }), to });
    if (isLate(member.spool_since, SPOOL_LATE)) {
      points.push({
        id: `spool-${member.instance}`, tone: 'attention', to,
        words: <>{t('home.spool', { name: member.host, size: f.bytes(member.spool_bytes ?? 0) })} {member.spool_since && <span className="soft"><Moment at={member.spool_since} /></span>}</>,
      });
    }
  }
  for (const task of cluster.tasks) {
    if (task.last_state !== 'failed') continue;
    points.push({
      id: `task-${task.name}`, tone: 'attention',
      words: <>{t('home.task_failed', { name: task.name })} {task.last_finished_at && <span className="soft"><Moment at={task.last_finished_at} /></span>}</>,
      to: <Link to="/cluster" search={{ task: task.name, state: 'failed' }}>{t('open')}</Link>,
    });
  }
  return points;
}

function useNodePoints(nodes: PanelNode[] | undefined): Point[] {
  const { t, f } = useI18n();
  const to = (node: PanelNode) => <Link to="/nodes/$id/$tab" params={{ id: String(node.id), tab: 'status' }}>{t('open')}</Link>;
  const down = (nodes ?? []).filter((node) => node.status === 'unhealthy').map((node): Point => ({
    id: `node-${node.id}`, tone: 'bad', to: to(node),
    words: <>{t('home.node_down', { name: node.name })} {node.message && <bdi dir="ltr" className="soft">{node.message}</bdi>}</>,
  }));
  const stopped = (nodes ?? []).flatMap((node): Point[] => {
    const engines = node.status === 'healthy' ? node.backends.filter((engine) => !engine.running) : [];
    return engines.length === 0 ? [] : [{ id: `engines-${node.id}`, tone: 'attention', to: to(node), words: t('home.engines', { name: node.name, engines: f.list(engines.map((engine) => engine.name)) }) }];
  });
  return [...down, ...stopped];
}

function useBacklogPoints(backlog: Schemas['BacklogResponse'] | undefined): Point[] {
  const { t } = useI18n();
  if (backlog === undefined) return [];
  const points: Point[] = backlog.nodes_out_of_step.map((node) => ({
    id: `step-${node.node_id}`, tone: 'attention',
    words: <>{t('home.out_of_step', { name: node.node_name })} {node.synced_at && <span className="soft"><Moment at={node.synced_at} /></span>}</>,
    to: <Link to="/nodes/$id/$tab" params={{ id: String(node.node_id), tab: 'status' }}>{t('open')}</Link>,
  }));
  const since = (at: string | null | undefined) => at != null && <span className="soft"><Moment at={at} /></span>;
  const runs = <Link to="/cluster" search={{ task: 'record_user_usages' }}>{t('open')}</Link>;
  if (isLate(backlog.waiting_users_since, CHANGES_LATE)) {
    points.push({ id: 'changes', tone: 'attention', words: <>{t('home.changes_waiting', { count: backlog.waiting_users })} {since(backlog.waiting_users_since)}</>, to: <Link to="/nodes">{t('open')}</Link> });
  }
  if (isLate(backlog.waiting_usage_since, USAGE_LATE)) {
    points.push({ id: 'usage', tone: 'attention', words: <>{t('home.usage_waiting', { count: backlog.waiting_usage })} {since(backlog.waiting_usage_since)}</>, to: runs });
  }
  if (backlog.quarantined_usage > 0) points.push({ id: 'quarantined', tone: 'bad', words: t('home.usage_quarantined', { count: backlog.quarantined_usage }), to: runs });
  return points;
}

function useDeadPoints(dead: number | undefined): Point[] {
  const { t } = useI18n();
  return dead === undefined || dead === 0 ? [] : [{ id: 'dead', tone: 'attention', words: t('home.dead', { count: dead }), to: <Link to="/notifications" search={{ state: 'dead' }}>{t('open')}</Link> }];
}

function useUserPoints(ending: number | undefined): Point[] {
  const { t } = useI18n();
  return ending === undefined || ending === 0 ? [] : [{ id: 'ending', tone: 'attention', words: t('home.ending', { count: ending, days: SOON }), to: <Link to="/users" search={{ state: 'active', ends: SOON, sort: 'expire_date' }}>{t('open')}</Link> }];
}
