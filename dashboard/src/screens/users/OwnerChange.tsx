// Gives a user to another admin.

import { useQuery } from '@tanstack/react-query';
import { type User, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field, Loaded } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';

export function OwnerChange({ user, onClose }: { user: User; onClose: () => void }) {
  const { t } = useI18n();
  const admins = useQuery(queries.admins());
  const form = useForm(`owner of user ${user.id}`, () => ({ owner: user.owner_username ?? '' }));
  const { owner } = form.draft;
  const began = form.began.owner;
  const save = async () => {
    await data(api.PUT('/api/users/{username}/set-owner', { params: { path: { username: user.username }, query: { admin_username: owner } } }));
    await queries.usersChanged();
  };
  return (
    <EditDrawer form={form} title={t('owner.change')} ready={owner !== '' && owner !== began} save={save} onClose={onClose}>
      {() => (
        <>
          <p className="soft">{t('owner.body', { name: user.username })}</p>
          <Loaded of={admins}>
            {({ items }) => (
              <Field label={t('column.owner')}>
                {(attributes) => (
                  <Choose {...attributes} value={owner} onChange={(event) => form.set({ owner: event.target.value })}>
                    {began === '' && <option value="">—</option>}
                    {items.map((admin) => <option key={admin.id} value={admin.username}>{admin.username}</option>)}
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
