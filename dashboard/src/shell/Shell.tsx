// The frame around all screens: navigation at the inline start, or at the bottom of a phone.

import { notifyManager, useQuery } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import { statusOf } from '../api/errors.ts';
import * as queries from '../api/queries.ts';
import { session } from '../api/session.ts';
import { type Key, useI18n } from '../i18n/index.tsx';
import { Button } from '../ui/basics.tsx';
import { Icon, type IconName, Mark } from '../ui/icons.tsx';
import { Drawer } from '../ui/overlays.tsx';
import { Palette } from './Palette.tsx';
import { Preferences } from './Preferences.tsx';
import { useShortcuts } from './shortcuts.ts';

export interface Place { to: '/' | '/users' | '/nodes' | '/services' | '/hosts' | '/inbounds' | '/admins' | '/cluster' | '/notifications' | '/settings'; key: Key; icon: IconName; sudo: boolean }

export const PLACES: Place[] = [
  { to: '/', key: 'nav.home', icon: 'home', sudo: false },
  { to: '/users', key: 'nav.users', icon: 'users', sudo: false },
  { to: '/services', key: 'nav.services', icon: 'services', sudo: true },
  { to: '/hosts', key: 'nav.hosts', icon: 'hosts', sudo: true },
  { to: '/inbounds', key: 'nav.inbounds', icon: 'inbounds', sudo: true },
  { to: '/nodes', key: 'nav.nodes', icon: 'nodes', sudo: true },
  { to: '/cluster', key: 'nav.cluster', icon: 'cluster', sudo: true },
  { to: '/notifications', key: 'nav.notifications', icon: 'mail', sudo: true },
  { to: '/admins', key: 'nav.admins', icon: 'admins', sudo: true },
  { to: '/settings', key: 'nav.settings', icon: 'settings', sudo: true },
];

/** The signed-in admin; undefined until read. */
export function useMe() {
  return useQuery(queries.me()).data;
}

/** Whether the signed-in admin may change users; creating them is open to all. */
export function useMayChangeUsers(): boolean {
  const me = useMe();
  return me !== undefined && (me.is_sudo || me.modify_users_access);
}

export function Shell() {
  const { t } = useI18n();
  const me = useQuery(queries.me());
  const [narrow, setNarrow] = useState(() => localStorage.getItem('sarban.side') === 'narrow');
  const [open, setOpen] = useState<'palette' | 'keys' | 'preferences' | 'more' | null>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useShortcuts({ palette: () => setOpen('palette'), keys: () => setOpen('keys') });
  useEffect(() => {
    setOpen(null);
    // A new screen is where the keyboard continues, except at the very start.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  useEffect(() => {
    const place = PLACES.find(({ to }) => (to === '/' ? path === '/' : path.startsWith(to)));
    document.title = place ? `${t(place.key)} · Sarban` : 'Sarban';
  }, [path, t]);
  const places = PLACES.filter((place) => !place.sudo || me.data?.is_sudo === true);
  const link = (place: Place) => (
    <Link key={place.to} className="place" to={place.to} activeOptions={{ exact: place.to === '/', includeSearch: false }} title={narrow ? t(place.key) : undefined} aria-label={narrow ? t(place.key) : undefined}>
      <Icon name={place.icon} />
      <span className="name">{t(place.key)}</span>
    </Link>
  );
  const fold = () => {
    localStorage.setItem('sarban.side', narrow ? 'wide' : 'narrow');
    setNarrow(!narrow);
  };
  return (
    <div className={narrow ? 'shell narrow' : 'shell'}>
      <button type="button" className="button skip" onClick={() => main.current?.focus()}>{t('nav.skip')}</button>
      <nav className="side" aria-label={t('nav.label')}>
        <div className="brand"><Mark /><span className="name">Sarban</span></div>
        {places.map(link)}
        <span className="space" />
        <button type="button" className="button quiet" onClick={() => setOpen('palette')} aria-label={narrow ? t('search') : undefined}>
          <Icon name="search" /><span className="name grow cut" style={{ textAlign: 'start' }}>{t('search')}</span><kbd className="name" aria-hidden="true">Ctrl K</kbd>
        </button>
        <button type="button" className="button quiet" onClick={() => setOpen('preferences')} aria-label={narrow ? t('preferences.title') : undefined} title={t('preferences.title')}>
          <Icon name="language" /><span className="name cut">{me.data?.username ?? t('preferences.title')}</span>
        </button>
        <button type="button" className="button quiet" onClick={fold} aria-label={narrow ? t('nav.fold') : undefined} aria-expanded={!narrow}>
          <Icon name="fold" /><span className="name">{t('nav.fold')}</span>
        </button>
      </nav>
      <div style={{ minInlineSize: 0 }}>
        <Connection />
        <main ref={main} tabIndex={-1} id="main">
          <Outlet />
        </main>
      </div>
      <nav className="bottom" aria-label={t('nav.label')}>
        {places.filter(({ to }) => to === '/' || to === '/users' || to === '/nodes').map((place) => (
          <Link key={place.to} to={place.to} activeOptions={{ exact: place.to === '/', includeSearch: false }}>
            <Icon name={place.icon} />{t(place.key)}
          </Link>
        ))}
        <button type="button" onClick={() => setOpen('more')}><Icon name="more" />{t('nav.more')}</button>
      </nav>
      {open === 'palette' && <Palette places={places} onClose={() => setOpen(null)} />}
      {open === 'preferences' && <Preferences onClose={() => setOpen(null)} />}
      {open === 'keys' && <Keys onClose={() => setOpen(null)} />}
      {open === 'more' && (
        <Drawer title={t('nav.more')} name={t('nav.more')} onClose={() => setOpen(null)}>
          <div className="body" style={{ gap: 2 }}>
            {places.filter(({ to }) => to !== '/' && to !== '/users' && to !== '/nodes').map(link)}
            <Button look="quiet" icon="search" onClick={() => setOpen('palette')}>{t('palette.title')}</Button>
            <Button look="quiet" icon="language" onClick={() => setOpen('preferences')}>{t('preferences.title')}</Button>
            <Button look="quiet" icon="out" onClick={() => session.end(null)}>{t('signout')}</Button>
          </div>
        </Drawer>
      )}
    </div>
  );
}

const cache = queries.queryClient.getQueryCache();
const onReads = (changed: () => void) => cache.subscribe(notifyManager.batchCalls(changed));
/** True while something on the screen is old because the panel did not answer. */
const isUnreachable = () =>
  cache.getAll().some((query) => query.isActive() && query.state.data !== undefined && query.state.status === 'error' && statusOf(query.state.error) === 0);

function Connection() {
  const { t } = useI18n();
  const failed = useSyncExternalStore(onReads, isUnreachable);
  const [offline, setOffline] = useState(!navigator.onLine);
  useEffect(() => {
    const look = () => setOffline(!navigator.onLine);
    window.addEventListener('online', look);
    window.addEventListener('offline', look);
    return () => {
      window.removeEventListener('online', look);
      window.removeEventListener('offline', look);
    };
  }, []);
  return <div role="status">{(offline || failed) && <p className="offline">{t('offline')}</p>}</div>;
}

function Keys({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const rows: [string, Key][] = [
    ['Ctrl K', 'keys.palette'], ['/', 'keys.search'], ['j k ↓ ↑', 'keys.rows'], ['Enter', 'keys.open'], ['x', 'keys.select'], ['n', 'keys.new'],
    ['g h', 'nav.home'], ['g u', 'nav.users'], ['g s', 'nav.services'], ['g o', 'nav.hosts'], ['g n', 'nav.nodes'], ['Esc', 'close'], ['?', 'keys.title'],
  ];
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(is) => { if (!is) onClose(); }} className="veil">
      <Modal className="dialog">
        <Dialog aria-label={t('keys.title')}>
          <header><h2>{t('keys.title')}</h2><Button icon="close" look="quiet" label={t('close')} onClick={onClose} /></header>
          <div className="body" style={{ paddingBlockEnd: 24 }}>
            <dl className="facts keys">
              {rows.map(([keys, key]) => (
                <div key={keys} style={{ display: 'contents' }}>
                  <dt dir="ltr">{keys.split(' ').map((one) => <kbd key={one} style={{ marginInlineEnd: 4 }}>{one}</kbd>)}</dt>
                  <dd>{t(key)}</dd>
                </div>
              ))}
            </dl>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
