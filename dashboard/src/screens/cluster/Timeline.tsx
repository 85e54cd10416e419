// Runs over time, one lane per task, from the inline start to the end. The table below says the same in words.

import type { Schemas } from '../../api/client.ts';
import { moment } from '../../i18n/format.ts';
import { type Key, useI18n } from '../../i18n/index.tsx';

type Run = Schemas['RunResponse'];

const LOOKS: Record<string, string> = { done: '', failed: 'failed', abandoned: 'abandoned', running: 'running' };
const MARKS = 4;

export function Timeline({ runs }: { runs: Run[] }) {
  const { t, f } = useI18n();
  const now = Date.now();
  const start = Math.min(...runs.map((run) => moment(run.started_at).getTime()));
  const end = Math.max(start + 1_000, ...runs.map((run) => (run.finished_at != null ? moment(run.finished_at).getTime() : now)));
  const part = (at: number) => ((at - start) / (end - start)) * 100;
  const tasks = [...new Set(runs.map((run) => run.task))].sort();
  const marks = Array.from({ length: MARKS }, (_, index) => start + ((end - start) * index) / MARKS);
  const label = (at: number) => (end - start > 86_400_000 ? f.exact(new Date(at)) : f.precise(new Date(at)));
  return (
    <div className="panel timelinebox">
      <div className="timeline" role="img" aria-label={t('cluster.timeline')}>
        {tasks.map((task) => (
          <div key={task} style={{ display: 'contents' }}>
            <code className="cut">{task}</code>
            <div className="lane">
              {runs.filter((run) => run.task === task).map((run) => {
                const from = moment(run.started_at).getTime();
                const to = run.finished_at != null ? moment(run.finished_at).getTime() : now;
                return (
                  <span key={`${run.slot} ${run.epoch}`} className={`run ${LOOKS[run.state] ?? 'off'}`} style={{ insetInlineStart: `min(${part(from)}%, 100% - 4px)`, inlineSize: `${part(to) - part(from)}%` }}
                    title={`${run.task} · ${f.precise(new Date(from))} · ${Object.hasOwn(LOOKS, run.state) ? t(`run.${run.state}` as Key) : run.state}${run.error != null ? ` · ${run.error}` : ''}`} />
                );
              })}
            </div>
          </div>
        ))}
        <span />
        <div className="axis">
          {marks.map((at) => <span key={at} style={{ insetInlineStart: `${part(at)}%` }}>{label(at)}</span>)}
        </div>
      </div>
    </div>
  );
}
