// Admins: who may sign in, and what each may do.

import { queryOptions, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { changedIds, changes } from '../../api/changes.ts';
import { type Admin, type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Loaded, Status } from '../../ui/basics.tsx';
import { Choices } from '../../ui/Choices.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { ListHead, ListTools, NoMatch, PAGE_SIZE, Pages, useListSearch } from '../../ui/list.tsx';
import { ActionMenu, Drawer, useOverlays } from '../../ui/overlays.tsx';

const readAdmin = (username: string, signal?: AbortSignal) => data(api.GET('/api/admins/{username}', { params: { path: { username } }, signal }));
const adminRead = (username: string) =>
  queryOptions({ queryKey: ['admins', 'one', username], queryFn: ({ signal }) => readAdmin(username, signal), staleTime: 0, gcTime: 0, refetchOnWindowFocus: false });

const changed = () => queries.queryClient.invalidateQueries({ queryKey: ['admins'] });

export function AdminList() {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  const { search, show, onPage } = useListSearch();
  const navigate = useNavigate();
  const read = useQuery(queries.adminPage({ ...(search.q ? { username: search.q } : {}), page: search.page ?? 1, size: PAGE_SIZE }));
  const drawer = search.drawer;
  return (
    <>
      <ListHead title={t('nav.admins')} total={read.data?.total}><Button icon="plus" look="primary" onClick={() => show('new')}>{t('admins.new')}</Button></ListHead>
      <ListTools label={t('admins.search')} />
      <Loaded of={read}>
        {({ items, page, pages }) => items.length === 0 ? <NoMatch /> : (
          <>
          <div className="tablebox cards">
            <table className="list">
              <caption className="hidden">{t('nav.admins')}</caption>
              <thead><tr><th scope="col">{t('user.name')}</th><th scope="col">{t('user.status')}</th><th scope="col">{t('admins.role')}</th><th scope="col">{t('admins.traffic')}</th><th scope="col"><span className="hidden">{t('actions')}</span></th></tr></thead>
              <tbody>
                {items.map((admin) => (
                  <tr key={admin.id}>
                    <td className="first"><bdi>{admin.username}</bdi></td>
                    <td className="second"><Status tone={admin.enabled ? 'good' : 'off'}>{t(admin.enabled ? 'admins.enabled' : 'state.disabled')}</Status></td>
                    <td>{t(admin.is_sudo ? 'admin.sudo' : 'admin.reseller')}</td>
                    <td>{f.bytes(admin.users_data_usage)}</td>
                    <td className="end">
                      <ActionMenu label={t('actions.of', { name: admin.username })} actions={[
                        { id: 'edit', label: t('edit'), icon: 'edit', run: () => show(admin.username) },
                        { id: 'users', label: t('nav.users'), icon: 'users', run: () => void navigate({ to: '/users', search: { owner: admin.username } }) },
                        { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => ask({ title: t('admins.delete', { name: admin.username }), body: t('admins.delete.body'), act: t('admins.delete', { name: admin.username }), danger: true, done: t('act.delete.done'),
                          run: () => data(api.DELETE('/api/admins/{username}', { params: { path: { username: admin.username } } })).then(changed) }) },
                      ]} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {pages > 1 && <Pages page={page} pages={pages} onPage={onPage} />}
          </>
        )}
      </Loaded>
      {drawer === 'new' && <AdminEditor username={null} onClose={() => show()} />}
      {drawer !== undefined && drawer !== 'new' && <AdminEditor key={drawer} username={drawer} onClose={() => show()} />}
    </>
  );
}

function AdminEditor({ username, onClose }: { username: string | null; onClose: () => void }) {
  const { t } = useI18n();
  const read = useQuery({ ...adminRead(username ?? ''), enabled: username !== null });
  // Not what the list has read before: others may have changed it since.
  const fresh = read.isFetchedAfterMount ? read : { ...read, data: undefined };
  const title = username === null ? t('admins.new') : t('admins.edit', { name: username });
  return (
    <Drawer title={title} name={title} onClose={onClose}>
      {username === null ? <Form admin={null} onClose={onClose} />
        : fresh.data === undefined ? <div className="body"><Loaded of={fresh}>{() => null}</Loaded></div> : <Form admin={fresh.data} onClose={onClose} />}
    </Drawer>
  );
}

function Form({ admin, onClose }: { admin: Admin | null; onClose: () => void }) {
  const { t } = useI18n();
  const services = useQuery(queries.services());
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const [began] = useState({
    is_sudo: admin?.is_sudo ?? false, enabled: admin?.enabled ?? true, modify_users_access: admin?.modify_users_access ?? true,
    all_services_access: admin?.all_services_access ?? true, service_ids: admin?.service_ids ?? [],
  });
  const [draft, setDraft] = useState(began);
  const flag = (name: 'is_sudo' | 'enabled' | 'modify_users_access' | 'all_services_access', label: string, hint?: string) => (
    <label className="option">
      <input type="checkbox" checked={draft[name]} onChange={(event) => setDraft({ ...draft, [name]: event.target.checked })} />
      <span>{label}{hint && <span className="soft small" style={{ display: 'block' }}>{hint}</span>}</span>
    </label>
  );
  const save = async () => {
    if (admin === null) await data(api.POST('/api/admins', { body: { username: username.trim(), password, subscription_url_prefix: '', ...draft } as Schemas['AdminCreate'] }));
    else {
      const sent = changes(began, draft);
      if (sent.service_ids !== undefined) sent.service_ids = changedIds(began.service_ids, sent.service_ids, (await readAdmin(admin.username)).service_ids);
      await data(api.PUT('/api/admins/{username}', { params: { path: { username: admin.username } }, body: { ...sent, ...(password === '' ? {} : { password }) } }));
    }
    await changed();
  };
  return (
    <EditForm act={admin === null ? t('admins.create') : undefined} ready={admin !== null || (username.trim() !== '' && password !== '')} save={save} onClose={onClose}>
      {(refused) => (
        <>
          {admin === null && <Field label={t('user.name')} problem={refused.username}>{(attributes) => <input {...attributes} className="input" dir="ltr" autoFocus autoComplete="off" autoCapitalize="none" spellCheck={false} value={username} onChange={(event) => setUsername(event.target.value)} />}</Field>}
          <Field label={t('signin.password')} hint={admin === null ? undefined : t('admins.password_keep')} problem={refused.password}>{(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="new-password" value={password} onChange={(event) => setPassword(event.target.value)} />}</Field>
          <div>
            {flag('enabled', t('admins.enabled'))}
            {flag('is_sudo', t('admin.sudo'), t('admins.sudo_hint'))}
            {flag('modify_users_access', t('admins.modify'))}
            {flag('all_services_access', t('admins.all_services'))}
          </div>
          {!draft.all_services_access && (
            <Loaded of={services} rows={2}>
              {({ items, total }) => (
                <Choices legend={t('nav.services')} choices={items.map((service) => ({ id: service.id, name: service.name ?? `#${service.id}` }))} total={total} chosen={draft.service_ids}
                  onChange={(service_ids) => setDraft({ ...draft, service_ids })} empty={t('services.none')} />
              )}
            </Loaded>
          )}
        </>
      )}
    </EditForm>
  );
}
