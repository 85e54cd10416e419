// A screen that needs a right: without it, it says so, with the way back.

import { useQuery } from '@tanstack/react-query';
import { Link, useRouterState } from '@tanstack/react-router';
import { type ReactNode, Suspense } from 'react';
import { me } from '../api/queries.ts';
import { type Right, has } from '../api/rights.ts';
import { useI18n } from '../i18n/index.tsx';
import { Loaded, Waiting } from '../ui/basics.tsx';
import { placeOf } from './places.ts';

export function Only({ needs, children }: { needs: Right; children: ReactNode }) {
  const read = useQuery(me());
  return <Loaded of={read}>{(admin) => (has(admin, needs) ? <Suspense fallback={<Waiting />}>{children}</Suspense> : <NotAllowed />)}</Loaded>;
}

/** As `Only`, for screens that begin to read beside the admin, not after it. */
export function Beside({ needs, children }: { needs: Right; children: ReactNode }) {
  const admin = useQuery(me()).data;
  return admin !== undefined && !has(admin, needs) ? <NotAllowed /> : children;
}

export function NotAllowed() {
  const { t } = useI18n();
  const place = useRouterState({ select: (state) => placeOf(state.location.pathname) });
  return (
    <div className="empty">
      <h1>{place === undefined ? t('right.title') : t('right.title_of', { name: t(place.key) })}</h1>
      <p>{t('right.body')}</p>
      <Link className="button" to="/">{t('nav.home')}</Link>
    </div>
  );
}
