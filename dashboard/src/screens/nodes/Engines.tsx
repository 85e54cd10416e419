// The engines of a node: version and state, restart, and the last configuration with which each ran.

import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { type PanelNode, api, data } from '../../api/client.ts';
import { statusOf } from '../../api/errors.ts';
import { queryClient } from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Moment, Notice, Panel, Problem, Status } from '../../ui/basics.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { Difference } from './Difference.tsx';
import { withLines } from './lineEnds.ts';
import { config } from './queries.ts';

type Engine = PanelNode['backends'][number];

/** Milliseconds that a node has to say what runs there now. */
const PATIENCE = 4_000;
const after = (milliseconds: number) => new Promise<null>((resolve) => { setTimeout(() => resolve(null), milliseconds); });

export function Engines({ node }: { node: PanelNode }) {
  const { t } = useI18n();
  const [problem, setProblem] = useState<{ engine: string; error: unknown } | null>(null);
  return (
    <Panel title={t('nodes.engines')}>
      {node.backends.length === 0 ? <p className="soft">{t('nodes.no_engines')}</p> : (
        <>
          <ul className="lines">
            {node.backends.map((engine) => (
              <li key={engine.name} style={{ flexWrap: 'wrap' }}>
                <span className="grow"><bdi style={{ fontWeight: 550 }}>{engine.name}</bdi> <bdi className="soft" dir="ltr">{engine.backend_type === engine.name ? '' : engine.backend_type} {engine.version}</bdi></span>
                {engine.running && node.status !== 'healthy'
                  ? <Status tone="off">{t('nodes.ran')}</Status>
                  : <Status tone={engine.running ? 'good' : 'bad'}>{t(engine.running ? 'nodes.running' : 'nodes.stopped')}</Status>}
                <Link to="/nodes/$id/$tab" params={{ id: String(node.id), tab: 'log' }} search={{ engine: engine.name }} aria-label={t('log.of', { name: engine.name })}>{t('nodes.tab.log')}</Link>
                <Link to="/nodes/$id/$tab" params={{ id: String(node.id), tab: 'config' }} search={{ engine: engine.name }} aria-label={t('config.of', { name: engine.name })}>{t('nodes.tab.config')}</Link>
                {node.status !== 'disabled' && <Acts node={node} engine={engine} onProblem={(error) => setProblem(error === null ? null : { engine: engine.name, error })} />}
              </li>
            ))}
          </ul>
          {problem !== null && (statusOf(problem.error) === 404
            ? <Notice tone="attention"><p><bdi>{problem.engine}</bdi>: {t('config.none_stored')}</p></Notice>
            : <Problem error={problem.error} />)}
          <p className="hint soft small" style={{ marginBlockStart: 8 }}>{t('nodes.no_stop')}</p>
        </>
      )}
    </Panel>
  );
}

function Acts({ node, engine, onProblem }: { node: PanelNode; engine: Engine; onProblem: (error: unknown) => void }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const name = engine.name;
  const params = { params: { path: { node_id: node.id, backend: name } } };
  const changed = async (done: Promise<unknown>) => {
    try {
      await done;
    } finally {
      void queryClient.invalidateQueries({ queryKey: ['engine-config', node.id, name] });
      await queryClient.invalidateQueries({ queryKey: ['nodes'] });
    }
  };
  const restart = () => {
    onProblem(null);
    const act = t(engine.running ? 'nodes.restart.one' : 'nodes.start.one', { name });
    ask({ title: act, act, body: t(engine.running ? 'nodes.restart.body' : 'nodes.start.body'), done: t('nodes.restarted'), run: () => changed(data(api.POST('/api/nodes/{node_id}/{backend}/restart', params))) });
  };
  const restore = async () => {
    onProblem(null);
    try {
      const last = withLines(await data(api.GET('/api/nodes/{node_id}/{backend}/config/last-good', params)));
      // A node that does not answer shows no difference, and can be asked all the same.
      const now = await Promise.race([queryClient.fetchQuery({ ...config(node.id, name), staleTime: 0 }).catch(() => null), after(PATIENCE)]);
      ask({
        title: t('nodes.restore.one', { name }), act: t('nodes.restore.one', { name }), done: t('nodes.restarted'),
        body: <div className="stack"><p>{t('nodes.restore.body')}</p><p className="soft">{t('nodes.restore.stored')} <Moment at={last.stored_at} /></p>{now !== null && <Difference before={now.config} after={last.config} />}</div>,
        run: () => changed(data(api.POST('/api/nodes/{node_id}/{backend}/config/restore', params))),
      });
    } catch (error) {
      onProblem(error);
    }
  };
  return (
    <ActionMenu needs="nodes:write" label={t('actions.of', { name })} actions={[
      { id: 'restart', label: t(engine.running ? 'nodes.restart' : 'nodes.start'), icon: 'refresh', run: restart },
      { id: 'restore', label: t('nodes.restore'), icon: 'back', run: () => void restore() },
    ]} />
  );
}
