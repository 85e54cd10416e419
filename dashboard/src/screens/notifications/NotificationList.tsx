// The outbox: what waits, what was delivered, what was given up.

import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Loaded, Moment, Segments, Status } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { Pages } from '../users/UserList.tsx';

type State = 'waiting' | 'delivered' | 'dead';
const TONES = { waiting: 'off', delivered: 'good', dead: 'bad' } as const;

export function NotificationList() {
  const { t } = useI18n();
  const { say } = useOverlays();
  const { state, page } = useSearch({ from: '/notifications' });
  const navigate = useNavigate({ from: '/notifications' });
  const read = useQuery(queries.notifications({ ...(state ? { state } : {}), page: page ?? 1, size: 50 }));
  const retry = (id: number) => void data(api.POST('/api/notifications/{id}/retry', { params: { path: { id } } }))
    .then(() => say(t('notifications.retried')))
    .finally(() => void queries.queryClient.invalidateQueries({ queryKey: ['notifications'] }));
  return (
    <>
      <div className="head">
        <h1>{t('nav.notifications')}</h1>
        <Segments<State | 'all'> name="state" label={t('user.status')} value={state ?? 'all'} onChange={(next) => void navigate({ search: next === 'all' ? {} : { state: next } })}
          choices={[['all', t('notifications.all')], ['waiting', t('notifications.waiting')], ['delivered', t('notifications.delivered')], ['dead', t('notifications.dead')]]} />
      </div>
      <Loaded of={read}>
        {(list) => list.items.length === 0 ? (
          <div className="tablebox"><Empty title={t('notifications.none')}>{t('notifications.none.body')}</Empty></div>
        ) : (
          <>
            <div className="tablebox" tabIndex={0} role="group" aria-label={t('nav.notifications')}>
              <table className="list">
                <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('notifications.event')}</th><th scope="col">{t('notifications.channel')}</th><th scope="col">{t('user.status')}</th><th scope="col" className="end">{t('notifications.attempts')}</th><th scope="col"><span className="hidden">{t('actions')}</span></th></tr></thead>
                <tbody>
                  {list.items.map((entry) => (
                    <tr key={entry.id}>
                      <td><Moment at={entry.created_at} /></td>
                      <td><code>{entry.action}</code>{entry.error != null && <bdi dir="ltr" className="small soft" style={{ display: 'block' }}>{entry.error}</bdi>}</td>
                      <td><bdi dir="ltr">{entry.channel} {entry.recipient}</bdi></td>
                      <td><Status tone={TONES[entry.state as State]}>{t(`notifications.${entry.state as State}`)}</Status></td>
                      <td className="end">{entry.attempts}</td>
                      <td className="end">{entry.state === 'dead' && <Button icon="refresh" onClick={() => retry(entry.id)}>{t('notifications.retry')}</Button>}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <Pages page={list.page} pages={list.pages} size={50} onPage={(next) => void navigate({ search: { ...(state ? { state } : {}), ...(next > 1 ? { page: next } : {}) } })} />
          </>
        )}
      </Loaded>
    </>
  );
}
