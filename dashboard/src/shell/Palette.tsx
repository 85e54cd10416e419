// The command palette: pages, users, nodes, services, admins and what can be done to them, all with the keyboard.

import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useDeferredValue, useEffect, useId, useState } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import * as queries from '../api/queries.ts';
import { type Right, has } from '../api/rights.ts';
import { LANGUAGES, type Language, useI18n } from '../i18n/index.tsx';
import { drawerOf } from '../screens/admins/drawers.ts';
import { runTask } from '../screens/cluster/acts.ts';
import { resync } from '../screens/nodes/acts.ts';
import { useUserActs } from '../screens/users/actions.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import { useOverlays } from '../ui/overlays.tsx';
import { useSignOut } from '../ui/unsaved.tsx';
import { useMayChangeUsers, useMayResetUsers, useMe } from './Shell.tsx';
import type { Place } from './places.ts';
import { type Theme, setTheme } from './theme.ts';

interface Entry { id: string; icon: IconName; label: string; /** What it is, where its label is only a name. */ kind?: string; run: () => void }

/** Entries of one kind that are listed at most. */
const MOST = 8;
const THEMES: Theme[] = ['system', 'light', 'dark'];

export default function Palette({ places, onClose }: { places: Place[]; onClose: () => void }) {
  const { t } = useI18n();
  const id = useId();
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const words = useDeferredValue(typed.trim().toLowerCase());
  const entries = useEntries(places, words);
  const chosen = Math.min(at, entries.length - 1);
  useEffect(() => setAt(0), [words]);
  useEffect(() => { void document.getElementById(`${id}-${chosen}`)?.scrollIntoView({ block: 'nearest' }); }, [id, chosen]);
  const go = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    onClose();
    entry.run();
  };
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(open) => { if (!open) onClose(); }} className="veil">
      <Modal className="palette">
        <Dialog aria-label={t('palette.title')}>
          <input
            className="input"
            autoFocus
            role="combobox"
            aria-expanded="true"
            aria-autocomplete="list"
            aria-controls={id}
            aria-activedescendant={entries[chosen] && `${id}-${chosen}`}
            aria-label={t('palette.title')}
            placeholder={t('palette.hint')}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            onKeyDown={(event) => {
              const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
              if (step !== 0 && entries.length > 0) {
                event.preventDefault();
                setAt((chosen + step + entries.length) % entries.length);
              } else if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
                event.preventDefault();
                go(entries[chosen]);
              }
            }}
          />
          <ul role="listbox" id={id} aria-label={t('palette.title')}>
            {entries.map((entry, index) => (
              <li key={entry.id} id={`${id}-${index}`} role="option" aria-selected={index === chosen} onPointerMove={() => setAt(index)} onClick={() => go(entry)}>
                <Icon name={entry.icon} />
                <bdi className="grow">{entry.label}</bdi>
                {entry.kind !== undefined && <span className="soft small">{entry.kind}</span>}
              </li>
            ))}
            {entries.length === 0 && <li role="option" aria-selected="false" aria-disabled="true" className="soft">{t('palette.none')}</li>}
          </ul>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** What the signed-in admin may go to or do, as far as its label has all the words. */
function useEntries(places: Place[], words: string): Entry[] {
  const { t, setLanguage } = useI18n();
  const { ask } = useOverlays();
  const navigate = useNavigate();
  const me = useMe();
  const [mayChange, mayReset] = [useMayChangeUsers(), useMayResetUsers()];
  const actOnUsers = useUserActs();
  const signOut = useSignOut();
  const parts = words.split(/\s+/).filter((part) => part !== '');
  const may = (right: Right) => words !== '' && has(me, right);
  // In "disable ann" the panel knows only "ann": it searches the first word and the last.
  const named = (name = '') => ({ ...queries.users({ username: [name], size: MOST }), placeholderData: undefined, enabled: name !== '' && may('users:read=own'), refetchInterval: false as const });
  const [byFirst, byLast] = [useQuery(named(parts[0])), useQuery(named(parts.at(-1)))];
  const users = [...(byFirst.data?.items ?? []), ...(byLast.data?.items ?? [])];
  const nodes = useQuery({ ...queries.nodes(), enabled: may('nodes:read'), refetchInterval: false }).data?.items ?? [];
  const services = useQuery({ ...queries.services(), enabled: may('services:read') }).data?.items ?? [];
  const admins = useQuery({ ...queries.admins(), enabled: may('admins:read') }).data?.items ?? [];
  const tasks = useQuery({ ...queries.cluster(), enabled: may('cluster:read'), refetchInterval: false }).data?.tasks ?? [];
  const matching = (entries: Entry[]) => entries.filter(({ label, kind = '' }) => parts.every((part) => `${label} ${kind}`.toLowerCase().includes(part)));

  const pages = [
    ...places.map((place): Entry => ({ id: place.to, icon: place.icon, label: t(place.key), run: () => void navigate({ to: place.to }) })),
    ...(has(me, 'users:write=own') ? [{ id: 'new', icon: 'plus' as const, label: t('users.new'), run: () => void navigate({ to: '/users', search: { drawer: 'new' } }) }] : []),
  ];
  if (words === '') return pages;

  const usersOnce = [...new Map(users.map((user) => [user.id, user])).values()];
  const people = usersOnce.flatMap((user): Entry[] => {
    const { username } = user;
    const act = (what: 'enable' | 'disable' | 'reset', icon: IconName): Entry =>
      ({ id: `user-${user.id}-${what}`, icon, label: t(`act.${what}.one`, { name: username }), kind: t('nav.users'), run: () => actOnUsers(what, username) });
    return [
      { id: `user-${user.id}`, icon: 'users', label: username, kind: t('nav.users'), run: () => void navigate({ to: '/users/$name', params: { name: username } }) },
      ...(mayChange ? [user.enabled ? act('disable', 'close') : act('enable', 'check')] : []),
      ...(mayReset ? [act('reset', 'refresh')] : []),
    ];
  });
  const machines = nodes.flatMap((node): Entry[] => [
    { id: `node-${node.id}`, icon: 'nodes', label: node.name, kind: t('nav.nodes'), run: () => void navigate({ to: '/nodes/$id', params: { id: String(node.id) } }) },
    ...(may('nodes:write') ? [{ id: `node-${node.id}-resync`, icon: 'refresh' as const, label: t('nodes.resync.one', { name: node.name }), kind: t('nav.nodes'), run: () => ask(resync(node.id, node.name, t)) }] : []),
  ]);
  const others: Entry[] = [
    ...services.map((service): Entry => ({ id: `service-${service.id}`, icon: 'services', label: service.name ?? `#${service.id}`, kind: t('nav.services'), run: () => void navigate({ to: '/services', search: { drawer: String(service.id) } }) })),
    ...admins.map((admin): Entry => ({ id: `admin-${admin.id}`, icon: 'admins', label: admin.username, kind: t('nav.admins'), run: () => void navigate({ to: '/admins', search: { drawer: drawerOf('edit', admin.username) } }) })),
    ...(may('cluster:write') ? tasks : []).filter((task) => task.enabled).map((task): Entry => ({ id: `task-${task.name}`, icon: 'cluster', label: t('cluster.run.one', { name: task.name }), kind: t('nav.cluster'), run: () => ask(runTask(task.name, t)) })),
  ];
  const own: Entry[] = [
    { id: 'signout', icon: 'out', label: t('signout'), run: signOut },
    ...THEMES.map((theme): Entry => ({ id: `theme-${theme}`, icon: 'settings', label: t(`theme.${theme}`), kind: t('preferences.theme'), run: () => setTheme(theme) })),
    ...Object.entries(LANGUAGES).map(([code, name]): Entry => ({ id: `language-${code}`, icon: 'language', label: name, kind: t('preferences.language'), run: () => setLanguage(code as Language) })),
  ];
  return [...matching(pages), ...matching(people).slice(0, MOST * 3), ...matching(machines).slice(0, MOST * 2), ...matching(others).slice(0, MOST * 2), ...matching(own)];
}
