// A form in a drawer: sends, shows what was refused, closes when it is saved.

import { type FormEvent, type ReactNode, useState } from 'react';
import { ApiError } from '../api/errors.ts';
import { useI18n } from '../i18n/index.tsx';
import { Button, Problem } from './basics.tsx';
import { Drawer, useOverlays } from './overlays.tsx';

export function EditDrawer(props: {
  title: string;
  act?: string;
  ready?: boolean;
  save: () => Promise<unknown>;
  onClose: () => void;
  /** Gets the texts of refused fields by name. */
  children: (refused: Record<string, string>) => ReactNode;
}) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await props.save();
      say(t('saved'));
      props.onClose();
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <Drawer title={props.title} name={props.title} onClose={props.onClose}>
      <form onSubmit={(event) => void submit(event)} noValidate style={{ display: 'contents' }}>
        <div className="body">
          {props.children(error instanceof ApiError ? error.fields : {})}
          {error !== null && <Problem error={error} />}
        </div>
        <footer>
          <Button onClick={props.onClose}>{t('cancel')}</Button>
          <Button type="submit" look="primary" disabled={busy || props.ready === false}>{busy ? t('working') : (props.act ?? t('save'))}</Button>
        </footer>
      </form>
    </Drawer>
  );
}
