// The signed-in admin's own account: password, second factor, passkeys, sessions, API tokens.

import { type FormEvent, useState } from 'react';
import { useQuery } from '@tanstack/react-query';
import { type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { has } from '../../api/rights.ts';
import { session } from '../../api/session.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Loaded, Panel, Problem } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { useSubmit } from '../../ui/submit.ts';
import { Passkeys } from './Passkeys.tsx';
import { SecondFactor } from './SecondFactor.tsx';
import { Sessions } from './Sessions.tsx';
import { Tokens } from './Tokens.tsx';
import { factors } from './factors.tsx';

export function ProfilePage() {
  const { t } = useI18n();
  const me = useQuery(queries.me());
  return (
    <>
      <div className="head"><h1>{t('nav.me')}</h1></div>
      <Loaded of={me}>
        {(admin) => (
          <div className="stack">
            {has(admin, 'profile:write=own') && <Password username={admin.username} />}
            <Factors admin={admin} />
            {has(admin, 'sessions:read=own') && <Sessions />}
            {has(admin, 'tokens:read=own') && <Tokens me={admin} />}
          </div>
        )}
      </Loaded>
    </>
  );
}

/** A role that requires a second factor lets its admins set one up, whatever else it grants. */
function Factors({ admin }: { admin: Schemas['CurrentAdminBody'] }) {
  const own = useQuery(factors()).data;
  const mustSetUp = own !== undefined && own.required && !own.totp && own.passkeys === 0;
  if (!mustSetUp && !has(admin, 'sessions:read=own')) return null;
  const mayChange = mustSetUp || has(admin, 'profile:write=own');
  return (
    <>
      <SecondFactor username={admin.username} mayChange={mayChange} />
      <Passkeys username={admin.username} mayChange={mayChange} />
    </>
  );
}

function Password({ username }: { username: string }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const [draft, setDraft] = useState({ current: '', next: '' });
  const { busy, error, refused, run } = useSubmit();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const change = async () => {
      const answer = await data(api.PUT('/api/password', { body: { current_password: draft.current, new_password: draft.next } }));
      session.start(answer.access_token);
    };
    if (!(await run(change))) return;
    setDraft({ current: '', next: '' });
    say(t('profile.password.done'));
    await queries.queryClient.invalidateQueries();
  };
  const isOfField = Object.keys(refused).length > 0;
  return (
    <Panel title={t('signin.password')}>
      <form onSubmit={(event) => void submit(event)} noValidate className="stack">
        <input hidden readOnly autoComplete="username" value={username} />
        <Field label={t('profile.password.current')} problem={refused.current_password === undefined ? undefined : t('profile.password.wrong')}>
          {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="current-password" value={draft.current} onChange={(event) => setDraft({ ...draft, current: event.target.value })} />}
        </Field>
        <Field label={t('profile.password.new')} hint={t('profile.password.hint')} problem={refused.new_password}>
          {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="new-password" value={draft.next} onChange={(event) => setDraft({ ...draft, next: event.target.value })} />}
        </Field>
        {error !== null && !isOfField && <Problem error={error} />}
        <div><Button type="submit" look="primary" disabled={busy || draft.current === '' || draft.next === ''}>{busy ? t('working') : t('profile.password.act')}</Button></div>
      </form>
    </Panel>
  );
}
