// The order of hosts in subscriptions: dragged, or moved with the keyboard, and saved as weights.

import { type KeyboardEvent, useLayoutEffect, useRef, useState } from 'react';
import type { Host, Inbound } from '../../api/client.ts';
import { mayNow } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Problem, Status } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { useForm } from '../../ui/form.ts';
import { type KeyHint, useKeyHints } from '../../ui/keys.ts';
import { useOverlays } from '../../ui/overlays.tsx';
import { useSubmit } from '../../ui/submit.ts';
import { Restored, useUnsaved } from '../../ui/unsaved.tsx';
import { changeHosts } from './actions.tsx';
import { before, weightsFor } from './order.ts';

const KEYS: KeyHint[] = [['↓ ↑', 'keys.rows'], ['Alt ↓ ↑', 'keys.move']];

export function HostOrder({ hosts, inbounds }: { hosts: Host[]; inbounds: Inbound[] }) {
  const { t } = useI18n();
  useKeyHints(KEYS);
  const { say } = useOverlays();
  const { busy, error, run } = useSubmit();
  // The ids in their new order, until it is saved.
  const form = useForm<{ moved: number[] | null }>('order of hosts', () => ({ moved: null }));
  const { moved } = form.draft;
  const [dragged, setDragged] = useState<number | null>(null);
  const [announced, setAnnounced] = useState('');
  const list = useRef<HTMLOListElement>(null);
  // An element that changes its place in the document loses the focus.
  const focused = useRef<Element | null>(null);
  useLayoutEffect(() => {
    if (focused.current instanceof HTMLElement) focused.current.focus();
    focused.current = null;
  }, [moved]);
  const stored = [...hosts].sort(before);
  const known = new Map(hosts.map((host) => [host.id, host]));
  // Hosts that came or went meanwhile have their place, too.
  const order = moved === null ? stored : [...moved.flatMap((id) => known.get(id) ?? []), ...stored.filter((host) => !moved.includes(host.id))];
  const changes = weightsFor(order);
  const move = (from: number, to: number) => {
    if (to < 0 || to >= order.length || from === to) return;
    const next = order.map((host) => host.id);
    const [id] = next.splice(from, 1);
    if (id === undefined) return;
    next.splice(to, 0, id);
    focused.current = list.current?.contains(document.activeElement) === true ? document.activeElement : null;
    form.set({ moved: next });
    setAnnounced(t('hosts.moved', { name: known.get(id)?.remark ?? '', place: to + 1, places: order.length }));
  };
  const onKey = (event: KeyboardEvent, index: number) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.altKey) {
      if (mayNow('hosts:write')) move(index, index + step);
    } else list.current?.querySelectorAll<HTMLElement>('[data-place]')[index + step]?.focus();
  };
  const save = async () => {
    if (!(await run(() => changeHosts(changes)))) return;
    form.set({ moved: null });
    say(t('saved'));
  };
  const where = (host: Host) => {
    const inbound = inbounds.find(({ id }) => id === host.inbound_id);
    return inbound === undefined ? (host.protocol ?? '') : `${inbound.node.name} · ${inbound.tag}`;
  };
  const question = useUnsaved(
    { ...form, isUnsaved: () => changes.length > 0 && form.isUnsaved() },
    (next) => next.pathname === '/hosts' && 'view' in next.search && next.search.view === 'order',
  );
  return (
    <>
      {question}
      {changes.length > 0 && <Restored form={form} />}
      <p className="soft" style={{ marginBlockEnd: 12 }}>{t('hosts.order.hint')}</p>
      <div className="hidden" role="status" aria-live="polite">{announced}</div>
      <ol className="order" ref={list} aria-label={t('hosts.view.order')}>
        {order.map((host, index) => (
          <li
            key={host.id}
            data-place={index}
            className={dragged === host.id ? 'dragged' : undefined}
            tabIndex={0}
            draggable={mayNow('hosts:write')}
            onKeyDown={(event) => { if (event.target === event.currentTarget) onKey(event, index); }}
            onDragStart={(event) => { event.dataTransfer.effectAllowed = 'move'; event.dataTransfer.setData('text/plain', String(host.id)); setDragged(host.id); }}
            onDragEnd={() => setDragged(null)}
            onDragOver={(event) => {
              if (dragged === null) return;
              event.preventDefault();
              const from = order.findIndex(({ id }) => id === dragged);
              const box = event.currentTarget.getBoundingClientRect();
              // Only past its middle, so that rows of different heights do not change places all the time.
              const past = from < index ? event.clientY > box.top + box.height / 2 : event.clientY < box.top + box.height / 2;
              if (past) move(from, index);
            }}
            onDrop={(event) => { event.preventDefault(); setDragged(null); }}
          >
            <Icon name="grip" />
            <span className="grow"><bdi>{host.remark}</bdi> <span className="soft small"><bdi>{where(host)}</bdi></span></span>
            {host.is_disabled && <Status tone="off">{t('state.disabled')}</Status>}
            <span className="row" style={{ gap: 0 }}>
              <Button needs="hosts:write" icon="up" look="quiet" label={t('hosts.move_up', { name: host.remark })} disabled={index === 0} onClick={() => move(index, index - 1)} />
              <Button needs="hosts:write" icon="down" look="quiet" label={t('hosts.move_down', { name: host.remark })} disabled={index === order.length - 1} onClick={() => move(index, index + 1)} />
            </span>
          </li>
        ))}
      </ol>
      {changes.length > 0 && (
        <div className="bulk" role="region" aria-label={t('hosts.order.unsaved')}>
          <strong>{t('hosts.order.unsaved')}</strong>
          <Button look="primary" disabled={busy} onClick={() => void save()}>{busy ? t('working') : t('hosts.order.save')}</Button>
          <Button disabled={busy} onClick={form.reset}>{t('cancel')}</Button>
        </div>
      )}
      {error !== null && <Problem error={error} />}
    </>
  );
}
