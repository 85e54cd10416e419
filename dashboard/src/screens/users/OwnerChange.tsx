// Gives a user to another admin.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type User, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field, Loaded } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';

export function OwnerChange({ user, onClose }: { user: User; onClose: () => void }) {
  const { t } = useI18n();
  const admins = useQuery(queries.admins());
  const [began] = useState(user.owner_username ?? '');
  const [owner, setOwner] = useState(began);
  const save = async () => {
    await data(api.PUT('/api/users/{username}/set-owner', { params: { path: { username: user.username }, query: { admin_username: owner } } }));
    await queries.usersChanged();
  };
  return (
    <EditDrawer title={t('owner.change')} ready={owner !== '' && owner !== began} save={save} onClose={onClose}>
      {() => (
        <>
          <p className="soft">{t('owner.body', { name: user.username })}</p>
          <Loaded of={admins}>
            {({ items }) => (
              <Field label={t('column.owner')}>
                {(attributes) => (
                  <Choose {...attributes} value={owner} onChange={(event) => setOwner(event.target.value)}>
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
