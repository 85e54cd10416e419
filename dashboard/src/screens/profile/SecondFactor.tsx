// The own second factor: an authenticator app with its QR code, and recovery codes.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Loaded, Notice, Panel, Status } from '../../ui/basics.tsx';
import { FormDialog } from '../../ui/FormDialog.tsx';
import { CopyLine, QrCode } from '../../ui/share.tsx';
import { OwnPassword, factors, useFactorChange } from './factors.tsx';

type Act = 'app' | 'codes' | 'remove';
type Changed = Schemas['FactorChanged'];

export function SecondFactor({ username, mayChange }: { username: string; mayChange: boolean }) {
  const { t } = useI18n();
  const read = useQuery(factors());
  const [act, setAct] = useState<Act | null>(null);
  const [begun, setBegun] = useState<Schemas['TotpSecret'] | null>(null);
  const { done, codes } = useFactorChange(username);
  const changed = (answer: Changed) => {
    setAct(null);
    setBegun(null);
    done(answer);
  };
  return (
    <Panel title={t('second.title')}>
      <Loaded of={read} rows={2}>
        {({ totp, passkeys, recovery_codes, required }) => {
          const any = totp || passkeys > 0;
          return (
            <div className="stack">
              {totp ? <p><Status tone="good">{t('second.on')}</Status></p>
                : required && !any ? <Notice tone="attention">{t('second.required')}</Notice> : <p className="soft">{t('second.about')}</p>}
              {any && <p className="soft">{t('second.left', { count: recovery_codes })}</p>}
              {mayChange && (
                <div className="chips">
                  {any && <Button onClick={() => setAct('codes')}>{t('second.codes.new')}</Button>}
                  <Button look={any ? '' : 'primary'} onClick={() => setAct('app')}>{t(totp ? 'second.replace' : 'second.set_up')}</Button>
                  {totp && (!required || passkeys > 0) && <Button look="danger" onClick={() => setAct('remove')}>{t('second.remove')}</Button>}
                </div>
              )}
            </div>
          );
        }}
      </Loaded>
      {act !== null && <WithPassword key={act} act={act} username={username} onBegun={(secret) => { setAct(null); setBegun(secret); }} onDone={changed} onClose={() => setAct(null)} />}
      {begun !== null && <Confirm of={begun} onDone={changed} onClose={() => setBegun(null)} />}
      {codes}
    </Panel>
  );
}

/** Asks for the password, which every change needs. */
function WithPassword({ act, username, onBegun, onDone, onClose }: { act: Act; username: string; onBegun: (secret: Schemas['TotpSecret']) => void; onDone: (changed: Changed) => void; onClose: () => void }) {
  const { t } = useI18n();
  const [current_password, setPassword] = useState('');
  const body = { current_password };
  const run = async () => {
    if (act === 'app') onBegun(await data(api.POST('/api/second-factor/totp', { body })));
    else if (act === 'codes') onDone(await data(api.POST('/api/second-factor/recovery-codes', { body })));
    else onDone(await data(api.POST('/api/second-factor/totp/remove', { body })));
  };
  const names = { app: t('second.set_up'), codes: t('second.codes.new'), remove: t('second.remove') };
  const hints = { app: t('second.set_up.body'), codes: t('second.codes.body'), remove: t('second.remove.body') };
  return (
    <FormDialog title={names[act]} act={names[act]} danger={act === 'remove'} ready={current_password !== ''} run={run} onClose={onClose}>
      {(refused) => (
        <>
          <p>{hints[act]}</p>
          <OwnPassword username={username} value={current_password} wrong={refused.current_password !== undefined} focus onChange={setPassword} />
        </>
      )}
    </FormDialog>
  );
}

function Confirm({ of, onDone, onClose }: { of: Schemas['TotpSecret']; onDone: (changed: Changed) => void; onClose: () => void }) {
  const { t } = useI18n();
  const [code, setCode] = useState('');
  const run = async () => onDone(await data(api.PUT('/api/second-factor/totp', { body: { code } })));
  return (
    <FormDialog title={t('second.set_up')} act={t('second.confirm')} ready={code.trim() !== ''} run={run} onClose={onClose}>
      {(refused) => (
        <>
          <p>{t('second.scan')}</p>
          <QrCode text={of.url} label={t('second.qr')} />
          <CopyLine text={of.secret} label={t('second.copy')} />
          <Field label={t('signin.code')} problem={refused.code === undefined ? undefined : t('second.wrong')}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" inputMode="numeric" autoComplete="one-time-code" maxLength={9} value={code} onChange={(event) => setCode(event.target.value)} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}
