// Sign-in. The URL stays as it is, so that signing in again continues where the session ended.

import { type FormEvent, useEffect, useState } from 'react';
import { signIn } from '../api/client.ts';
import { ApiError } from '../api/errors.ts';
import { session } from '../api/session.ts';
import { LANGUAGES, type Language, useI18n } from '../i18n/index.tsx';
import { Button, Field, Notice, Problem } from '../ui/basics.tsx';
import { Mark } from '../ui/icons.tsx';

export function SignIn() {
  const { t } = useI18n();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => { document.title = `${t('signin.title')} · Sarban`; }, [t]);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(name.trim(), password);
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  const wrong = error instanceof ApiError && (error.status === 401 || error.status === 422);
  return (
    <main className="signin">
      <div>
        <form onSubmit={(event) => void submit(event)} noValidate>
          <div className="brand"><Mark />Sarban</div>
          <h1 className="hidden">{t('signin.title')}</h1>
          {session.reason() === 'ended' && error === null && <Notice tone="attention">{t('signin.ended')}</Notice>}
          {wrong && <div role="alert"><Notice tone="bad">{t('signin.wrong')}</Notice></div>}
          {error !== null && !wrong && <Problem error={error} />}
          <Field label={t('signin.name')}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus required value={name} onChange={(event) => setName(event.target.value)} />}
          </Field>
          <Field label={t('signin.password')}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />}
          </Field>
          <Button type="submit" look="primary" disabled={busy || name.trim() === '' || password === ''}>{busy ? t('working') : t('signin.act')}</Button>
        </form>
        <Languages />
      </div>
    </main>
  );
}

/** The choice of a language, for those who are not signed in. */
export function Languages() {
  const { language, setLanguage } = useI18n();
  return (
    <div className="languages">
      {Object.entries(LANGUAGES).map(([code, label]) => (
        <button key={code} type="button" lang={code} className="button quiet" aria-pressed={code === language} onClick={() => setLanguage(code as Language)}>{label}</button>
      ))}
    </div>
  );
}
