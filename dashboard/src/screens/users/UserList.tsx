// The list of users: searched, filtered, sorted and paged by the panel; its URL says what it shows.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Suspense, lazy, memo, useDeferredValue, useMemo, useRef, useState } from 'react';
import type { User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { has, useMay } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { NotAllowed } from '../../shell/Only.tsx';
import { useMayChangeUsers } from '../../shell/Shell.tsx';
import { Button, Empty, Loaded } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { type KeyHint, useKeyHints } from '../../ui/keys.ts';
import { Pages } from '../../ui/list.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { copy } from '../../ui/share.tsx';
import { type UserAct, useUserActs, userActions } from './actions.tsx';
import type { BulkAct, Selection } from './bulk.ts';
import { BulkBar } from './BulkBar.tsx';
import { Cell, NARROW, SORTED_BY, columnsOf } from './columns.tsx';
import { Filters } from './Filters.tsx';
import { linkOf } from './links.ts';
import { COLUMNS, type Column, NO_FILTER, type Sort, type UserSearch, apiQuery, isFiltered, readUserFilter } from './search.ts';
import { type Selecting, useSelection } from './selection.ts';
import { UserStatus } from './state.tsx';
import { Views } from './views.tsx';

export const UserEditor = lazy(() => import('./UserEditor.tsx'));
const BulkDialog = lazy(() => import('./UserTools.ts').then((tools) => ({ default: tools.BulkDialog })));

const KEYS: KeyHint[] = [['j k ↓ ↑', 'keys.rows'], ['Enter', 'keys.open'], ['Space x', 'keys.select'], ['n', 'keys.new']];

/** Reads the list beside the admin: rights that are waited for would cost a round more. */
export function UserList() {
  const admin = useQuery(queries.me());
  return admin.data !== undefined && !has(admin.data, 'users:read=own') ? <NotAllowed /> : <List early={admin.isPending} />;
}

/** `early`: the admin is not read yet. */
function List({ early }: { early: boolean }) {
  const { t, f } = useI18n();
  useKeyHints(KEYS);
  const search = useSearch({ from: '/users' });
  const navigate = useNavigate({ from: '/users' });
  const read = useQuery(queries.users(apiQuery(search)));
  // Drawn in small steps: a hundred new rows at once would hold up what is typed.
  const data = useDeferredValue(read.data);
  const drawing = read.isPlaceholderData || data !== read.data;
  const selecting = useSelection(search);
  const [asking, setAsking] = useState<{ act: BulkAct | 'delete_expired'; selection: Selection } | null>(null);
  const mayChange = useMayChangeUsers();
  const may = useMay();
  const change = (next: Partial<UserSearch>) => void navigate({ search: (now) => ({ ...now, page: undefined, ...next }) });
  const close = () => change({ drawer: undefined, page: search.page });
  const create = () => change({ drawer: 'new', page: search.page });
  const total = read.data?.total ?? 0;
  return (
    <>
      <div className="head">
        <h1>{t('nav.users')}{read.data && <span className="count">{f.number(total)}</span>}</h1>
        <div className="row">
          {mayChange && <ActionMenu label={t('users.all')} actions={[
            ...(may('users:reset') ? [{ id: 'reset', label: t('users.reset_all'), icon: 'refresh', run: () => setAsking({ act: 'reset', selection: { filter: {} } }) } as const] : []),
            { id: 'expired', label: t('users.delete_expired'), icon: 'trash', bad: true, run: () => setAsking({ act: 'delete_expired', selection: { filter: {} } }) },
          ]} />}
          <Button needs="users:write=own" icon="plus" look="primary" data-new onClick={create}>{t('users.new')}</Button>
        </div>
      </div>
      <Views search={search} />
      <Filters search={search} change={change} />
      <Loaded of={{ ...read, data, isError: read.isError && !early }} rows={10}>
        {(page) => page.items.length > 0 ? (
          <div className="tablebox cards" aria-busy={drawing} style={{ opacity: drawing ? 0.6 : 1 }}>
            <Table users={page.items} search={search} change={change} selecting={selecting} />
          </div>
        ) : (
          <div className="tablebox">
            {isFiltered(search) ? <Empty title={t('users.no_match')} action={<Button onClick={() => change(NO_FILTER)}>{t('filters.clear')}</Button>} />
              : <Empty title={t('users.none')} action={<Button needs="users:write=own" icon="plus" look="primary" onClick={create}>{t('users.new')}</Button>}>{t('users.none.body')}</Empty>}
          </div>
        )}
      </Loaded>
      {(selecting.all || selecting.count > 0) && (
        <BulkBar selecting={selecting} total={total} onAct={(act) => setAsking({ act, selection: selecting.selection })}
          onPrint={() => void navigate({ to: '/sheet', search: selecting.all ? readUserFilter({ ...search }) : { names: selecting.names.join(',') } })} />
      )}
      {read.data && total > 0 && (
        <Pages page={read.data.page} pages={read.data.pages} size={search.size ?? 50} onPage={(page) => change({ page: page > 1 ? page : undefined })} onSize={(size) => change({ size: size === 50 ? undefined : size })} />
      )}
      {search.drawer !== undefined && (search.drawer === 'new' ? may('users:write=own') : mayChange) && (
        <Suspense fallback={null}>
          <UserEditor username={search.drawer === 'new' ? null : search.drawer} onClose={close}
            onSaved={(user, created) => { if (created) void navigate({ to: '/users/$name', params: { name: user.username } }); else close(); }} />
        </Suspense>
      )}
      {asking !== null && (
        <Suspense fallback={null}>
          <BulkDialog {...asking} onClose={() => setAsking(null)} onDone={() => { setAsking(null); selecting.clear(); }} />
        </Suspense>
      )}
    </>
  );
}

function Table({ users, search, change, selecting }: { users: User[]; search: UserSearch; change: (next: Partial<UserSearch>) => void; selecting: Selecting }) {
  const { t } = useI18n();
  const act = useUserActs();
  const mayChange = useMayChangeUsers();
  const may = useMay();
  const shown = columnsOf(search).filter((column) => column !== 'owner' || may('users:read')).join();
  const columns = useMemo(() => COLUMNS.filter((column) => shown.split(',').includes(column)), [shown]);
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
  const all = users.every(selecting.has);
  // Always the same functions, so that a row is drawn again only when it has changed.
  const latest = useRef({ selecting, change, act, search });
  latest.current = { selecting, change, act, search };
  const on = useMemo<RowActs>(() => ({
    toggle: (user) => latest.current.selecting.toggle(user),
    edit: (user) => latest.current.change({ drawer: user.username, page: latest.current.search.page }),
    act: (what, user) => latest.current.act(what, user.username),
  }), []);
  return (
    <table className="list">
      <caption className="hidden">{t('nav.users')}</caption>
      <thead>
        <tr>
          {mayChange && <th className="tick" scope="col"><input type="checkbox" aria-label={t('select.all')} checked={all} onChange={() => selecting.page(users, !all)} /></th>}
          {header(t('user.name'), 'username')}
          {header(t('user.status'))}
          {columns.map((column) => header(t(`column.${column}`), SORTED_BY[column]))}
          <th scope="col"><span className="hidden">{t('actions')}</span></th>
        </tr>
      </thead>
      <tbody>
        {users.map((user) => <Row key={user.id} user={user} chosen={mayChange ? selecting.has(user) : null} columns={columns} on={on} />)}
      </tbody>
    </table>
  );
}

interface RowActs { toggle: (user: User) => void; edit: (user: User) => void; act: (what: UserAct, user: User) => void }

/** `chosen` is null for an admin who may not change users. */
const Row = memo(function Row({ user, chosen, columns, on }: { user: User; chosen: boolean | null; columns: Column[]; on: RowActs }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  return (
    <tr>
      {chosen !== null && <td className="tick"><input type="checkbox" aria-label={t('select.one', { name: user.username })} checked={chosen} onChange={() => on.toggle(user)} /></td>}
      <td className="first"><Link to="/users/$name" params={{ name: user.username }}><bdi>{user.username}</bdi></Link></td>
      <td className="second"><UserStatus user={user} /></td>
      {columns.map((column) => <td key={column} className={NARROW.includes(column) ? undefined : 'wide-only'}><Cell user={user} column={column} /></td>)}
      <td className="end wide-only">
        <span className="row" style={{ justifyContent: 'flex-end', gap: 0 }}>
          <Button icon="copy" look="quiet" label={t('copy.link_of', { name: user.username })} onClick={() => void copy(linkOf(user)).then((done) => { if (done) say(t('copied')); })} />
          {chosen !== null && <ActionMenu label={t('actions.of', { name: user.username })} actions={() => [
            { id: 'edit', label: t('edit'), icon: 'edit', run: () => on.edit(user) },
            ...userActions(user, t, (what) => on.act(what, user)),
          ]} />}
        </span>
      </td>
    </tr>
  );
});
