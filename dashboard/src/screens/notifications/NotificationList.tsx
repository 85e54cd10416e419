// The outbox: what waits, what was delivered, what was given up; sending again and deleting, one or all that were given up.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { type Key, useI18n } from '../../i18n/index.tsx';
import type { NotificationSearch } from '../../router.tsx';
import { Button, Choose, Empty, Loaded, Moment, Segments, Status, type Tone } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { Pages } from '../../ui/list.tsx';

type Entry = Schemas['Notification'];

const TONES: Record<string, Tone> = { waiting: 'off', delivered: 'good', dead: 'bad' };
const SIZE = 50;

const retry = (id: number) => data(api.POST('/api/notifications/{id}/retry', { params: { path: { id } } }));
const remove = (id: number) => data(api.DELETE('/api/notifications/{id}', { params: { path: { id } } }));
const changed = () => queries.queryClient.invalidateQueries({ queryKey: ['notifications'] });

export function NotificationList() {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const { state, channel, page } = useSearch({ from: '/notifications' });
  const navigate = useNavigate({ from: '/notifications' });
  const filters: NotificationSearch = { ...(state ? { state } : {}), ...(channel ? { channel } : {}) };
  const read = useQuery(queries.notifications({ ...filters, page: page ?? 1, size: SIZE }));
  const show = (next: NotificationSearch) => void navigate({ search: next });
  const ofChannel = channel ? { channel } : {};
  const dead = useQuery(queries.notifications({ ...ofChannel, state: 'dead', page: 1, size: 1 })).data?.total ?? 0;
  const params = { params: { query: ofChannel } };
  const retryAll = () => ask({
    title: t('notifications.retry_page', { count: dead }), body: t('notifications.retry_all.body'), act: t('notifications.retry_page', { count: dead }), done: t('notifications.retried'),
    run: () => data(api.POST('/api/notifications/retry', params)).finally(changed),
  });
  const removeAll = () => ask({
    title: t('notifications.delete_all', { count: dead }), body: t('notifications.delete_all.body'), act: t('notifications.delete_all', { count: dead }), danger: true, done: t('act.delete.done'),
    run: () => data(api.DELETE('/api/notifications/dead', params)).finally(changed),
  });
  return (
    <>
      <div className="head">
        <h1>{t('nav.notifications')}</h1>
        <div className="row wrap">
          {dead > 0 && (state === undefined || state === 'dead') && (
            <>
              <Button needs="notifications:write" icon="refresh" onClick={retryAll}>{t('notifications.retry_page', { count: dead })}</Button>
              <Button needs="notifications:write" icon="trash" look="danger" onClick={removeAll}>{t('notifications.delete_all', { count: dead })}</Button>
            </>
          )}
          <Choose aria-label={t('notifications.channel')} value={channel ?? ''} onChange={({ target }) => show({ ...(state ? { state } : {}), ...(target.value ? { channel: target.value as 'webhook' } : {}) })}>
            <option value="">{t('notifications.channel.all')}</option>
            <option value="telegram">Telegram</option>
            <option value="webhook">Webhook</option>
          </Choose>
          <Segments<NonNullable<NotificationSearch['state']> | 'all'> name="state" label={t('user.status')} value={state ?? 'all'} onChange={(next) => show({ ...(next === 'all' ? {} : { state: next }), ...(channel ? { channel } : {}) })}
            choices={[['all', t('notifications.all')], ['waiting', t('notifications.waiting')], ['delivered', t('notifications.delivered')], ['dead', t('notifications.dead')]]} />
        </div>
      </div>
      <Loaded of={read}>
        {(list) => list.items.length === 0 ? (
          <div className="tablebox">{state || channel
            ? <Empty title={t('notifications.no_match')} action={<Button onClick={() => show({})}>{t('filters.clear')}</Button>} />
            : <Empty title={t('notifications.none')} action={<Link className="button" to="/settings/telegram">{t('settings.telegram')}</Link>}>{t('notifications.none.body')}</Empty>}</div>
        ) : (
          <>
            <Outbox entries={list.items} />
            <Pages page={list.page} pages={list.pages} size={SIZE} onPage={(next) => show({ ...filters, ...(next > 1 ? { page: next } : {}) })} />
          </>
        )}
      </Loaded>
    </>
  );
}

function Outbox({ entries }: { entries: Entry[] }) {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  const again = (entry: Entry) => ask({
    title: t('notifications.retry'), act: t('notifications.retry'), done: t('notifications.retried'),
    body: <pre className="text" tabIndex={0} aria-label={t('notifications.payload')} style={{ maxBlockSize: 240 }}>{JSON.stringify(entry.payload, null, 2)}</pre>,
    run: () => retry(entry.id).finally(changed),
  });
  const away = (entry: Entry) => ask({
    title: t('notifications.delete'), act: t('notifications.delete'), danger: true, done: t('act.delete.done'),
    body: <><p>{t(entry.state === 'waiting' ? 'notifications.delete.waiting' : 'notifications.delete.body')}</p><p><code>{entry.action}</code> <bdi dir="ltr" className="soft">{entry.channel} {entry.recipient}</bdi></p></>,
    run: () => remove(entry.id).finally(changed),
  });
  return (
    <div className="tablebox" tabIndex={0} role="group" aria-label={t('nav.notifications')}>
      <table className="list">
        <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('notifications.event')}</th><th scope="col">{t('notifications.channel')}</th><th scope="col">{t('user.status')}</th><th scope="col" className="end">{t('notifications.attempts')}</th><th scope="col"><span className="hidden">{t('actions')}</span></th></tr></thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id}>
              <td><Moment at={entry.created_at} /></td>
              <td><code>{entry.action}</code>{entry.error != null && <bdi dir="ltr" className="small soft" style={{ display: 'block' }}>{entry.error}</bdi>}</td>
              <td><bdi dir="ltr">{entry.channel} {entry.recipient}</bdi></td>
              <td>
                <Status tone={TONES[entry.state] ?? 'off'}>{Object.hasOwn(TONES, entry.state) ? t(`notifications.${entry.state}` as Key) : entry.state}</Status>
                {entry.next_attempt_at != null && entry.attempts > 0 && <span className="small soft" style={{ display: 'block' }}>{t('notifications.next')} <Moment at={entry.next_attempt_at} /></span>}
              </td>
              <td className="end">{f.number(entry.attempts)}</td>
              <td className="end">
                <span className="row" style={{ justifyContent: 'flex-end', gap: 4 }}>
                  {entry.state !== 'delivered' && <Button needs="notifications:write" icon="refresh" onClick={() => again(entry)}>{t('notifications.retry')}</Button>}
                  <Button needs="notifications:write" icon="trash" look="quiet" label={t('notifications.delete')} onClick={() => away(entry)} />
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
