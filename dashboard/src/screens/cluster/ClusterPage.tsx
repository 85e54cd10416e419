// The cluster: members, the lease, tasks and their latest runs.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type Cluster, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Facts, Loaded, Moment, Panel, Status } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { runTask } from './acts.ts';
import { BackUps } from './BackUps.tsx';
import { Edges } from './Edges.tsx';
import { COPY_LATE, SPOOL_LATE, hostOf, isLate } from './host.ts';
import { RunState, Runs } from './Runs.tsx';

export function ClusterPage() {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const read = useQuery(queries.cluster());
  const stepDown = () => ask({
    title: t('cluster.step_down.title'), body: t('cluster.step_down.body'), act: t('cluster.step_down'),
    run: () => data(api.POST('/api/cluster/step-down')).then(() => read.refetch()), done: t('cluster.run.done'),
  });
  return (
    <>
      <div className="head">
        <h1>{t('nav.cluster')}</h1>
        <Button needs="cluster:write" onClick={stepDown} disabled={read.data?.leader == null}>{t('cluster.step_down')}</Button>
      </div>
      <Loaded of={read}>
        {(cluster) => (
          <div className="stack" style={{ gap: 16 }}>
            <div className="twocol">
              <Members cluster={cluster} />
              <Panel title={t('cluster.lease')}>
                <Facts facts={[
                  [t('cluster.leader'), cluster.leader ? <bdi key="leader">{cluster.leader.host}</bdi> : <Status key="none" tone="bad">{t('cluster.no_leader')}</Status>],
                  ...(cluster.leader ? [[t('cluster.since'), <Moment key="since" at={cluster.leader.acquired_at} />], [t('cluster.until'), <Moment key="until" at={cluster.leader.lease_until} />], [t('cluster.epoch'), String(cluster.leader.epoch)]] as [string, React.ReactNode][] : []),
                  [t('cluster.coordination'), <bdi key="coordination" dir="ltr">{cluster.coordination}</bdi>],
                  [t('cluster.addresses'), <Addresses key="addresses" cluster={cluster} />],
                  [t('cluster.redis'), <Status key="redis" tone={cluster.redis === 'ok' ? 'good' : cluster.redis === 'off' ? 'off' : 'bad'}><bdi dir="ltr">{cluster.redis}</bdi></Status>],
                ]} />
              </Panel>
            </div>
            <Edges cluster={cluster} />
            <BackUps of={cluster.back_up} />
            <Tasks cluster={cluster} />
            <Runs cluster={cluster} />
          </div>
        )}
      </Loaded>
    </>
  );
}

/** The addresses that hosts show for `{SERVER_IP}` and `{SERVER_IPV6}`. */
function Addresses({ cluster }: { cluster: Cluster }) {
  const { t } = useI18n();
  // A panel of an earlier version, beside this one during an upgrade, does not say.
  if ((cluster as Partial<Cluster>).addresses === undefined) return <span className="soft">—</span>;
  if (cluster.addresses.length === 0) return <Status tone="attention">{t('cluster.address.none')}</Status>;
  const source = { setting: 'cluster.address.setting', public: 'cluster.address.public', private: 'cluster.address.private' } as const;
  return (
    <>
      {cluster.addresses.map(({ address, source: of, host }) => (
        <span key={address} style={{ display: 'block' }}>
          <bdi dir="ltr">{address}</bdi>{' '}
          {of in source && (of === 'private' ? <Status tone="attention">{t(source.private, { name: host })}</Status> : <span className="soft">{t(source[of as keyof typeof source], { name: host })}</span>)}
        </span>
      ))}
    </>
  );
}

function Members({ cluster }: { cluster: Cluster }) {
  const { t, f } = useI18n();
  return (
    <Panel title={t('cluster.members')}>
      <ul className="lines">
        {cluster.members.map((member) => (
          <li key={member.instance} style={{ flexWrap: 'wrap' }}>
            <span className="grow">
              <bdi style={{ fontWeight: 550 }}>{member.host}</bdi> <bdi className="soft" dir="ltr">{member.version} · pid {member.pid}</bdi>
              <span className="small soft" style={{ display: 'block' }}>{t('cluster.started')} <Moment at={member.started_at} />{member.round_trip_ms != null && <> · {t('cluster.latency')} <bdi dir="ltr">{f.number(member.round_trip_ms, 1)} ms</bdi></>}</span>
            </span>
            {member.spool_files != null && member.spool_bytes != null && (
              member.spool_files === 0 ? <span className="soft">{t('cluster.spool_empty')}</span>
                : <Status tone={isLate(member.spool_since, SPOOL_LATE) ? 'attention' : 'off'}>{t('cluster.spool', { count: member.spool_files, size: f.bytes(member.spool_bytes) })}</Status>
            )}
            {member.copy_users != null && (
              member.copy_age == null ? <Status tone="off">{t('cluster.copy_filling', { count: member.copy_users })}</Status>
                : <Status tone={member.copy_age > COPY_LATE ? 'attention' : 'good'}>{t('cluster.copy', { count: member.copy_users, age: f.duration(member.copy_age) })}</Status>
            )}
            {member.can_work === false && <Status tone="bad">{t('cluster.no_database')}</Status>}
            {member.nodes_reached != null && member.nodes_enabled != null && member.nodes_enabled > 0 && (
              <Status tone={member.nodes_reached < member.nodes_enabled ? 'attention' : 'good'}>{t('cluster.reach', { reached: member.nodes_reached, enabled: member.nodes_enabled })}</Status>
            )}
            {member.leader && <Status tone="good">{t('cluster.leads')}</Status>}
            {member.instance === cluster.instance && <span className="soft">{t('cluster.answers')}</span>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Tasks({ cluster }: { cluster: Cluster }) {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  return (
    <section aria-label={t('cluster.tasks')}>
      <h2 style={{ marginBlockEnd: 8 }}>{t('cluster.tasks')}</h2>
      <div className="tablebox" tabIndex={0} role="group" aria-label={t('cluster.tasks')}>
        <table className="list">
          <thead><tr><th scope="col">{t('cluster.task')}</th><th scope="col">{t('cluster.every')}</th><th scope="col">{t('cluster.last')}</th><th scope="col">{t('cluster.next')}</th><th scope="col">{t('cluster.result')}</th><th scope="col" className="end">{t('cluster.lag')}</th><th scope="col" className="end">{t('cluster.items')}</th><th scope="col"><span className="hidden">{t('actions')}</span></th></tr></thead>
          <tbody>
            {cluster.tasks.map((task) => (
              <tr key={task.name}>
                <td><Link to="/cluster" search={{ task: task.name }}><code>{task.name}</code></Link>{task.last_error != null && <bdi dir="ltr" className="small soft" style={{ display: 'block' }}>{task.last_error}</bdi>}</td>
                <td className="nowrap">{f.duration(task.period_seconds)}</td>
                <td>
                  {task.last_started_at != null ? <Moment at={task.last_started_at} /> : <span className="soft">—</span>}
                  {task.last_instance != null && <bdi className="small soft" style={{ display: 'block' }}>{hostOf(cluster, task.last_instance)}</bdi>}
                </td>
                <td>{task.next_slot != null && task.enabled ? <Moment at={task.next_slot} /> : <span className="soft">—</span>}</td>
                <td>{task.last_state != null ? <RunState state={task.last_state} /> : <span className="soft">—</span>}</td>
                <td className="end nowrap">{task.last_lag_ms != null ? f.brief(task.last_lag_ms) : '—'}</td>
                <td className="end">{task.last_items != null ? f.number(task.last_items) : '—'}</td>
                <td className="end"><Button needs="cluster:write" onClick={() => ask(runTask(task.name, t))} disabled={!task.enabled} >{t('cluster.run')}<span className="hidden"> {task.name}</span></Button></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
