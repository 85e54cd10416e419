// The live log of an engine: pause, search, level, choice of the engine, the latest lines.

import { useNavigate, useSearch } from '@tanstack/react-router';
import { memo, useEffect, useMemo, useRef, useState } from 'react';
import type { PanelNode } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Notice, Problem, Status } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { save } from '../../ui/save.ts';
import { EngineChoice, NoEngine, useEngine } from './EngineChoice.tsx';
import { type Block, LineBuffer, type LogLine, MOST_LINES, isAtLeast } from './lines.ts';
import { type Connection, follow } from './logConnection.ts';

/** Milliseconds between two draws of new lines. */
const DRAW = 150;
/** Pixels from the end within which the view follows new lines. */
const NEAR = 40;

interface Log { blocks: Block[]; count: number; connection: Connection; clear: () => void }

function useLog(node: number, engine: string): Log {
  const [buffer] = useState(() => new LineBuffer());
  const [shown, setShown] = useState<{ blocks: Block[]; count: number }>({ blocks: [], count: 0 });
  const [connection, setConnection] = useState<Connection>({ state: 'connecting' });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      setShown({ blocks: buffer.blocks(), count: buffer.count });
    };
    const end = follow(node, engine, {
      line: (text) => { if (buffer.push(text)) timer ??= setTimeout(draw, DRAW); },
      state: setConnection,
      repeats: (begin) => { if (begin) buffer.repeats(); else buffer.repeatsEnd(); },
    });
    return () => {
      end();
      clearTimeout(timer);
    };
  }, [buffer, node, engine]);
  const clear = () => {
    buffer.clear();
    setShown({ blocks: [], count: buffer.count });
  };
  return { ...shown, connection, clear };
}

export function NodeLog({ node }: { node: PanelNode }) {
  const engine = useEngine(node);
  return engine === undefined ? <NoEngine /> : <EngineLog key={engine} node={node} engine={engine} />;
}

function EngineLog({ node, engine }: { node: PanelNode; engine: string }) {
  const { t, f } = useI18n();
  const { level, q } = useSearch({ from: '/nodes/$id/$tab' });
  const navigate = useNavigate({ from: '/nodes/$id/$tab' });
  const log = useLog(node.id, engine);
  const [held, setHeld] = useState<{ blocks: Block[]; count: number } | null>(null);
  const { blocks, count } = held ?? log;
  const words = (q ?? '').trim().toLowerCase();
  const accepts = useMemo(
    () => (line: LogLine) => (level === undefined || isAtLeast(line, level)) && (words === '' || line.text.toLowerCase().includes(words)),
    [level, words],
  );
  const filtered = level !== undefined || words !== '';
  const matching = useMemo(() => blocks.reduce((sum, block) => sum + block.lines.filter(accepts).length, 0), [blocks, accepts]);
  const all = blocks.reduce((sum, block) => sum + block.lines.length, 0);

  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (follows.current && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [blocks, accepts]);

  return (
    <div className="stack">
      <div className="tools" style={{ marginBlockEnd: 0 }}>
        <EngineChoice node={node} engine={engine} />
        <div className="search">
          <Icon name="search" />
          <input className="input" type="search" dir="auto" aria-label={t('log.search')} placeholder={t('log.search')} value={q ?? ''}
            onChange={(event) => void navigate({ search: ({ q: _, ...rest }) => (event.target.value === '' ? rest : { ...rest, q: event.target.value }), replace: true })} />
        </div>
        <span className="pick">
          <Choose aria-label={t('log.level')} value={level ?? ''} onChange={(event) => void navigate({ search: ({ level: _, ...rest }) => (event.target.value === '' ? rest : { ...rest, level: event.target.value as 'info' }), replace: true })}>
            <option value="">{t('log.level.all')}</option>
            <option value="info">{t('log.level.info')}</option>
            <option value="warning">{t('log.level.warning')}</option>
            <option value="error">{t('log.level.error')}</option>
          </Choose>
        </span>
        <Button aria-pressed={held !== null} onClick={() => setHeld(held === null ? { blocks: log.blocks, count: log.count } : null)}>{t(held === null ? 'log.pause' : 'log.continue')}</Button>
        <Button onClick={() => { setHeld(null); log.clear(); }}>{t('log.clear')}</Button>
        <Button onClick={() => save(`${node.name}-${engine}.log`, blocks.flatMap((block) => block.lines).filter(accepts).map((line) => `${line.text}\n`).join(''))}>{t('download')}</Button>
      </div>
      <State connection={log.connection} />
      <div ref={box} className="log" tabIndex={0} role="region" aria-label={t('log.of', { name: engine })}
        onScroll={({ currentTarget: at }) => { follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < NEAR; }}>
        {blocks.map((block) => <Lines key={block.id} block={block} accepts={accepts} words={words} />)}
        {matching === 0 && <p className="soft">{t(filtered && all > 0 ? 'log.no_match' : 'log.empty')}</p>}
      </div>
      <p className="small soft" role="status">
        {held !== null ? t('log.paused', { count: log.count - count }) : filtered ? t('log.shown', { count: matching, all: f.number(all) }) : t('log.lines', { count: all, most: f.number(MOST_LINES) })}
      </p>
    </div>
  );
}

function State({ connection }: { connection: Connection }) {
  const { t } = useI18n();
  if (connection.state === 'open') return <span><Status tone="good">{t('log.live')}</Status></span>;
  if (connection.state === 'connecting') return <span aria-busy="true"><Status tone="off">{t('log.connecting')}</Status></span>;
  if (connection.state === 'refused') return <Notice tone="bad">{t('log.refused')}</Notice>;
  return (
    <div className="stack">
      {connection.error !== undefined && <Problem error={connection.error} />}
      <Notice tone="attention">{t('log.broken')} {connection.reason !== undefined && connection.reason !== '' && <bdi dir="ltr" className="soft">{connection.reason}</bdi>}</Notice>
    </div>
  );
}

const Lines = memo(function Lines({ block, accepts, words }: { block: Block; accepts: (line: LogLine) => boolean; words: string }) {
  return (
    <div className="block">
      {block.lines.filter(accepts).map((line) => <p key={line.id} className={line.level}><Marked text={line.text} words={words} /></p>)}
    </div>
  );
});

/** A text with the searched words marked. */
function Marked({ text, words }: { text: string; words: string }) {
  const at = words === '' ? -1 : text.toLowerCase().indexOf(words);
  if (at < 0) return text;
  return <>{text.slice(0, at)}<mark>{text.slice(at, at + words.length)}</mark>{text.slice(at + words.length)}</>;
}
