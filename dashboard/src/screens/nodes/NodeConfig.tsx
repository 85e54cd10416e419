// The configuration of an engine: edit, compare with what runs, apply with the result in the engine's own words.

import { useQuery } from '@tanstack/react-query';
import { Suspense, lazy, useEffect, useRef, useState } from 'react';
import { type PanelNode, type Schemas, api, data } from '../../api/client.ts';
import { ApiError, statusOf } from '../../api/errors.ts';
import { queryClient } from '../../api/queries.ts';
import type { Fault, Syntax } from '../../editor/CodeEditor.tsx';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Empty, Notice, Problem, Status, Waiting } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { save } from '../../ui/save.ts';
import { Difference } from './Difference.tsx';
import { draftOf, setDraft } from './drafts.ts';
import { EngineChoice, NoEngine, useEngine } from './EngineChoice.tsx';
import { withLines } from './lineEnds.ts';
import { config } from './queries.ts';

const CodeEditor = lazy(() => import('../../editor/CodeEditor.tsx'));

type Config = Schemas['BackendConfigResponse'];
/** Formats by their number in the API. */
const SYNTAXES: readonly Syntax[] = ['text', 'json', 'yaml'];
const ENDINGS = ['txt', 'json', 'yaml'];

export function NodeConfig({ node }: { node: PanelNode }) {
  const engine = useEngine(node);
  return engine === undefined ? <NoEngine /> : <EngineConfig key={engine} node={node} engine={engine} />;
}

function EngineConfig({ node, engine }: { node: PanelNode; engine: string }) {
  const read = useQuery(config(node.id, engine));
  const [stored, setStored] = useState<Config | null>(null);
  const runs = read.data ?? stored;
  const lastGood = () => data(api.GET('/api/nodes/{node_id}/{backend}/config/last-good', { params: { path: { node_id: node.id, backend: engine } } })).then(withLines);
  if (runs !== null) return <Editor node={node} engine={engine} runs={runs} fresh={read.data !== undefined} lastGood={lastGood} />;
  return (
    <div className="stack">
      <div className="tools"><EngineChoice node={node} engine={engine} /></div>
      {read.isError ? <><Problem error={read.error} retry={() => void read.refetch()} /><Stored load={() => lastGood().then(setStored)} /></> : <Waiting />}
    </div>
  );
}

/** A node that does not answer, or has no configuration, can get back what the panel stores. */
function Stored({ load }: { load: () => Promise<void> }) {
  const { t } = useI18n();
  const [error, setError] = useState<unknown>(null);
  if (error !== null && statusOf(error) === 404) return <Empty title={t('config.none_stored')} />;
  return <div>{error !== null && <Problem error={error} />}<Button onClick={() => void load().catch(setError)}>{t('config.last_good')}</Button></div>;
}

function Editor({ node, engine, runs, fresh, lastGood }: { node: PanelNode; engine: string; runs: Config; fresh: boolean; lastGood: () => Promise<Config> }) {
  const { t } = useI18n();
  const { ask, say } = useOverlays();
  const [draft, setEdited] = useState(() => draftOf(node.id, engine));
  // Without a draft, what runs is shown, also when it is read again.
  const { text, format } = draft ?? { text: runs.config, format: runs.format };
  const [fault, setFault] = useState<Fault | null>(null);
  const [compares, setCompares] = useState(false);
  const [refusal, setRefusal] = useState<unknown>(null);
  const [unread, setUnread] = useState<unknown>(null);
  const clear = () => { setRefusal(null); setUnread(null); };
  const goTo = useRef<(at: number) => void>(() => undefined);
  const path = { path: { node_id: node.id, backend: engine } };
  const isChanged = text !== runs.config || format !== runs.format;
  // What has come to run as it was edited is no draft any more.
  useEffect(() => {
    if (isChanged) return;
    setEdited(undefined);
    setDraft(node.id, engine, null);
  }, [isChanged, node.id, engine]);
  const change = (next: string, as = format) => {
    const edited = next === runs.config && as === runs.format ? null : { text: next, format: as };
    setEdited(edited ?? undefined);
    setDraft(node.id, engine, edited);
  };
  const put = async () => {
    clear();
    try {
      await data(api.PUT('/api/nodes/{node_id}/{backend}/config', { params: path, body: { config: text, format } }));
      setDraft(node.id, engine, null);
      queryClient.setQueryData(config(node.id, engine).queryKey, { config: text, format });
      say(t('config.applied'));
    } catch (error) {
      setRefusal(error);
      if (!isRefused(error)) void queryClient.invalidateQueries({ queryKey: ['engine-config', node.id, engine] });
    }
    await queryClient.invalidateQueries({ queryKey: ['nodes'] });
  };
  const apply = async () => {
    clear();
    // What runs now, not what ran when the screen was opened: somebody else may have changed it.
    let before = runs.config;
    try {
      before = (await queryClient.fetchQuery({ ...config(node.id, engine), staleTime: 0 })).config;
    } catch (error) {
      if (fresh) return setUnread(error);
    }
    ask({
      title: t('config.apply.title', { name: engine }),
      body: <div className="stack">{before !== runs.config && <Notice tone="attention">{t('config.changed_elsewhere')}</Notice>}<p>{t('config.apply.body')}</p><Difference before={before} after={text} /></div>,
      act: t('config.apply'), run: put,
    });
  };
  return (
    <div className="stack">
      <div className="tools" style={{ marginBlockEnd: 0 }}>
        <EngineChoice node={node} engine={engine} />
        <span className="pick">
          <Choose aria-label={t('config.format')} value={format} onChange={(event) => change(text, Number(event.target.value))}>
            <option value={1}>JSON</option><option value={2}>YAML</option><option value={0}>{t('config.text')}</option>
          </Choose>
        </span>
        <Button needs="nodes:write" look="primary" disabled={!isChanged} onClick={() => void apply()}>{t('config.apply')}</Button>
        <Button aria-pressed={compares} disabled={!isChanged && !compares} onClick={() => setCompares(!compares)}>{t('config.difference')}</Button>
        <Button disabled={!isChanged} onClick={() => { clear(); change(runs.config, runs.format); }}>{t('config.discard')}</Button>
        <Button onClick={() => { clear(); void lastGood().then((last) => change(last.config, last.format)).catch(setUnread); }}>{t('config.last_good')}</Button>
        <Button onClick={() => save(`${node.name}-${engine}.${ENDINGS[format] ?? 'txt'}`, text)}>{t('download')}</Button>
      </div>
      {refusal !== null && <Refusal error={refusal} />}
      {unread !== null && <Problem error={unread} />}
      {!fresh && <Notice tone="attention">{t('config.not_read')}</Notice>}
      <Suspense fallback={<Waiting />}>
        <CodeEditor text={text} syntax={SYNTAXES[format] ?? 'text'} label={t('config.of', { name: engine })} onChange={change} onFault={setFault} onReady={(go) => { goTo.current = go; }} />
      </Suspense>
      <p role="status" className="wraps">
        {fault !== null
          ? <><Status tone="bad">{t('config.fault', { line: fault.line, column: fault.column })}</Status> <Button look="quiet" onClick={() => goTo.current(fault.at)}>{t('config.go')}</Button></>
          : <Status tone={isChanged ? 'attention' : 'good'}>{t(isChanged ? 'config.edited' : 'config.runs')}</Status>}
      </p>
      {compares && <Difference before={runs.config} after={text} />}
    </div>
  );
}

/** What the panel answers, without a code of its own, when another admin's change of the node's configuration goes on. */
const BUSY = /^Another admin is changing/;

/** True if the engine certainly does not run with the configuration: it was refused, or never sent. */
function isRefused(error: unknown): boolean {
  const status = statusOf(error);
  return status === 422 || (status === 409 && error instanceof ApiError && BUSY.test(error.detail)) || [400, 401, 403, 404, 429].includes(status);
}

/** Why a configuration was not applied, or may not be, in the words of the engine or the node. */
function Refusal({ error }: { error: unknown }) {
  const { t } = useI18n();
  const refused = isRefused(error);
  const words = error instanceof ApiError ? (error.fields.config ?? error.detail) : '';
  if (refused && (words === '' || ![409, 422].includes(statusOf(error)))) return <Problem error={error} />;
  const title = t(refused ? 'config.refused' : 'config.unknown');
  return (
    <div role="alert">
      <Notice tone={refused ? 'bad' : 'attention'}>
        <p>{title}</p>
        {words === '' ? <Problem error={error} /> : <pre className="text" tabIndex={0} aria-label={title} style={{ whiteSpace: 'pre-wrap', background: 'transparent', padding: 0 }}>{words}</pre>}
      </Notice>
    </div>
  );
}
