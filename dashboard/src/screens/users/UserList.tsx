// The list of users: searched, filtered, sorted and paged by the panel; its URL says what it shows.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Suspense, lazy, useEffect, useRef, useState } from 'react';
import type { User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { moment } from '../../i18n/format.ts';
import { type Key, useI18n } from '../../i18n/index.tsx';
import { useMayChangeUsers, useMe } from '../../shell/Shell.tsx';
import { isTyping } from '../../shell/shortcuts.ts';
import { Button, Choose, Empty, Loaded } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Pages, SearchField } from '../../ui/list.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { copy } from '../../ui/share.tsx';
import { type UserAct, useUserActs, userActions } from './actions.tsx';
import { linkOf } from './links.ts';
import { STATES, type Sort, type StateFilter, type UserSearch, apiQuery } from './search.ts';
import { Ends, Online, Usage, UserStatus } from './state.tsx';

export const UserEditor = lazy(() => import('./UserEditor.tsx'));

const COLUMNS = ['usage', 'ends', 'online', 'owner', 'created', 'note'] as const;
type Column = (typeof COLUMNS)[number];
const USUAL: Column[] = ['usage', 'ends', 'online', 'owner'];
const SORTED_BY: Partial<Record<Column, Sort>> = { usage: 'used_traffic', ends: 'expire_date', created: 'created_at' };

function storedColumns(): Column[] {
  const stored = localStorage.getItem('sarban.users.columns');
  return stored === null ? USUAL : COLUMNS.filter((column) => stored.split(',').includes(column));
}

export function UserList() {
  const { t, f } = useI18n();
  const me = useMe();
  const search = useSearch({ from: '/users' });
  const navigate = useNavigate({ from: '/users' });
  const read = useQuery(queries.users(apiQuery(search)));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [columns, setColumns] = useState(storedColumns);
  const { say } = useOverlays();
  const act = useUserActs(() => setChosen(new Set()));
  const mayChange = useMayChangeUsers();
  const change = (next: Partial<UserSearch>) => void navigate({ search: (now) => ({ ...now, page: undefined, ...next }) });
  // What is selected stays in sight: another filter begins another selection.
  useEffect(() => setChosen(new Set()), [search.q, search.state, search.owner, search.service]);
  const close = () => change({ drawer: undefined, page: search.page });
  const items = read.data?.items ?? [];
  const shown = columns.filter((column) => column !== 'owner' || me?.is_sudo === true);
  const filtered = search.q !== undefined || search.state !== undefined || search.owner !== undefined || search.service !== undefined;
  const at = useRowKeys(items, (user) => void navigate({ to: '/users/$name', params: { name: user.username } }), toggle, () => change({ drawer: 'new', page: search.page }));
  function toggle(user: User) {
    if (!mayChange) return;
    const next = new Set(chosen);
    if (!next.delete(user.username)) next.add(user.username);
    setChosen(next);
  }
  const sort = (column: Sort) => {
    // Ascending, descending, and back to the order of creation.
    if (search.sort !== column) change({ sort: column, desc: undefined });
    else if (search.desc !== true) change({ sort: column, desc: true });
    else change({ sort: undefined, desc: undefined });
  };
  const header = (name: string, column?: Sort) => (
    <th key={name} scope="col" aria-sort={column !== undefined && search.sort === column ? (search.desc === true ? 'descending' : 'ascending') : undefined}>
      {column === undefined ? name : (
        <button type="button" className="sorter" onClick={() => sort(column)}>
          {name}
          {search.sort === column && <Icon name={search.desc === true ? 'down' : 'up'} />}
        </button>
      )}
    </th>
  );
  const onPage = items.map((user) => user.username);
  const all = onPage.length > 0 && onPage.every((name) => chosen.has(name));
  return (
    <>
      <div className="head">
        <h1>{t('nav.users')}{read.data && <span className="count">{f.number(read.data.total)}</span>}</h1>
        <Button icon="plus" look="primary" onClick={() => change({ drawer: 'new', page: search.page })}>{t('users.new')}</Button>
      </div>
      <Tools search={search} change={change} columns={columns} setColumns={(next) => { localStorage.setItem('sarban.users.columns', next.join(',')); setColumns(next); }} />
      <Loaded of={read} rows={10}>
        {(page) => page.items.length === 0 ? (
          <div className="tablebox">
            {filtered ? (
              <Empty title={t('users.no_match')} action={<Button onClick={() => change({ q: undefined, state: undefined, owner: undefined, service: undefined })}>{t('filters.clear')}</Button>} />
            ) : (
              <Empty title={t('users.none')} action={<Button icon="plus" look="primary" onClick={() => change({ drawer: 'new' })}>{t('users.new')}</Button>}>{t('users.none.body')}</Empty>
            )}
          </div>
        ) : (
          <div className="tablebox cards" aria-busy={read.isPlaceholderData} style={{ opacity: read.isPlaceholderData ? 0.6 : 1 }}>
            <table className="list">
              <caption className="hidden">{t('nav.users')}</caption>
              <thead>
                <tr>
                  {mayChange && <th className="tick" scope="col">
                    <input type="checkbox" aria-label={t('select.all')} checked={all} onChange={() => setChosen(new Set(all ? [] : [...chosen, ...onPage]))} />
                  </th>}
                  {header(t('user.name'), 'username')}
                  {header(t('user.status'))}
                  {shown.map((column) => header(t(`column.${column}`), SORTED_BY[column]))}
                  <th scope="col"><span className="hidden">{t('actions')}</span></th>
                </tr>
              </thead>
              <tbody>
                {page.items.map((user, index) => (
                  <tr key={user.id} className={index === at ? 'at' : undefined} data-row={index}>
                    {mayChange && <td className="tick"><input type="checkbox" aria-label={t('select.one', { name: user.username })} checked={chosen.has(user.username)} onChange={() => toggle(user)} /></td>}
                    <td className="first"><Link to="/users/$name" params={{ name: user.username }}><bdi>{user.username}</bdi></Link></td>
                    <td className="second"><UserStatus user={user} /></td>
                    {shown.map((column) => <td key={column} className={column === 'usage' || column === 'ends' ? undefined : 'wide-only'}><Cell user={user} column={column} /></td>)}
                    <td className="end wide-only">
                      <span className="row" style={{ justifyContent: 'flex-end', gap: 0 }}>
                        <Button icon="copy" look="quiet" label={t('copy.link_of', { name: user.username })} onClick={() => void copy(linkOf(user)).then((done) => { if (done) say(t('copied')); })} />
                        {mayChange && <ActionMenu label={t('actions.of', { name: user.username })} actions={[
                          { id: 'edit', label: t('edit'), icon: 'edit', run: () => change({ drawer: user.username, page: search.page }) },
                          ...userActions(user, t, (what) => act(what, [user.username])),
                        ]} />}
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      {chosen.size > 0 && (
        <div className="bulk" role="region" aria-label={t('bulk')}>
          <strong>{t('selected', { count: chosen.size })}</strong>
          {(['enable', 'disable', 'reset', 'delete'] satisfies UserAct[]).map((what) => (
            <Button key={what} look={what === 'delete' ? 'danger' : ''} onClick={() => act(what, [...chosen])}>{t(`act.${what}`)}</Button>
          ))}
          <Button look="quiet" icon="close" label={t('select.clear')} onClick={() => setChosen(new Set())} />
        </div>
      )}
      {read.data && read.data.total > 0 && (
        <Pages page={read.data.page} pages={read.data.pages} size={search.size ?? 50} onPage={(page) => change({ page: page > 1 ? page : undefined })} onSize={(size) => change({ size: size === 50 ? undefined : size })} />
      )}
      {search.drawer !== undefined && (search.drawer === 'new' || mayChange) && (
        <Suspense fallback={null}>
          <UserEditor username={search.drawer === 'new' ? null : search.drawer} onClose={close}
            onSaved={(user, created) => { if (created) void navigate({ to: '/users/$name', params: { name: user.username } }); else close(); }} />
        </Suspense>
      )}
    </>
  );
}

function Cell({ user, column }: { user: User; column: Column }) {
  const { f } = useI18n();
  switch (column) {
    case 'usage': return <Usage user={user} />;
    case 'ends': return <Ends user={user} />;
    case 'online': return <Online user={user} />;
    case 'owner': return <bdi className="soft">{user.owner_username ?? '—'}</bdi>;
    case 'created': return <span className="soft nowrap">{f.date(moment(user.created_at))}</span>;
    case 'note': return <bdi className="soft">{user.note ?? ''}</bdi>;
  }
}

function Tools({ search, change, columns, setColumns }: { search: UserSearch; change: (next: Partial<UserSearch>) => void; columns: Column[]; setColumns: (columns: Column[]) => void }) {
  const { t } = useI18n();
  const me = useMe();
  const admins = useQuery({ ...queries.admins(), enabled: me?.is_sudo === true });
  const services = useQuery({ ...queries.services(), enabled: search.service !== undefined });
  const service = services.data?.items.find(({ id }) => id === search.service)?.name ?? `#${search.service}`;
  const chips: [string, Partial<UserSearch>][] = [
    ...(search.state !== undefined ? [[`${t('user.status')}: ${t(`state.${search.state}`)}`, { state: undefined }] as [string, Partial<UserSearch>]] : []),
    ...(search.owner !== undefined ? [[`${t('column.owner')}: ${search.owner}`, { owner: undefined }] as [string, Partial<UserSearch>]] : []),
    ...(search.service !== undefined ? [[`${t('nav.services')}: ${service}`, { service: undefined }] as [string, Partial<UserSearch>]] : []),
  ];
  return (
    <>
      <div className="tools">
        <SearchField label={t('users.search')} value={search.q ?? ''} onChange={(q) => change({ q: q === '' ? undefined : q })} />
        <span className="pick" style={{ flex: '0 1 160px' }}>
          <Choose aria-label={t('user.status')} value={search.state ?? ''} onChange={(event) => change({ state: (event.target.value || undefined) as StateFilter | undefined })}>
            <option value="">{t('state.all')}</option>
            {STATES.map((state) => <option key={state} value={state}>{t(`state.${state}`)}</option>)}
          </Choose>
        </span>
        {me?.is_sudo === true && (
          <span className="pick" style={{ flex: '0 1 170px' }}>
            <Choose aria-label={t('column.owner')} value={search.owner ?? ''} onChange={(event) => change({ owner: event.target.value || undefined })}>
              <option value="">{t('owner.all')}</option>
              {admins.data?.items.map((admin) => <option key={admin.id} value={admin.username}>{admin.username}</option>)}
            </Choose>
          </span>
        )}
        <span className="wide-only"><ColumnMenu columns={columns} setColumns={setColumns} /></span>
      </div>
      {chips.length > 0 && (
        <div className="chips" style={{ marginBlockEnd: 12 }}>
          {chips.map(([label, off]) => (
            <span key={label} className="chip"><bdi>{label}</bdi><button type="button" aria-label={t('filter.remove', { name: label })} onClick={() => change(off)}><Icon name="close" /></button></span>
          ))}
        </div>
      )}
    </>
  );
}

function ColumnMenu({ columns, setColumns }: { columns: Column[]; setColumns: (columns: Column[]) => void }) {
  const { t } = useI18n();
  return (
    <ActionMenu
      label={t('columns')}
      actions={COLUMNS.map((column) => ({
        id: column,
        label: t(`column.${column}` as Key),
        icon: columns.includes(column) ? 'check' : 'plus',
        run: () => setColumns(COLUMNS.filter((other) => (other === column ? !columns.includes(column) : columns.includes(other)))),
      }))}
    >
      <Icon name="columns" />{t('columns')}
    </ActionMenu>
  );
}

/** Arrow keys or j and k move along the rows, Enter opens, x selects, n makes a new one. Returns the row's index. */
function useRowKeys(rows: User[], open: (user: User) => void, select: (user: User) => void, create: () => void): number {
  const [at, setAt] = useState(-1);
  const latest = useRef({ rows, open, select, create, at });
  latest.current = { rows, open, select, create, at };
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      const now = latest.current;
      const row = now.rows[now.at];
      const step = event.key === 'ArrowDown' || event.code === 'KeyJ' ? 1 : event.key === 'ArrowUp' || event.code === 'KeyK' ? -1 : 0;
      const onControl = event.target instanceof HTMLElement && event.target.closest('a, button, input') !== null;
      if (step !== 0 && now.rows.length > 0) {
        event.preventDefault();
        const next = Math.min(now.rows.length - 1, Math.max(0, now.at + step));
        setAt(next);
        document.querySelector(`[data-row="${next}"]`)?.scrollIntoView({ block: 'nearest' });
      } else if (event.key === 'Enter' && row !== undefined && !onControl) now.open(row);
      else if (event.code === 'KeyX' && row !== undefined) now.select(row);
      else if (event.code === 'KeyN') now.create();
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);
  return Math.min(at, rows.length - 1);
}
