// Admins: who may sign in, what each may do, and what can be done to all users of one.

import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { type Admin, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { mayNow } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useMe } from '../../shell/Shell.tsx';
import { Button, Problem, Status } from '../../ui/basics.tsx';
import { ListHead, ListTable, ListTools, PAGE_SIZE, useListSearch } from '../../ui/list.tsx';
import { ActionMenu, Drawer, useOverlays } from '../../ui/overlays.tsx';
import { TrafficPanel } from '../../ui/TrafficPanel.tsx';
import { AdminEditor } from './AdminEditor.tsx';
import { drawerOf, named } from './drawers.ts';
import { GiveUsers } from './GiveUsers.tsx';
import { QuotaEditor } from './QuotaEditor.tsx';
import { roleName } from '../roles/names.ts';
import { adminsChanged, usersOf } from './queries.ts';

export function AdminList() {
  const { t, f } = useI18n();
  const { search, show } = useListSearch();
  const read = useQuery(queries.adminPage({ ...(search.q ? { username: search.q } : {}), page: search.page ?? 1, size: PAGE_SIZE }));
  const [unread, setUnread] = useState<unknown>(null);
  const edited = named(search.drawer, 'edit');
  const giving = named(search.drawer, 'give');
  const looking = named(search.drawer, 'traffic');
  const limited = named(search.drawer, 'quota');
  const may = (admin: Admin) => f.list([
    ...(admin.modify_users_access ? [t('admins.may_modify')] : []),
    admin.all_services_access ? t('admins.may_all_services') : t('hosts.services', { count: admin.service_ids.length }),
  ]);
  return (
    <>
      <ListHead title={t('nav.admins')} total={read.data?.total}><Button needs="admins:write" icon="plus" look="primary" onClick={() => show('new')}>{t('admins.new')}</Button></ListHead>
      <ListTools label={t('admins.search')} />
      {unread !== null && <Problem error={unread} />}
      <ListTable of={read} caption={t('nav.admins')} look="cards acts" columns={[
        { title: t('user.name'), place: 'first', cell: (admin) => <button type="button" className="link" onClick={() => show(drawerOf('edit', admin.username))}><bdi>{admin.username}</bdi></button> },
        { title: t('user.status'), place: 'second', cell: (admin) => <Status tone={admin.enabled ? 'good' : 'off'}>{t(admin.enabled ? 'admins.enabled' : 'state.disabled')}</Status> },
        { title: t('admins.role'), cell: (admin) => <><bdi>{roleName(admin.role, t)}</bdi>{admin.subscription_url_prefix !== '' && <bdi dir="ltr" className="soft small break" style={{ display: 'block' }}>{admin.subscription_url_prefix}</bdi>}</> },
        { title: t('admins.may'), place: 'soft', cell: (admin) => (admin.is_sudo ? t('admins.may_all') : may(admin)) },
        { title: t('admins.traffic'), cell: (admin) => f.bytes(admin.users_data_usage) },
        { title: t('actions'), untitled: true, end: true, place: 'menu-cell', cell: (admin) => <Actions admin={admin} show={show} onUnread={setUnread} /> },
      ]} />
      {search.drawer === 'new' && <AdminEditor username={null} onClose={() => show()} />}
      {edited !== undefined && <AdminEditor key={edited} username={edited} onClose={() => show()} />}
      {looking !== undefined && (
        <Drawer key={looking} title={t('admins.traffic.of', { name: looking })} name={t('admins.traffic.of', { name: looking })} onClose={() => show()}>
          <div className="body"><TrafficPanel name="admin" query={(start) => queries.trafficOf(looking, start)} series={(series) => series} /></div>
        </Drawer>
      )}
      {limited !== undefined && <QuotaEditor key={limited} username={limited} onClose={() => show()} />}
      {giving !== undefined && <GiveUsers key={giving} username={giving} onClose={() => show()} />}
    </>
  );
}

function Actions({ admin, show, onUnread }: { admin: Admin; show: (drawer: string) => void; onUnread: (error: unknown) => void }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const me = useMe();
  const navigate = useNavigate();
  const name = admin.username;
  const params = { params: { path: { username: name } } };
  // The panel refuses it to everybody else.
  const mayChange = mayNow('admins:write') && (!admin.is_sudo || admin.id === me?.id);
  const setEnabled = (enabled: boolean) => ask({
    title: t(enabled ? 'act.enable.one' : 'act.disable.one', { name }), act: t(enabled ? 'act.enable.one' : 'act.disable.one', { name }), danger: !enabled,
    body: t(enabled ? 'admins.enable.body' : 'admins.disable.body'), done: t(enabled ? 'act.enable.done' : 'act.disable.done'),
    run: () => data(api.PUT('/api/admins/{username}', { ...params, body: { enabled } })).then(adminsChanged),
  });
  const setUsers = async (enabled: boolean) => {
    onUnread(null);
    try {
      const count = await queries.queryClient.fetchQuery({ ...usersOf(name), staleTime: 0 });
      const act = t(enabled ? 'admins.enable_users.of' : 'admins.disable_users.of', { name });
      ask({
        title: act, act, danger: !enabled, done: t(enabled ? 'act.enable.done' : 'act.disable.done'),
        body: <><p>{t('admins.users', { count })}</p><p>{t(enabled ? 'admins.enable_users.body' : 'admins.disable_users.body')}</p></>,
        run: () => data(enabled ? api.POST('/api/admins/{username}/enable_users', params) : api.POST('/api/admins/{username}/disable_users', params)).then(queries.usersChanged),
      });
    } catch (error) {
      onUnread(error);
    }
  };
  return (
    <ActionMenu label={t('actions.of', { name })} actions={[
      ...(mayChange ? [{ id: 'edit', label: t('edit'), icon: 'edit', run: () => show(drawerOf('edit', admin.username)) } as const] : []),
      ...(mayChange && (me?.is_sudo === true || admin.id !== me?.id) ? [{ id: 'quota', label: t('quota.title'), icon: 'info', run: () => show(drawerOf('quota', admin.username)) } as const] : []),
      ...(mayNow('stats:read') ? [{ id: 'traffic', label: t('admins.traffic'), icon: 'log', run: () => show(drawerOf('traffic', admin.username)) } as const] : []),
      ...(mayNow('users:read') ? [{ id: 'users', label: t('nav.users'), icon: 'users', run: () => void navigate({ to: '/users', search: { owner: name } }) } as const] : []),
      ...(mayChange && admin.id !== me?.id ? [{ id: 'state', label: t(admin.enabled ? 'act.disable' : 'act.enable'), icon: admin.enabled ? 'close' : 'check', run: () => setEnabled(!admin.enabled) } as const] : []),
      null,
      ...(mayChange && mayNow('users:write') ? [
        { id: 'enable-users', label: t('admins.enable_users'), icon: 'check', run: () => void setUsers(true) } as const,
        { id: 'disable-users', label: t('admins.disable_users'), icon: 'close', run: () => void setUsers(false) } as const,
      ] : []),
      ...(admin.is_sudo || !mayNow('sessions:write') ? [] : [{ id: 'sessions', label: t('admins.end_sessions'), icon: 'out', run: () => ask({
        title: t('admins.end_sessions.of', { name }), body: t('admins.end_sessions.body'), act: t('admins.end_sessions'), danger: true, done: t('sessions.ended'),
        run: () => data(api.DELETE('/api/sessions', { params: { query: { admin: name } } })),
      }) } as const]),
      ...(admin.is_sudo || !mayNow('admins:write') ? [] : [{ id: 'second', label: t('admins.reset_second'), icon: 'out', run: () => ask({
        title: t('admins.reset_second.of', { name }), body: t('admins.reset_second.body'), act: t('admins.reset_second'), danger: true, done: t('admins.reset_second.done'),
        run: () => data(api.DELETE('/api/second-factor', { params: { query: { admin: name } } })).then(adminsChanged),
      }) } as const]),
      ...(mayNow('admins:write') && mayNow('users:write') ? [{ id: 'give', label: t('admins.give'), icon: 'next', run: () => show(drawerOf('give', admin.username)) } as const] : []),
      ...(admin.is_sudo || !mayNow('admins:write') ? [] : [null, { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => ask({
        title: t('admins.delete', { name }), body: t('admins.delete.body'), act: t('admins.delete', { name }), danger: true, done: t('act.delete.done'),
        run: () => data(api.DELETE('/api/admins/{username}', params)).then(adminsChanged),
      }) } as const]),
    ]} />
  );
}
