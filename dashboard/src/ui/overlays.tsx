// What floats: drawers, confirmations, menus, toasts. Focus, Escape and hiding of the rest come from react-aria.

import { type ReactNode, createContext, useCallback, useContext, useEffect, useId, useMemo, useRef, useState } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Menu, MenuItem } from 'react-aria-components/Menu';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import { Popover } from 'react-aria-components/Popover';
import { Separator } from 'react-aria-components/Separator';
import { type Right, mayNow } from '../api/rights.ts';
import { useI18n } from '../i18n/index.tsx';
import { Button, Problem } from './basics.tsx';
import { Icon, type IconName } from './icons.tsx';
import { useSubmit } from './submit.ts';

/** When what had the focus is gone with the drawer or dialog, such as a deleted row, the keyboard goes on in the screen. */
function useFocusBack(): void {
  useEffect(() => () => {
    setTimeout(() => {
      const { activeElement } = document;
      if (activeElement === null || activeElement === document.body) document.getElementById('main')?.focus({ preventScroll: true });
    }, 100);
  }, []);
}

/** A sheet at the inline end, for looking and editing. */
export function Drawer(props: { title: ReactNode; name: string; wide?: boolean; onClose: () => void; children: ReactNode }) {
  const { t } = useI18n();
  useFocusBack();
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(open) => { if (!open) props.onClose(); }} className="veil">
      <Modal className={props.wide ? 'drawer wide' : 'drawer'}>
        <Dialog aria-label={props.name}>
          <header>
            <h2>{props.title}</h2>
            <Button icon="close" look="quiet" label={t('close')} onClick={props.onClose} />
          </header>
          {props.children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

export interface Question {
  title: string;
  /** What follows from it. */
  body: ReactNode;
  /** The act, in the button: "Delete ann". */
  act: string;
  danger?: boolean;
  run: () => Promise<unknown>;
  /** What a toast says afterwards. */
  done?: string;
}

interface Overlays { ask: (question: Question) => void; say: (words: string) => void }
const Context = createContext<Overlays>({ ask: () => undefined, say: () => undefined });
export const useOverlays = (): Overlays => useContext(Context);

/** Holds the open confirmation and the toasts of the whole page. */
export function OverlayHost({ children }: { children: ReactNode }) {
  const [question, ask] = useState<Question | null>(null);
  const [toasts, setToasts] = useState<{ id: number; words: string }[]>([]);
  const last = useRef(0);
  const say = useCallback((words: string) => {
    const id = (last.current += 1);
    setToasts((now) => [...now.slice(-2), { id, words }]);
    setTimeout(() => setToasts((now) => now.filter((toast) => toast.id !== id)), 4_000);
  }, []);
  const value = useMemo(() => ({ ask, say }), [say]);
  return (
    <Context value={value}>
      {children}
      {question !== null && <Confirm question={question} onClose={() => ask(null)} />}
      <div className="toasts" role="status" aria-live="polite">
        {toasts.map((toast) => (
          <div key={toast.id} className="toast"><Icon name="check" />{toast.words}</div>
        ))}
      </div>
    </Context>
  );
}

export function Confirm({ question, onClose }: { question: Question; onClose: () => void }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const { busy, error, run } = useSubmit();
  const id = useId();
  useFocusBack();
  const act = async () => {
    if (!(await run(question.run))) return;
    onClose();
    if (question.done !== undefined) say(question.done);
  };
  return (
    <ModalOverlay isOpen isDismissable={!busy} onOpenChange={(open) => { if (!open) onClose(); }} className="veil">
      <Modal className="dialog">
        <Dialog role="alertdialog" aria-labelledby={id}>
          <header><h2 id={id}>{question.title}</h2></header>
          <div className="body">
            <div>{question.body}</div>
            {error !== null && <Problem error={error} />}
          </div>
          <footer>
            <Button onClick={onClose} disabled={busy}>{t('cancel')}</Button>
            <Button look={question.danger ? 'danger filled' : 'primary'} disabled={busy} onClick={() => void act()}>
              {busy ? t('working') : question.act}
            </Button>
          </footer>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

export interface Action { id: string; label: string; icon?: IconName; bad?: boolean; run: () => void }

/** A menu of actions behind one button; `null` draws a line. Until it is opened it is only the button: lists have many. One that
 *  `needs` a right is shown only with it. */
export function ActionMenu({ needs, ...menu }: MenuProps & { needs?: Right }) {
  return needs === undefined || mayNow(needs) ? <PlainMenu {...menu} /> : null;
}

interface MenuProps { label: string; actions: (Action | null)[] | (() => (Action | null)[]); children?: ReactNode }

function PlainMenu({ label, actions, children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button ref={button} type="button" className={`button ${children === undefined ? 'quiet square' : ''}`} aria-label={children === undefined ? label : undefined} aria-haspopup="menu" aria-expanded={open}
        onClick={() => setOpen(true)} onKeyDown={(event) => { if (event.key === 'ArrowDown') { event.preventDefault(); event.stopPropagation(); setOpen(true); } }}>
        {children ?? <Icon name="more" />}
      </button>
      {open && (
        <Popover triggerRef={button} isOpen onOpenChange={setOpen} aria-label={label} className="popover" placement="bottom end">
          <Menu className="menu" aria-label={label} autoFocus="first" onClose={() => setOpen(false)}>
            {(typeof actions === 'function' ? actions() : actions).map((action, index) =>
              action === null ? <Separator key={index} /> : (
                <MenuItem key={action.id} id={action.id} textValue={action.label} className={action.bad ? 'bad' : ''} onAction={action.run}>
                  {action.icon && <Icon name={action.icon} />}
                  {action.label}
                </MenuItem>
              ),
            )}
          </Menu>
        </Popover>
      )}
    </>
  );
}
