// Where the admin is signed in, and how to end that.

import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type Schemas, api, data, signOut } from '../../api/client.ts';
import { announcedInterval } from '../../api/live.ts';
import { queryClient } from '../../api/queries.ts';
import { session } from '../../api/session.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Loaded, Moment, Panel, Status } from '../../ui/basics.tsx';
import { Pages } from '../../ui/list.tsx';
import { useOverlays } from '../../ui/overlays.tsx';

const SIZE = 10;
const sessions = (page: number) =>
  queryOptions({
    queryKey: ['sessions', page],
    queryFn: ({ signal }) => data(api.GET('/api/sessions', { params: { query: { page, size: SIZE } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: announcedInterval,
  });
const changed = () => queryClient.invalidateQueries({ queryKey: ['sessions'] });

export function Sessions() {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const [page, onPage] = useState(1);
  const read = useQuery(sessions(page));
  const endAll = () => ask({
    title: t('sessions.end_all'), body: t('sessions.end_all.body'), act: t('sessions.end_all'), danger: true, done: t('sessions.ended'),
    run: async () => {
      const { token } = await data(api.DELETE('/api/sessions', {}));
      if (token) session.start(token.access_token);
      await queryClient.invalidateQueries();
    },
  });
  return (
    <Panel title={t('sessions.title')} aside={<Button needs="sessions:write=own" look="danger" onClick={endAll}>{t('sessions.end_all')}</Button>}>
      <Loaded of={read} rows={3}>
        {({ items, pages }) => items.length === 0 ? <p className="soft">{t('sessions.none')}</p> : (
          <>
            <ul className="rows">{items.map((one) => <Row key={one.id} of={one} />)}</ul>
            {pages > 1 && <Pages page={page} pages={pages} onPage={onPage} />}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Row({ of }: { of: Schemas['SessionBody'] }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const end = () => (of.is_current
    ? ask({ title: t('signout'), body: t('sessions.own.body'), act: t('signout'), run: async () => signOut() })
    : ask({ title: t('sessions.end'), body: t('sessions.end.body'), act: t('sessions.end'), danger: true, done: t('sessions.ended'), run: () => data(api.DELETE('/api/sessions/{id}', { params: { path: { id: of.id } } })).then(changed) }));
  return (
    <li>
      <div className="grow">
        <bdi dir="ltr" className="cut">{of.user_agent === '' ? t('sessions.unknown') : of.user_agent}</bdi>
        <p className="soft small">
          {of.is_current ? <Status tone="good">{t('sessions.current')}</Status> : <>{t('sessions.used')} <Moment at={of.last_used_at} /></>}
          {of.address != null && <> · <bdi dir="ltr">{of.address}</bdi></>} · {t('sessions.since')} <Moment at={of.created_at} />
        </p>
      </div>
      <Button needs={of.is_current ? undefined : 'sessions:write=own'} look="quiet" onClick={end}>{t(of.is_current ? 'signout' : 'sessions.end')}</Button>
    </li>
  );
}
