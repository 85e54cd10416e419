// What all changes of the own second factors have in common: the next token, and recovery codes, which are shown once.

import { queryOptions } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { announcedInterval } from '../../api/live.ts';
import { queryClient } from '../../api/queries.ts';
import { session } from '../../api/session.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Notice } from '../../ui/basics.tsx';
import { Drawer, useOverlays } from '../../ui/overlays.tsx';
import { save } from '../../ui/save.ts';
import { CopyButton } from '../../ui/share.tsx';

export const factors = () =>
  queryOptions({ queryKey: ['second-factor'], queryFn: ({ signal }) => data(api.GET('/api/second-factor', { signal })), refetchInterval: announcedInterval });

/** Goes on after a change of a factor: `codes` shows new recovery codes, if there are any. */
export function useFactorChange(username: string): { done: (changed: Schemas['FactorChanged']) => void; codes: ReactNode } {
  const { t } = useI18n();
  const { say } = useOverlays();
  const [codes, setCodes] = useState<string[] | null>(null);
  const done = (changed: Schemas['FactorChanged']) => {
    session.start(changed.token.access_token);
    if (changed.recovery_codes.length > 0) setCodes(changed.recovery_codes);
    else say(t('second.done'));
    void queryClient.invalidateQueries();
  };
  return { done, codes: codes === null ? null : <RecoveryCodes of={codes} username={username} onClose={() => setCodes(null)} /> };
}

/** The field for the password, which every change needs. */
export function OwnPassword({ username, value, wrong, focus, onChange }: { username: string; value: string; wrong: boolean; focus: boolean; onChange: (value: string) => void }) {
  const { t } = useI18n();
  return (
    <>
      <input hidden readOnly autoComplete="username" value={username} />
      <Field label={t('second.password')} problem={wrong ? t('profile.password.wrong') : undefined}>
        {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="current-password" autoFocus={focus} value={value} onChange={(event) => onChange(event.target.value)} />}
      </Field>
    </>
  );
}

function RecoveryCodes({ of, username, onClose }: { of: string[]; username: string; onClose: () => void }) {
  const { t } = useI18n();
  const text = of.join('\n');
  return (
    <Drawer title={t('second.codes')} name={t('second.codes')} onClose={onClose}>
      <div className="body">
        <Notice tone="attention">{t('second.codes.once')}</Notice>
        <ol className="codes" dir="ltr">{of.map((code) => <li key={code}><code>{code}</code></li>)}</ol>
        <div className="chips">
          <CopyButton text={text} label={t('second.codes.copy')} look="">{t('second.codes.copy')}</CopyButton>
          <Button onClick={() => save(`sarban-${username}.txt`, `${text}\n`)}>{t('download')}</Button>
          <Button onClick={() => window.print()}>{t('second.print')}</Button>
        </div>
      </div>
      <footer><Button look="primary" onClick={onClose}>{t('close')}</Button></footer>
    </Drawer>
  );
}
