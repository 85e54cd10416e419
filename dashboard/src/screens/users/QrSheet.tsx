// Subscription links as QR codes on paper: the selected users, or all who match a filter.

import { queryOptions, useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';
import { type User, api, data } from '../../api/client.ts';
import type { UserQuery } from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Loaded, Notice } from '../../ui/basics.tsx';
import { QrCode } from '../../ui/share.tsx';
import { linkOf } from './links.ts';
import { type SheetSearch, type UserFilter, apiFilter } from './search.ts';

/** Codes of one sheet: some forty pages. */
const MOST = 500;
/** Names in one request, whose URL stays short. */
const NAMES = 50;
const PAGE = 100;

const page = (query: UserQuery, signal: AbortSignal) => data(api.GET('/api/users', { params: { query }, signal }));

/** Users of these names, in their order. */
async function named(names: string[], signal: AbortSignal): Promise<User[]> {
  const found = new Map<string, User>();
  for (let at = 0; at < names.length; at += NAMES) {
    const part = names.slice(at, at + NAMES);
    // One name alone would be a search; the same name again makes it exact.
    const { items } = await page({ username: part.length === 1 ? [...part, ...part] : part, page: 1, size: PAGE }, signal);
    for (const user of items) found.set(user.username, user);
  }
  return names.flatMap((name) => found.get(name) ?? []);
}

async function matching(filter: UserFilter, signal: AbortSignal): Promise<{ users: User[]; total: number }> {
  const users: User[] = [];
  for (let at = 1; ; at += 1) {
    const { items, total, pages } = await page({ ...apiFilter(filter), page: at, size: PAGE }, signal);
    users.push(...items);
    if (at >= pages || users.length >= MOST) return { users, total };
  }
}

const sheet = ({ names, ...filter }: SheetSearch) =>
  queryOptions({
    queryKey: ['users', 'sheet', names, filter],
    queryFn: async ({ signal }) => {
      if (names === undefined) return matching(filter, signal);
      const wanted = [...new Set(names.split(','))];
      return { users: await named(wanted.slice(0, MOST), signal), total: wanted.length };
    },
    refetchOnWindowFocus: false,
  });

export function QrSheet() {
  const { t } = useI18n();
  const search = useSearch({ from: '/sheet' });
  const read = useQuery(sheet(search));
  return (
    <>
      <div className="head screen-only">
        <h1>{t('sheet.title')}</h1>
        <div className="row">
          <Button icon="back" onClick={() => history.back()}>{t('back')}</Button>
          <Button icon="print" look="primary" disabled={read.data === undefined || read.data.users.length === 0} onClick={() => window.print()}>{t('print')}</Button>
        </div>
      </div>
      <Loaded of={read}>
        {({ users, total }) => users.length === 0 ? <div className="tablebox"><Empty title={t('users.no_match')} /></div> : (
          <>
            {total > users.length && <div className="screen-only"><Notice tone="attention">{t('sheet.some', { count: users.length, total })}</Notice></div>}
            <ul className="sheet">
              {users.map((user) => (
                <li key={user.id}>
                  <strong><bdi>{user.username}</bdi></strong>
                  <QrCode text={linkOf(user)} label={t('link.qr', { name: user.username })} />
                  <code>{linkOf(user)}</code>
                </li>
              ))}
            </ul>
          </>
        )}
      </Loaded>
    </>
  );
}
