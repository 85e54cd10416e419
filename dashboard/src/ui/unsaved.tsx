// Unsaved work is not left without a question: by a link, by Back, by closing the tab, or by signing out.

import { useBlocker } from '@tanstack/react-router';
import { type MouseEvent, type ReactNode, useEffect, useRef } from 'react';
import { signOut } from '../api/client.ts';
import { useI18n } from '../i18n/index.tsx';
import { Button, Notice } from './basics.tsx';
import type { Form } from './form.ts';
import { Confirm, useOverlays } from './overlays.tsx';

const open = new Set<() => boolean>();

interface Place { pathname: string; search: object }

/** Asks before unsaved work is left; returns what asks. `stays`: true for places at which the work is still shown. */
export function useUnsaved(form: Pick<Form, 'isUnsaved' | 'finish'>, stays: (next: Place) => boolean = () => false): ReactNode {
  const { t } = useI18n();
  const latest = useRef(form.isUnsaved);
  latest.current = form.isUnsaved;
  useEffect(() => {
    const isUnsaved = () => latest.current();
    open.add(isUnsaved);
    return () => void open.delete(isUnsaved);
  }, []);
  const leaving = useBlocker({ shouldBlockFn: ({ next }) => form.isUnsaved() && !stays(next), enableBeforeUnload: form.isUnsaved, withResolver: true });
  if (leaving.status !== 'blocked') return null;
  const discard = async () => {
    form.finish();
    leaving.proceed();
  };
  return <Confirm question={{ title: t('draft.title'), body: t('draft.body'), act: t('draft.discard'), danger: true, run: discard }} onClose={leaving.reset} />;
}

/** Unsaved work that outlives its screen, and so is left only with the page. */
export function guardPage(isUnsaved: () => boolean): void {
  open.add(isUnsaved);
  window.addEventListener('beforeunload', (event) => { if (isUnsaved()) event.preventDefault(); });
}

/** Says that a form shows what was typed before a reload, with the way back to what is stored. */
export function Restored({ form }: { form: Pick<Form, 'restored' | 'reset'> }) {
  const { t } = useI18n();
  if (form.restored === false) return null;
  const reset = (event: MouseEvent<HTMLElement>) => {
    const place = event.currentTarget.closest('form, main');
    form.reset();
    // The button goes; the keyboard goes on in the form.
    place?.querySelector<HTMLElement>('input, select, textarea, [tabindex="0"]')?.focus();
  };
  return (
    <Notice tone="attention">
      <p>{t('draft.restored')} {form.restored === 'without secrets' && t('draft.secrets')}</p>
      <Button onClick={reset}>{t('draft.discard')}</Button>
    </Notice>
  );
}

/** Signs out; asks before, if something would be lost. */
export function useSignOut(): () => void {
  const { t } = useI18n();
  const { ask } = useOverlays();
  return () => {
    if (![...open].some((isUnsaved) => isUnsaved())) return signOut();
    ask({ title: t('draft.title'), body: t('draft.body'), act: t('signout'), danger: true, run: async () => signOut() });
  };
}
