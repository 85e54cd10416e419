// The frame around all screens: navigation at the inline start, or at the bottom of a phone.

import { notifyManager, useQuery } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { Suspense, lazy, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { statusOf } from '../api/errors.ts';
import * as queries from '../api/queries.ts';
import { has } from '../api/rights.ts';
import { useI18n } from '../i18n/index.tsx';
import { loadMoreTexts } from '../i18n/texts.ts';
import { Button } from '../ui/basics.tsx';
import { Icon, Mark } from '../ui/icons.tsx';
import { Drawer } from '../ui/overlays.tsx';
import { useSignOut } from '../ui/unsaved.tsx';
import { Keys } from './Keys.tsx';
import { PLACES, type Place, placeOf } from './places.ts';
import { Preferences } from './Preferences.tsx';
import { useRowKeys } from './rowKeys.ts';
import { useShortcuts } from './shortcuts.ts';

const Palette = lazy(async () => {
  await loadMoreTexts();
  return import('./Palette.tsx');
});

/** The signed-in admin; undefined until read. */
export function useMe() {
  return useQuery(queries.me()).data;
}

/** Whether the signed-in admin may change users, if only its own; creating them does not need `modify_users_access`. */
export function useMayChangeUsers(): boolean {
  const me = useMe();
  return me !== undefined && (me.is_sudo || me.modify_users_access) && has(me, 'users:write=own');
}

/** Whether the signed-in admin may set the used traffic of users to zero. */
export function useMayResetUsers(): boolean {
  const me = useMe();
  return me !== undefined && (me.is_sudo || me.modify_users_access) && has(me, 'users:reset=own');
}

export function Shell() {
  const { t } = useI18n();
  const me = useQuery(queries.me());
  const [narrow, setNarrow] = useState(() => localStorage.getItem('sarban.side') === 'narrow');
  const [open, setOpen] = useState<'palette' | 'keys' | 'preferences' | 'more' | null>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const signOut = useSignOut();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const places = PLACES.filter(({ needs }) => needs === undefined || has(me.data, needs));
  useShortcuts(places, { palette: () => setOpen('palette'), keys: () => setOpen('keys') });
  useRowKeys();
  useEffect(() => {
    setOpen(null);
    // A new screen is where the keyboard continues, except at the very start.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  useEffect(() => {
    const place = placeOf(path);
    document.title = place ? `${t(place.key)} · Sarban` : 'Sarban';
  }, [path, t]);
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
      {open === 'palette' && <Suspense fallback={null}><Palette places={places} onClose={() => setOpen(null)} /></Suspense>}
      {open === 'preferences' && <Preferences onClose={() => setOpen(null)} />}
      {open === 'keys' && <Keys places={places} onClose={() => setOpen(null)} />}
      {open === 'more' && (
        <Drawer title={t('nav.more')} name={t('nav.more')} onClose={() => setOpen(null)}>
          <div className="body" style={{ gap: 2 }}>
            {places.filter(({ to }) => to !== '/' && to !== '/users' && to !== '/nodes').map(link)}
            <Button look="quiet" icon="search" onClick={() => setOpen('palette')}>{t('palette.title')}</Button>
            <Button look="quiet" icon="language" onClick={() => setOpen('preferences')}>{t('preferences.title')}</Button>
            <Button look="quiet" icon="out" onClick={signOut}>{t('signout')}</Button>
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
