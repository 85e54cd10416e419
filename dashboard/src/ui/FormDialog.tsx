// A small form that asks for a value before an act; the button names the act.

import { type FormEvent, type ReactNode, useId } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import { useI18n } from '../i18n/index.tsx';
import { Button, Problem } from './basics.tsx';
import { useSubmit } from './submit.ts';

export function FormDialog(props: {
  title: string;
  act: string;
  danger?: boolean;
  ready?: boolean;
  /** Ends what runs, where it can be ended. */
  onStop?: () => void;
  /** Closes the dialog itself when it is done. */
  run: () => Promise<unknown>;
  onClose: () => void;
  /** Gets the texts of refused fields by name, and whether the act runs. */
  children: (refused: Record<string, string>, busy: boolean) => ReactNode;
}) {
  const { t } = useI18n();
  const { busy, error, refused, run } = useSubmit();
  const id = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    // A form inside of another place's dialog is not this one.
    event.stopPropagation();
    if (!busy && props.ready !== false) void run(props.run);
  };
  return (
    <ModalOverlay isOpen isDismissable={!busy} isKeyboardDismissDisabled={busy} onOpenChange={(open) => { if (!open) props.onClose(); }} className="veil">
      <Modal className="dialog">
        <Dialog role={props.danger ? 'alertdialog' : 'dialog'} aria-labelledby={id}>
          <form onSubmit={submit} noValidate>
            <header><h2 id={id}>{props.title}</h2></header>
            <div className="body">
              {props.children(refused, busy)}
              {error !== null && <Problem error={error} />}
            </div>
            <footer>
              {busy && props.onStop ? <Button onClick={props.onStop}>{t('stop')}</Button> : <Button onClick={props.onClose} disabled={busy}>{t('cancel')}</Button>}
              <Button type="submit" look={props.danger ? 'danger filled' : 'primary'} disabled={busy || props.ready === false}>{busy ? t('working') : props.act}</Button>
            </footer>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
