// Saved views of the list of users: names for combinations of filters, sort and columns. Each is a link; the panel stores them.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useMay } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useMe } from '../../shell/Shell.tsx';
import { Button, Field, Problem } from '../../ui/basics.tsx';
import { FormDialog } from '../../ui/FormDialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { useSubmit } from '../../ui/submit.ts';
import { type UserSearch, readUserSearch, viewOf } from './search.ts';

interface View { name: string; search: UserSearch }

/** The views that earlier versions stored in this browser. */
const place = (admin: string) => `sarban.users.views.${admin}`;
const MOST = 30;
const EXACT = { exact: true };

type Stored = Schemas['ViewBody'];

function ofBrowser(admin: string): Stored[] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(place(admin)) ?? '[]');
    if (!Array.isArray(read)) return [];
    return read.flatMap((view: Partial<View>) => (typeof view.name === 'string' ? [{ name: view.name, search: JSON.stringify(readUserSearch({ ...view.search })) }] : []));
  } catch {
    return [];
  }
}

/** What another client saved may not be a search of this list. */
function searchOf(text: string): UserSearch {
  try {
    return viewOf(readUserSearch({ ...(JSON.parse(text) as object) }));
  } catch {
    return {};
  }
}

/** Changes the views as they are stored by now: another browser may have saved one meanwhile. */
async function change(next: (views: Stored[]) => Stored[]): Promise<void> {
  const { views } = await data(api.GET('/api/views'));
  const stored = await data(api.PUT('/api/views', { body: { views: next(views) } }));
  queries.queryClient.setQueryData(queries.views().queryKey, stored);
}

/** Gives the panel the views that are in this browser only. Those for which it has no room stay here until it has. */
async function hand(own: Stored[], admin: string): Promise<void> {
  let left: Stored[] = [];
  await change((views) => {
    const missing = own.filter(({ name }) => views.every((view) => view.name !== name));
    const room = Math.max(0, MOST - views.length);
    left = missing.slice(room);
    return [...views, ...missing.slice(0, room)];
  });
  if (left.length === 0) localStorage.removeItem(place(admin));
  else localStorage.setItem(place(admin), JSON.stringify(left.map(({ name, search }) => ({ name, search: JSON.parse(search) as object }))));
}

const same = (one: UserSearch, other: UserSearch) => JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());

export function Views({ search }: { search: UserSearch }) {
  const me = useMe();
  // Beside the admin, not after it.
  useQuery(queries.views());
  return me === undefined ? null : <ViewsOf key={me.username} admin={me.username} search={viewOf(search)} />;
}

function ViewsOf({ admin, search }: { admin: string; search: UserSearch }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const { busy, error, run } = useSubmit();
  const read = useQuery(queries.views());
  const [naming, setNaming] = useState(false);
  const mayWrite = useMay()('profile:write=own');
  const loaded = read.data !== undefined;
  const isFull = (read.data?.views.length ?? 0) >= MOST;
  useEffect(() => {
    const own = loaded ? ofBrowser(admin) : [];
    // After an error they stay in the browser, and the next visit tries again.
    if (own.length > 0 && !isFull && mayWrite) void hand(own, admin).catch(() => undefined);
  }, [loaded, isFull, mayWrite, admin]);
  const views: View[] = (read.data?.views ?? []).map(({ name, search }) => ({ name, search: searchOf(search) }));
  const save = (name: string) => change((before) => [...before.filter((view) => view.name !== name), { name, search: JSON.stringify(search) }]);
  const remove = (name: string) => run(() => change((before) => before.filter((view) => view.name !== name)));
  const current = views.find((view) => same(view.search, search));
  const fresh = current === undefined && Object.keys(search).length > 0 && mayWrite;
  if (!loaded || (views.length === 0 && !fresh)) return null;
  return (
    <nav className="views" aria-label={t('views')}>
      {views.length > 0 && <span className={Object.keys(search).length === 0 ? 'view at' : 'view'}><Link to="/users" search={{}} activeOptions={EXACT}>{t('state.all_users')}</Link></span>}
      {views.map((view) => (
        <span key={view.name} className={view === current ? 'view at' : 'view'}>
          <Link to="/users" search={view.search} activeOptions={EXACT}><bdi>{view.name}</bdi></Link>
          {mayWrite && <button type="button" aria-label={t('views.remove', { name: view.name })} title={t('views.remove', { name: view.name })} disabled={busy} onClick={() => void remove(view.name)}><Icon name="close" /></button>}
        </span>
      ))}
      {fresh && !isFull && <Button look="quiet" icon="plus" onClick={() => setNaming(true)}>{t('views.save')}</Button>}
      {error !== null && <Problem error={error} />}
      {naming && (
        <NameDialog taken={views.map((view) => view.name)} onClose={() => setNaming(false)}
          onName={async (name) => { await save(name); say(t('saved')); setNaming(false); }} />
      )}
    </nav>
  );
}

function NameDialog({ taken, onName, onClose }: { taken: string[]; onName: (name: string) => Promise<void>; onClose: () => void }) {
  const { t } = useI18n();
  const [name, setName] = useState('');
  const trimmed = name.trim();
  return (
    <FormDialog title={t('views.save')} act={t('views.save')} ready={trimmed !== ''} run={() => onName(trimmed)} onClose={onClose}>
      {() => (
        <Field label={t('views.name')} hint={taken.includes(trimmed) ? t('views.replaces') : t('views.hint')}>
          {(attributes) => <input {...attributes} className="input" dir="auto" autoFocus autoComplete="off" maxLength={40} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
      )}
    </FormDialog>
  );
}
