// The first admin of a new panel, made with the code of a setup link.

import { type FormEvent, useEffect, useState } from 'react';
import { makeFirstAdmin } from '../api/client.ts';
import { statusOf } from '../api/errors.ts';
import { useI18n } from '../i18n/index.tsx';
import { Button, Field, Notice, Problem } from '../ui/basics.tsx';
import { Mark } from '../ui/icons.tsx';
import { useSubmit } from '../ui/submit.ts';
import { Languages } from './SignIn.tsx';

export function Setup({ code }: { code: string }) {
  const { t } = useI18n();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const { busy, error, run } = useSubmit();
  useEffect(() => { document.title = `${t('setup.title')} · Sarban`; }, [t]);
  const differ = again !== '' && again !== password;
  const ready = name.trim() !== '' && password !== '' && again === password;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    // The code is of no use any more; Back does not lead to it.
    if (ready && (await run(() => makeFirstAdmin(code, name.trim(), password)))) location.replace('#/');
  };
  return (
    <main className="signin">
      <div>
        <form onSubmit={(event) => void submit(event)} noValidate>
          <div className="brand"><Mark />Sarban</div>
          <h1>{t('setup.title')}</h1>
          <p className="soft">{t('setup.about')}</p>
          {statusOf(error) === 403 && <div role="alert"><Notice tone="bad">{t('setup.used')} <code dir="ltr">sarban admin setup-link</code></Notice></div>}
          {error !== null && statusOf(error) !== 403 && <Problem error={error} />}
          <Field label={t('signin.name')}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus required value={name} onChange={(event) => setName(event.target.value)} />}
          </Field>
          <Field label={t('signin.password')}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="new-password" required value={password} onChange={(event) => setPassword(event.target.value)} />}
          </Field>
          <Field label={t('setup.again')} problem={differ ? t('setup.differ') : undefined}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="new-password" required value={again} onChange={(event) => setAgain(event.target.value)} />}
          </Field>
          <Button type="submit" look="primary" disabled={busy || !ready}>{busy ? t('working') : t('setup.act')}</Button>
        </form>
        <Languages />
      </div>
    </main>
  );
}
