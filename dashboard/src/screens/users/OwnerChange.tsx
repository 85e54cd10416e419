// Gives a user to another admin.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type User, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Field, Loaded, Problem } from '../../ui/basics.tsx';
import { Drawer, useOverlays } from '../../ui/overlays.tsx';

export function OwnerChange({ user, onClose }: { user: User; onClose: () => void }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const admins = useQuery(queries.admins());
  const [owner, setOwner] = useState(user.owner_username ?? '');
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      await data(api.PUT('/api/users/{username}/set-owner', { params: { path: { username: user.username }, query: { admin_username: owner } } }));
      await queries.usersChanged();
      say(t('saved'));
      onClose();
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <Drawer title={t('owner.change')} name={t('owner.change')} onClose={onClose}>
      <div className="body">
        <p className="soft">{t('owner.body', { name: user.username })}</p>
        <Loaded of={admins}>
          {(page) => (
            <Field label={t('column.owner')}>
              {(attributes) => (
                <Choose {...attributes} value={owner} onChange={(event) => setOwner(event.target.value)}>
                  {owner === '' && <option value="">—</option>}
                  {page.items.map((admin) => <option key={admin.id} value={admin.username}>{admin.username}</option>)}
                </Choose>
              )}
            </Field>
          )}
        </Loaded>
        {error !== null && <Problem error={error} />}
      </div>
      <footer>
        <Button onClick={onClose}>{t('cancel')}</Button>
        <Button look="primary" disabled={busy || owner === '' || owner === user.owner_username} onClick={() => void save()}>{t('save')}</Button>
      </footer>
    </Drawer>
  );
}
