// Runs of tasks: filters in the URL, a timeline, and the list with pages.

import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { Cluster, Schemas } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { moment } from '../../i18n/format.ts';
import { type Key, useI18n } from '../../i18n/index.tsx';
import { RUN_STATES, type RunSearch } from '../../router.tsx';
import { Choose, Loaded, Status, type Tone } from '../../ui/basics.tsx';
import { Pages } from '../../ui/list.tsx';
import { hostOf } from './host.ts';
import { Timeline } from './Timeline.tsx';

type Run = Schemas['RunResponse'];

const STATES: Record<string, Tone> = { running: 'off', done: 'good', failed: 'bad', coalesced: 'off', skipped: 'off', abandoned: 'attention' };
/** Rows of a page, as many as the API gives: the timeline shows them all. */
const SIZE = 100;

export function RunState({ state }: { state: string }) {
  const { t } = useI18n();
  return <Status tone={STATES[state] ?? 'off'}>{Object.hasOwn(STATES, state) ? t(`run.${state}` as Key) : state}</Status>;
}

export function Runs({ cluster }: { cluster: Cluster }) {
  const { t } = useI18n();
  const { task, state, page } = useSearch({ from: '/cluster' });
  const navigate = useNavigate({ from: '/cluster' });
  const read = useQuery(queries.runs({ ...(task ? { task } : {}), ...(state ? { state: [state] } : {}), page: page ?? 1, size: SIZE }));
  const show = (next: RunSearch) => void navigate({ search: next });
  return (
    <section aria-label={t('cluster.runs')} className="stack">
      <div className="row wrap between">
        <h2>{t('cluster.runs')}</h2>
        <div className="row wrap">
          <Choose aria-label={t('cluster.task')} value={task ?? ''} onChange={({ target }) => show({ ...(target.value ? { task: target.value } : {}), ...(state ? { state } : {}) })}>
            <option value="">{t('cluster.all_tasks')}</option>
            {cluster.tasks.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
          </Choose>
          <Choose aria-label={t('cluster.result')} value={state ?? ''} onChange={({ target }) => show({ ...(task ? { task } : {}), ...(target.value ? { state: target.value as NonNullable<RunSearch['state']> } : {}) })}>
            <option value="">{t('cluster.all_results')}</option>
            {RUN_STATES.map((one) => <option key={one} value={one}>{t(`run.${one}`)}</option>)}
          </Choose>
        </div>
      </div>
      <Loaded of={read}>
        {(list) => list.items.length === 0 ? <p className="soft">{t(task || state ? 'cluster.no_match' : 'cluster.no_runs')}</p> : (
          <>
            <Timeline runs={list.items} />
            <RunTable runs={list.items} cluster={cluster} />
            <Pages page={list.page} pages={list.pages} size={SIZE} onPage={(next) => show({ ...(task ? { task } : {}), ...(state ? { state } : {}), ...(next > 1 ? { page: next } : {}) })} />
          </>
        )}
      </Loaded>
    </section>
  );
}

function RunTable({ runs, cluster }: { runs: Run[]; cluster: Cluster }) {
  const { t, f } = useI18n();
  return (
    <div className="tablebox" tabIndex={0} role="group" aria-label={t('cluster.runs')}>
      <table className="list">
        <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('cluster.task')}</th><th scope="col">{t('cluster.result')}</th><th scope="col" className="end">{t('cluster.took')}</th><th scope="col" className="end">{t('cluster.lag')}</th><th scope="col" className="end">{t('cluster.items')}</th><th scope="col">{t('cluster.host')}</th></tr></thead>
        <tbody>
          {runs.map((run) => (
            <tr key={`${run.task} ${run.slot} ${run.epoch}`}>
              <td className="nowrap">{f.precise(moment(run.started_at))}</td>
              <td>
                <code>{run.task}</code>{run.trigger === 'request' && <span className="small soft"> · {t('cluster.requested')}</span>}
                {run.error != null && <bdi dir="ltr" className="small soft" style={{ display: 'block' }}>{run.error}</bdi>}
              </td>
              <td><RunState state={run.state} /></td>
              <td className="end nowrap">{run.finished_at != null ? f.brief(moment(run.finished_at).getTime() - moment(run.started_at).getTime()) : '—'}</td>
              <td className="end nowrap">{f.brief(run.lag_ms)}</td>
              <td className="end">{f.number(run.items)}</td>
              <td><bdi>{hostOf(cluster, run.instance)}</bdi></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
