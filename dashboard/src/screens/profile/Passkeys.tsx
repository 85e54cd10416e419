// The own passkeys: added, renamed and removed.

import { queryOptions, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { announcedInterval } from '../../api/live.ts';
import { PasskeyError, createPasskey, hasPasskeys } from '../../api/passkeys.ts';
import { queryClient } from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Loaded, Moment, Notice, Panel } from '../../ui/basics.tsx';
import { FormDialog } from '../../ui/FormDialog.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { OwnPassword, factors, useFactorChange } from './factors.tsx';

type Passkey = Schemas['PasskeyBody'];
type Changed = Schemas['FactorChanged'];

const passkeys = () =>
  queryOptions({ queryKey: ['second-factor', 'passkeys'], queryFn: ({ signal }) => data(api.GET('/api/second-factor/passkeys', { signal })), refetchInterval: announcedInterval });

export function Passkeys({ username, mayChange }: { username: string; mayChange: boolean }) {
  const { t } = useI18n();
  const read = useQuery(passkeys());
  const { done, codes } = useFactorChange(username);
  const [act, setAct] = useState<{ add: true } | { rename: Passkey } | { remove: Passkey } | null>(null);
  const close = () => setAct(null);
  const changed = (answer: Changed) => {
    close();
    done(answer);
  };
  const add = hasPasskeys() && mayChange ? <Button icon="plus" look="primary" onClick={() => setAct({ add: true })}>{t('passkeys.add')}</Button> : undefined;
  return (
    <Panel title={t('passkeys.title')} aside={add}>
      {!hasPasskeys() && <p className="soft">{t('passkeys.unavailable')}</p>}
      <Loaded of={read} rows={2}>
        {(items) => items.length === 0 ? <p className="soft">{t('passkeys.about')}</p> : (
          <ul className="rows">{items.map((one) => <Row key={one.id} of={one} mayChange={mayChange} rename={() => setAct({ rename: one })} remove={() => setAct({ remove: one })} />)}</ul>
        )}
      </Loaded>
      {act !== null && 'add' in act && <Add username={username} onDone={changed} onClose={close} />}
      {act !== null && 'rename' in act && <Rename of={act.rename} onClose={close} />}
      {act !== null && 'remove' in act && <Remove of={act.remove} username={username} onDone={changed} onClose={close} />}
      {codes}
    </Panel>
  );
}

function Row({ of, mayChange, rename, remove }: { of: Passkey; mayChange: boolean; rename: () => void; remove: () => void }) {
  const { t } = useI18n();
  const own = useQuery(factors());
  // The last factor of an admin whose role requires one stays.
  const stays = own.data === undefined || (own.data.required && !own.data.totp && own.data.passkeys === 1);
  return (
    <li>
      <div className="grow">
        <bdi>{of.name}</bdi>
        <p className="soft small">
          <bdi dir="ltr">{of.rp_id}</bdi> · {t('passkeys.added')} <Moment at={of.created_at} />
          {' · '}{of.last_used_at == null ? t('tokens.unused') : <>{t('sessions.used')} <Moment at={of.last_used_at} /></>}
        </p>
      </div>
      {mayChange && (
        <ActionMenu label={t('actions.of', { name: of.name })} actions={[
          { id: 'rename', label: t('passkeys.rename', { name: of.name }), icon: 'edit', run: rename },
          stays ? null : { id: 'remove', label: t('passkeys.remove', { name: of.name }), icon: 'trash', bad: true, run: remove },
        ]} />
      )}
    </li>
  );
}

function Add({ username, onDone, onClose }: { username: string; onDone: (changed: Changed) => void; onClose: () => void }) {
  const { t } = useI18n();
  const [name, setName] = useState('');
  const [current_password, setPassword] = useState('');
  const [failed, setFailed] = useState<PasskeyError | null>(null);
  const run = async () => {
    setFailed(null);
    const begun = await data(api.POST('/api/second-factor/passkey-options', { body: { current_password } }));
    const credential = await createPasskey(begun.options).catch((error: unknown) => {
      if (!(error instanceof PasskeyError)) throw error;
      setFailed(error);
      return null;
    });
    if (credential !== null) onDone(await data(api.POST('/api/second-factor/passkeys', { body: { name: name.trim(), state: begun.state, credential } })));
  };
  return (
    <FormDialog title={t('passkeys.add')} act={t('passkeys.add')} ready={name.trim() !== '' && current_password !== ''} run={run} onClose={onClose}>
      {(refused) => (
        <>
          <p>{t('passkeys.add.body')}</p>
          <Name value={name} problem={refused.name} onChange={setName} />
          <OwnPassword username={username} value={current_password} wrong={refused.current_password !== undefined} focus={false} onChange={setPassword} />
          {failed !== null && <div role="alert"><Notice tone="bad">{t(failed.isThere ? 'passkeys.there' : 'passkeys.failed')}</Notice></div>}
        </>
      )}
    </FormDialog>
  );
}

function Rename({ of, onClose }: { of: Passkey; onClose: () => void }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const [name, setName] = useState(of.name);
  const run = async () => {
    await data(api.PUT('/api/second-factor/passkeys/{id}', { params: { path: { id: of.id } }, body: { name: name.trim() } }));
    await queryClient.invalidateQueries({ queryKey: ['second-factor'] });
    say(t('saved'));
    onClose();
  };
  return (
    <FormDialog title={t('passkeys.rename', { name: of.name })} act={t('save')} ready={name.trim() !== ''} run={run} onClose={onClose}>
      {(refused) => <Name value={name} problem={refused.name} onChange={setName} />}
    </FormDialog>
  );
}

function Remove({ of, username, onDone, onClose }: { of: Passkey; username: string; onDone: (changed: Changed) => void; onClose: () => void }) {
  const { t } = useI18n();
  const [current_password, setPassword] = useState('');
  const act = t('passkeys.remove', { name: of.name });
  const run = async () => onDone(await data(api.POST('/api/second-factor/passkeys/{id}/remove', { params: { path: { id: of.id } }, body: { current_password } })));
  return (
    <FormDialog title={act} act={act} danger ready={current_password !== ''} run={run} onClose={onClose}>
      {(refused) => (
        <>
          <p>{t('passkeys.remove.body')}</p>
          <OwnPassword username={username} value={current_password} wrong={refused.current_password !== undefined} focus onChange={setPassword} />
        </>
      )}
    </FormDialog>
  );
}

function Name({ value, problem, onChange }: { value: string; problem: string | undefined; onChange: (value: string) => void }) {
  const { t } = useI18n();
  return (
    <Field label={t('tokens.name')} hint={t('passkeys.name_hint')} problem={problem}>
      {(attributes) => <input {...attributes} className="input" maxLength={64} autoComplete="off" autoFocus value={value} onChange={(event) => onChange(event.target.value)} />}
    </Field>
  );
}
