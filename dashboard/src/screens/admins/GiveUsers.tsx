// Gives all users of an admin to another one.

import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import { api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field, Loaded } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { useOverlays } from '../../ui/overlays.tsx';
import { adminsChanged, usersOf } from './queries.ts';

export function GiveUsers({ username, onClose }: { username: string; onClose: () => void }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const admins = useQuery(queries.admins());
  const count = useQuery(usersOf(username));
  const form = useForm(`users of ${username}`, () => ({ owner: '' }));
  const { owner } = form.draft;
  const given = useRef(0);
  const save = async () => {
    given.current = (await data(api.PUT('/api/admins/{username}/users/set-owner', { params: { path: { username }, query: { admin_username: owner } } }))).count;
    void adminsChanged();
    await queries.usersChanged();
  };
  const saved = () => {
    say(t('admins.given', { count: given.current }));
    onClose();
  };
  return (
    <EditDrawer form={form} title={t('admins.give.of', { name: username })} act={t('admins.give')} ready={owner !== '' && (count.data ?? 0) > 0} save={save} onSaved={saved} onClose={onClose}>
      {() => (
        <>
          <p className="soft">{t('admins.give.body', { name: username })}</p>
          <Loaded of={count} rows={1}>{(users) => <p>{t('admins.users', { count: users })}</p>}</Loaded>
          <Loaded of={admins} rows={1}>
            {({ items, total }) => (
              <Field label={t('admins.give.to')} hint={total > items.length ? t('choices.more', { count: total - items.length }) : undefined}>
                {(attributes) => (
                  <Choose {...attributes} value={owner} onChange={(event) => form.set({ owner: event.target.value })}>
                    <option value="">—</option>
                    {items.filter((admin) => admin.username !== username).map((admin) => <option key={admin.id} value={admin.username}>{admin.username}</option>)}
                  </Choose>
                )}
              </Field>
            )}
          </Loaded>
        </>
      )}
    </EditDrawer>
  );
}
