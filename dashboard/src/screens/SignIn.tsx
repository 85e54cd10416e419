// Sign-in. The URL stays as it is, so that signing in again continues where the session ended.

import { type FormEvent, type ReactNode, useEffect, useState } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import { signIn } from '../api/client.ts';
import { ApiError } from '../api/errors.ts';
import { PasskeyError, hasPasskeys, signInWithPasskey } from '../api/passkeys.ts';
import { session } from '../api/session.ts';
import { LANGUAGES, type Language, useI18n } from '../i18n/index.tsx';
import { Button, Field, Notice, Problem } from '../ui/basics.tsx';
import { Mark } from '../ui/icons.tsx';
import { useSubmit } from '../ui/submit.ts';

export function SignIn() {
  const { t } = useI18n();
  const [name, setName] = useState(session.admin() ?? '');
  const [password, setPassword] = useState('');
  useEffect(() => { document.title = `${t('signin.title')} · Sarban`; }, [t]);
  return (
    <main className="signin">
      <div>
        <Credentials name={name} password={password}>
          <div className="brand"><Mark />Sarban</div>
          <h1 className="hidden">{t('signin.title')}</h1>
          {session.hasEnded() && <Notice tone="attention">{t('signin.ended')}</Notice>}
          <Field label={t('signin.name')}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus={name === ''} required value={name} onChange={(event) => setName(event.target.value)} />}
          </Field>
          <Password value={password} onChange={setPassword} focus={name !== ''} />
        </Credentials>
        <Languages />
      </div>
    </main>
  );
}

/** Over the screens of an admin whose session has ended: they stay, with what was typed, and go on with the password. */
export function SignInAgain({ admin }: { admin: string }) {
  const { t } = useI18n();
  const [password, setPassword] = useState('');
  return (
    <ModalOverlay isOpen isKeyboardDismissDisabled className="veil">
      <Modal className="dialog">
        <Dialog role="alertdialog" aria-label={t('signin.title')}>
          <div className="again">
            <Credentials name={admin} password={password}>
              <h2>{t('signin.title')}</h2>
              <p>{t('signin.ended')}</p>
              <Field label={t('signin.name')}>{(attributes) => <input {...attributes} className="input" dir="ltr" autoComplete="username" readOnly value={admin} />}</Field>
              <Password value={password} onChange={setPassword} focus />
            </Credentials>
            <Button look="quiet" onClick={() => session.end(null)}>{t('signout')}</Button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Signs in with a passkey alone. */
function WithPasskey() {
  const { t } = useI18n();
  const { busy, error, run } = useSubmit();
  if (!hasPasskeys()) return null;
  const code = error instanceof ApiError ? error.code : null;
  const problem = error instanceof PasskeyError ? 'signin.passkey_none' : code === 'passkey_origin' ? 'signin.passkey_origin'
    : error instanceof ApiError && error.status === 401 ? 'signin.passkey_unknown' : null;
  return (
    <>
      {problem !== null && <div role="alert"><Notice tone="bad">{t(problem)}</Notice></div>}
      {error !== null && problem === null && <Problem error={error} />}
      <Button disabled={busy} onClick={() => void run(signInWithPasskey)}>{busy ? t('working') : t('signin.passkey')}</Button>
    </>
  );
}

function Credentials({ name, password, children }: { name: string; password: string; children: ReactNode }) {
  const { t } = useI18n();
  const { busy, error, run } = useSubmit();
  const [code, setCode] = useState('');
  // Whose code is asked for: another admin may have no second factor.
  const [asked, setAsked] = useState<string | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() === '' || password === '') return;
    void run(() => signIn(name.trim(), password, asked === name ? code : '').catch((refused: unknown) => {
      if (refused instanceof ApiError && refused.code?.startsWith('otp_')) setAsked(name);
      throw refused;
    }));
  };
  const otp = error instanceof ApiError && asked === name ? error.code : null;
  const missing = otp === 'otp_required';
  const wrong = otp === null && error instanceof ApiError && (error.status === 401 || error.status === 422);
  return (
    <form onSubmit={submit} noValidate>
      {children}
      {asked === name && (
        <Field label={t('signin.code')} hint={t('signin.code_hint')}>
          {(attributes) => <input {...attributes} className="input" dir="ltr" autoComplete="one-time-code" autoCapitalize="none" spellCheck={false} autoFocus value={code} onChange={(event) => setCode(event.target.value)} />}
        </Field>
      )}
      {otp === 'otp_wrong' && <div role="alert"><Notice tone="bad">{t('signin.code_wrong')}</Notice></div>}
      {otp === 'otp_blocked' && <div role="alert"><Notice tone="bad">{t('signin.code_blocked')}</Notice></div>}
      {wrong && <div role="alert"><Notice tone="bad">{t('signin.wrong')}</Notice></div>}
      {error !== null && !wrong && !missing && otp !== 'otp_wrong' && otp !== 'otp_blocked' && <Problem error={error} />}
      <Button type="submit" look="primary" disabled={busy || name.trim() === '' || password === ''}>{busy ? t('working') : t('signin.act')}</Button>
      <WithPasskey />
    </form>
  );
}

function Password({ value, onChange, focus }: { value: string; onChange: (value: string) => void; focus: boolean }) {
  const { t } = useI18n();
  return (
    <Field label={t('signin.password')}>
      {(attributes) => <input {...attributes} className="input" dir="ltr" type="password" autoComplete="current-password" autoFocus={focus} required value={value} onChange={(event) => onChange(event.target.value)} />}
    </Field>
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
