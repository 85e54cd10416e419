// Roles: named sets of rights that admins may have.

import { useQuery } from '@tanstack/react-query';
import { type Schemas, api, data } from '../../api/client.ts';
import { mayNow } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Loaded } from '../../ui/basics.tsx';
import { ListHead, useListSearch } from '../../ui/list.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { aboutRole, roleName } from './names.ts';
import { rolesChanged, rolesRead } from './queries.ts';
import { RoleEditor } from './RoleEditor.tsx';

export type Role = Schemas['RoleBody'];

/** An open drawer that edits is `edit-NAME`: names may be anything, also `new`. */
const drawerOf = (role: Role) => `edit-${role.name}`;

export function RoleList() {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  const { search, show } = useListSearch();
  const read = useQuery(rolesRead());
  const edited = read.data?.find((role) => search.drawer === drawerOf(role));
  const remove = (role: Role) => ask({
    title: t('roles.delete', { name: role.name }), body: t('roles.delete.body'), act: t('roles.delete', { name: role.name }), danger: true, done: t('act.delete.done'),
    run: () => data(api.DELETE('/api/roles/{name}', { params: { path: { name: role.name } } })).then(rolesChanged),
  });
  return (
    <>
      <ListHead title={t('nav.roles')} total={read.data?.length}><Button needs="roles:write" icon="plus" look="primary" onClick={() => show('new')}>{t('roles.new')}</Button></ListHead>
      <Loaded of={read}>
        {(roles) => (
          <div className="tablebox cards acts">
            <table className="list">
              <caption className="hidden">{t('nav.roles')}</caption>
              <thead><tr><th scope="col">{t('roles.name')}</th><th scope="col">{t('roles.about')}</th><th scope="col">{t('roles.factor')}</th><th scope="col" className="end">{t('nav.admins')}</th><th scope="col" className="end"><span className="hidden">{t('actions')}</span></th></tr></thead>
              <tbody>
                {roles.map((role) => (
                  <tr key={role.name}>
                    <td className="first"><button type="button" className="link" onClick={() => show(drawerOf(role))}><bdi>{roleName(role.name, t)}</bdi></button></td>
                    <td className="soft">{aboutRole(role.name, t) ?? t('roles.about.own')}</td>
                    <td>{t(role.requires_second_factor ? 'roles.factor.required' : 'roles.factor.optional')}</td>
                    <td className="end">{f.number(role.admins)}</td>
                    <td className="end menu-cell">
                      {mayNow('roles:write') && (
                        <ActionMenu label={t('actions.of', { name: roleName(role.name, t) })} actions={[
                          { id: 'edit', label: t('edit'), icon: 'edit', run: () => show(drawerOf(role)) },
                          ...(role.built_in ? [] : [null, { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => remove(role) } as const]),
                        ]} />
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      {search.drawer === 'new' && <RoleEditor role={null} onClose={() => show()} />}
      {edited !== undefined && <RoleEditor key={edited.name} role={edited} onClose={() => show()} />}
    </>
  );
}
