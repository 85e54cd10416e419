// Creates or changes a role: the matrix of its rights.

import { api, data } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field, Notice } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { ROWS } from '../profile/scopes.ts';
import { roleName } from './names.ts';
import { rolesChanged } from './queries.ts';
import type { Role } from './RoleList.tsx';

const ACTIONS = ['read', 'write', 'reset'] as const;
type Action = (typeof ACTIONS)[number];
const TITLES = { read: 'tokens.read', write: 'tokens.write', reset: 'roles.reset' } as const;

type Extent = 'none' | 'own' | 'all';
const WORDS = { none: 'roles.none', own: 'roles.own', all: 'roles.all' } as const;

/** How far a right can reach: only what has an owner can be one's own. None where there is no such right. */
function extentsOf(resource: string, action: Action): Extent[] {
  if (resource === 'profile') return action === 'write' ? ['none', 'own'] : [];
  if (action === 'reset' && resource !== 'users') return [];
  const row = ROWS.find((one) => one.resource === resource);
  if (row === undefined || (action === 'read' && !row.read) || (action === 'write' && !row.write)) return [];
  const owned = ['users', 'sessions', 'tokens'].includes(resource) || (action === 'read' && ['services', 'stats'].includes(resource));
  return owned ? ['none', 'own', 'all'] : ['none', 'all'];
}

type Rights = Record<string, Record<string, string>>;

/** Only the rights that differ: others may have changed meanwhile. */
function changed(from: Rights, to: Rights): Rights {
  const rights: Rights = {};
  for (const [resource, actions] of Object.entries(to)) {
    for (const [action, extent] of Object.entries(actions)) {
      if ((from[resource]?.[action] ?? 'none') !== extent) (rights[resource] ??= {})[action] = extent;
    }
  }
  return rights;
}

export function RoleEditor({ role, onClose }: { role: Role | null; onClose: () => void }) {
  const { t } = useI18n();
  const form = useForm(`role ${role?.name ?? 'new'}`, () => ({ name: role?.name ?? '', rights: (role?.rights ?? {}) as Rights, requires_second_factor: role?.requires_second_factor ?? false }));
  const { draft, began, set } = form;
  const isBuiltIn = role?.built_in ?? false;
  const name = draft.name.trim();
  const save = async () => {
    const body = { ...(isBuiltIn ? {} : { name, rights: changed(began.rights, draft.rights) }), requires_second_factor: draft.requires_second_factor };
    if (role === null) await data(api.POST('/api/roles', { body: { name, rights: draft.rights, requires_second_factor: draft.requires_second_factor } }));
    else await data(api.PUT('/api/roles/{name}', { params: { path: { name: role.name } }, body }));
    await rolesChanged();
  };
  const choose = (resource: string, action: Action, extent: string) =>
    set({ rights: { ...draft.rights, [resource]: { ...draft.rights[resource], [action]: extent } } });
  const cell = (resource: string, action: Action, title: string) => {
    const extents = extentsOf(resource, action);
    return extents.length > 0 && (
      <Choose aria-label={`${title}: ${t(TITLES[action])}`} disabled={isBuiltIn} value={draft.rights[resource]?.[action] ?? 'none'} onChange={(event) => choose(resource, action, event.target.value)}>
        {extents.map((extent) => <option key={extent} value={extent}>{t(WORDS[extent])}</option>)}
      </Choose>
    );
  };
  return (
    <EditDrawer needs="roles:write" wide form={form} title={role === null ? t('roles.new') : t('roles.edit', { name: roleName(role.name, t) })} act={role === null ? t('roles.create') : undefined} ready={name !== ''} save={save} onClose={onClose}>
      {(refused) => (
        <>
          {isBuiltIn ? <Notice>{t('roles.built_in')}</Notice>
            : <Field label={t('roles.name')} problem={refused.name}>{(attributes) => <input {...attributes} className="input" autoFocus dir="auto" maxLength={64} autoComplete="off" value={draft.name} onChange={(event) => set({ name: event.target.value })} />}</Field>}
          <div className="tablebox" tabIndex={0} role="group" aria-label={t('roles.rights')}>
            <table className="list scopes">
              <caption className="hidden">{t('roles.rights')}</caption>
              <thead><tr><th scope="col">{t('roles.rights')}</th>{ACTIONS.map((action) => <th key={action} scope="col">{t(TITLES[action])}</th>)}</tr></thead>
              <tbody>
                {ROWS.map((row) => (
                  <tr key={row.resource}>
                    <th scope="row">{t(row.key)}</th>
                    {ACTIONS.map((action) => <td key={action}>{cell(row.resource, action, t(row.key))}</td>)}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <p className="soft small">{t('roles.hint')}</p>
          {refused.rights !== undefined && <p className="problem" role="alert"><bdi>{refused.rights}</bdi></p>}
          <label className="option">
            <input type="checkbox" checked={draft.requires_second_factor} onChange={(event) => set({ requires_second_factor: event.target.checked })} />
            <span>{t('roles.factor.require')}</span>
          </label>
        </>
      )}
    </EditDrawer>
  );
}
