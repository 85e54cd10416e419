// A form in a drawer: sends, shows what was refused, closes when it is saved, and asks before a changed one is left.

import { useBlocker } from '@tanstack/react-router';
import { type FormEvent, type ReactNode, useRef, useState } from 'react';
import { useI18n } from '../i18n/index.tsx';
import { Button, Problem } from './basics.tsx';
import { Confirm, Drawer, useOverlays } from './overlays.tsx';
import { useSubmit } from './submit.ts';

interface EditFormProps {
  /** The act, in the button; "Save" unless it is given. */
  act?: string;
  ready?: boolean;
  /** True when something would be lost; without it, when something was typed or chosen. */
  changed?: boolean;
  /** Called before a save: false keeps the form open, which then shows what is wrong. */
  check?: () => boolean;
  save: () => Promise<unknown>;
  /** After a save: says so and closes, unless it is given. */
  onSaved?: () => void;
  onClose: () => void;
  /** Gets the texts of refused fields by name. */
  children: (refused: Record<string, string>) => ReactNode;
}

/** The form of a drawer that is open already. Closing the drawer must be a navigation, which a changed form holds up. */
export function EditForm(props: EditFormProps) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const { busy, error, refused, run } = useSubmit();
  const [touched, setTouched] = useState(false);
  const done = useRef(false);
  const isUnsaved = () => !done.current && (props.changed ?? touched);
  const leaving = useBlocker({ shouldBlockFn: isUnsaved, enableBeforeUnload: isUnsaved, withResolver: true });
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    // A form inside of another place's dialog is not this one.
    event.stopPropagation();
    if (props.check?.() === false || !(await run(props.save))) return;
    done.current = true;
    if (props.onSaved !== undefined) return props.onSaved();
    say(t('saved'));
    props.onClose();
  };
  return (
    <form
      onSubmit={(event) => void submit(event)}
      onChange={(event) => { if ((event.target as unknown as HTMLInputElement).type !== 'search') setTouched(true); }}
      noValidate
      style={{ display: 'contents' }}
    >
      <div className="body">
        {props.children(refused)}
        {error !== null && <Problem error={error} />}
      </div>
      <footer>
        <Button onClick={props.onClose}>{t('cancel')}</Button>
        <Button type="submit" look="primary" disabled={busy || props.ready === false}>{busy ? t('working') : (props.act ?? t('save'))}</Button>
      </footer>
      {leaving.status === 'blocked' && (
        <Confirm
          question={{ title: t('draft.title'), body: t('draft.body'), act: t('draft.discard'), danger: true, run: async () => leaving.proceed() }}
          onClose={leaving.reset}
        />
      )}
    </form>
  );
}

export function EditDrawer(props: EditFormProps & { title: string; wide?: boolean }) {
  return (
    <Drawer title={props.title} name={props.title} onClose={props.onClose} wide={props.wide}>
      <EditForm {...props} />
    </Drawer>
  );
}
