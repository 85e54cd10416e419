// A form in a drawer: sends, shows what was refused, closes when it is saved, and asks before a changed one is left.

import type { FormEvent, ReactNode } from 'react';
import { type Right, useMay } from '../api/rights.ts';
import { useI18n } from '../i18n/index.tsx';
import { Button, Problem } from './basics.tsx';
import type { Form } from './form.ts';
import { Drawer, useOverlays } from './overlays.tsx';
import { useSubmit } from './submit.ts';
import { Restored, useUnsaved } from './unsaved.tsx';

interface EditFormProps {
  form: Pick<Form, 'isUnsaved' | 'finish' | 'restored' | 'reset'>;
  /** The right to save it: without, the form is only looked at. */
  needs?: Right;
  /** The act, in the button; "Save" unless it is given. */
  act?: string;
  ready?: boolean;
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
  const question = useUnsaved(props.form);
  const may = useMay();
  const locked = props.needs !== undefined && !may(props.needs);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    // A form inside of another place's dialog is not this one.
    event.stopPropagation();
    if (props.check?.() === false || !(await run(props.save))) return;
    props.form.finish();
    if (props.onSaved !== undefined) return props.onSaved();
    say(t('saved'));
    props.onClose();
  };
  return (
    <form onSubmit={(event) => void submit(event)} noValidate style={{ display: 'contents' }}>
      <div className="body">
        <Restored form={props.form} />
        <fieldset disabled={locked} style={{ display: 'contents' }}>{props.children(refused)}</fieldset>
        {error !== null && <Problem error={error} />}
      </div>
      <footer>
        <Button onClick={props.onClose}>{t('cancel')}</Button>
        {!locked && <Button type="submit" look="primary" disabled={busy || props.ready === false}>{busy ? t('working') : (props.act ?? t('save'))}</Button>}
      </footer>
      {question}
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
