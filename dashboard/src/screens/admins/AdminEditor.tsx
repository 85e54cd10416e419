// Creates or changes an admin.

import { useQuery } from '@tanstack/react-query';
import { changedIds, changes } from '../../api/changes.ts';
import { type Admin, type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { mayNow } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useMe } from '../../shell/Shell.tsx';
import { Choose, Field, Loaded, Notice, Status, readAgain } from '../../ui/basics.tsx';
import { Choices } from '../../ui/Choices.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { Drawer } from '../../ui/overlays.tsx';
import { aboutRole, roleName } from '../roles/names.ts';
import { rolesRead } from '../roles/queries.ts';
import { adminRead, adminsChanged, readAdmin, secondFactor } from './queries.ts';

export function AdminEditor({ username, onClose }: { username: string | null; onClose: () => void }) {
  const { t } = useI18n();
  const me = useMe();
  const read = useQuery({ ...adminRead(username ?? ''), enabled: username !== null });
  const fresh = readAgain(read);
  const title = username === null ? t('admins.new') : t('admins.edit', { name: username });
  return (
    <Drawer title={title} name={title} onClose={onClose}>
      {username === null ? <Form admin={null} onClose={onClose} /> : fresh.data === undefined || me === undefined ? <div className="body"><Loaded of={fresh}>{() => null}</Loaded></div>
        : fresh.data.is_sudo && fresh.data.id !== me.id ? <div className="body"><Notice>{t('admins.other_sudo')}</Notice></div> : <Form admin={fresh.data} onClose={onClose} />}
    </Drawer>
  );
}

function Form({ admin, onClose }: { admin: Admin | null; onClose: () => void }) {
  const { t } = useI18n();
  const services = useQuery(queries.services());
  const roles = useQuery({ ...rolesRead(), enabled: mayNow('roles:read') });
  const form = useForm(`admin ${admin?.id ?? 'new'}`, () => ({
    username: '', password: '',
    role: admin?.role ?? 'reseller', enabled: admin?.enabled ?? true, modify_users_access: admin?.modify_users_access ?? true,
    all_services_access: admin?.all_services_access ?? true, service_ids: admin?.service_ids ?? [], subscription_url_prefix: admin?.subscription_url_prefix ?? '',
  }), ['password']);
  const { set } = form;
  const names = [...new Set([...(roles.data ?? []).map((role) => role.name), 'owner', 'reseller', form.began.role])];
  const { username, password, ...draft } = form.draft;
  const { username: _, password: __, ...began } = form.began;
  const flag = (name: 'enabled' | 'modify_users_access' | 'all_services_access', label: string, hint?: string) => (
    <label className="option">
      <input type="checkbox" checked={draft[name]} onChange={(event) => set({ [name]: event.target.checked })} />
      <span>{label}{hint && <span className="soft small" style={{ display: 'block' }}>{hint}</span>}</span>
    </label>
  );
  const save = async () => {
    const now = { ...draft, subscription_url_prefix: draft.subscription_url_prefix.trim() };
    if (admin === null) await data(api.POST('/api/admins', { body: { username: username.trim(), password, ...now, is_sudo: now.role === 'owner' } as Schemas['AdminCreate'] }));
    else {
      const sent = changes(began, now);
      if (sent.service_ids !== undefined) sent.service_ids = changedIds(began.service_ids, sent.service_ids, (await readAdmin(admin.username)).service_ids);
      await data(api.PUT('/api/admins/{username}', { params: { path: { username: admin.username } }, body: { ...sent, ...(password === '' ? {} : { password }) } }));
    }
    await adminsChanged();
  };
  return (
    <EditForm needs="admins:write" form={form} act={admin === null ? t('admins.create') : undefined} ready={admin !== null || (username.trim() !== '' && password !== '')} save={save} onClose={onClose}>
      {(refused) => (
        <>
          {admin === null && <Field label={t('user.name')} problem={refused.username}>{(attributes) => <input {...attributes} className="input" dir="ltr" autoFocus autoComplete="off" autoCapitalize="none" spellCheck={false} value={username} onChange={(event) => set({ username: event.target.value })} />}</Field>}
          <Field label={t('signin.password')} hint={admin === null ? undefined : t('admins.password_keep')} problem={refused.password}>{(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="new-password" value={password} onChange={(event) => set({ password: event.target.value })} />}</Field>
          <Field label={t('admins.role')} hint={aboutRole(draft.role, t)} problem={refused.role}>
            {(attributes) => <Choose {...attributes} value={draft.role} onChange={(event) => set({ role: event.target.value })}>{names.map((name) => <option key={name} value={name}>{roleName(name, t)}</option>)}</Choose>}
          </Field>
          {admin !== null && <Factors of={admin.username} />}
          <div>
            {flag('enabled', t('admins.enabled'))}
            {flag('modify_users_access', t('admins.modify'))}
            {flag('all_services_access', t('admins.all_services'))}
          </div>
          {!draft.all_services_access && (
            <Loaded of={services} rows={2}>
              {({ items, total }) => (
                <Choices legend={t('nav.services')} choices={items.map((service) => ({ id: service.id, name: service.name ?? `#${service.id}` }))} total={total} chosen={draft.service_ids}
                  onChange={(service_ids) => set({ service_ids })} empty={t('services.none')} />
              )}
            </Loaded>
          )}
          <Field label={t('admins.prefix')} hint={t('admins.prefix_hint')} problem={refused.subscription_url_prefix}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" autoComplete="off" autoCapitalize="none" spellCheck={false} placeholder="https://sub.example.com" value={draft.subscription_url_prefix} onChange={(event) => set({ subscription_url_prefix: event.target.value })} />}
          </Field>
        </>
      )}
    </EditForm>
  );
}

/** Says whether an admin has a second factor. */
function Factors({ of }: { of: string }) {
  const { t } = useI18n();
  const read = useQuery(secondFactor(of));
  if (read.data === undefined) return null;
  const any = read.data.totp || read.data.passkeys > 0;
  return <p>{t('second.title')}: <Status tone={any ? 'good' : 'off'}>{t(any ? 'second.on' : 'second.off')}</Status></p>;
}
