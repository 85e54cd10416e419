// What apps would get of a host as it stands in its form.

import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { Schemas } from '../../api/client.ts';
import { ApiError } from '../../api/errors.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field, Notice, Problem, Status, Waiting } from '../../ui/basics.tsx';
import { SearchField } from '../../ui/list.tsx';
import { CopyButton } from '../../ui/share.tsx';
import { APPS, FORMATS } from '../users/links.ts';

/** Milliseconds without a change before the host is shown again. */
const PAUSE = 350;

function useSettled<T>(value: T): T {
  const text = JSON.stringify(value);
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  return JSON.parse(settled) as T;
}

/** `body`: the host, or null while it is no host yet. */
export function usePreview(body: Schemas['HostBody'] | null, inbound: number | null, id: number | undefined) {
  const [format, setFormat] = useState<string>('links');
  const [username, setUsername] = useState('');
  const asked = useSettled({ body, inbound });
  const query = {
    format, ...(username === '' ? {} : { username: username.toLowerCase() }), ...(asked.inbound === null ? {} : { inbound_id: asked.inbound }), ...(id === undefined ? {} : { id }),
    user_agent: APPS.map(([, agent]) => agent),
  };
  const read = useQuery({ ...queries.hostPreview(asked.body ?? { remark: '', address: '' } as Schemas['HostBody'], query), enabled: asked.body !== null });
  const refused = read.error instanceof ApiError && read.error.status === 422 ? read.error.fields : {};
  return { format, setFormat, username, setUsername, read, refused, isShown: asked.body !== null };
}

export function Preview({ state }: { state: ReturnType<typeof usePreview> }) {
  const { t } = useI18n();
  const { read, format, setFormat, username, setUsername, isShown } = state;
  const shown = read.data;
  return (
    <section className="preview" aria-label={t('preview.title')} aria-busy={read.isFetching}>
      <h3>{t('preview.title')}</h3>
      <div className="pair">
        <Field label={t('link.format')}>
          {(attributes) => <Choose {...attributes} value={format} onChange={(event) => setFormat(event.target.value)}>{FORMATS.map((one) => <option key={one}>{one}</option>)}</Choose>}
        </Field>
        <div className="field"><span className="label" aria-hidden="true">{t('preview.user')}</span><SearchField label={t('preview.user.hint')} value={username} onChange={setUsername} /></div>
      </div>
      {!isShown ? <p className="soft">{t('preview.empty')}</p> : read.isError ? <Problem error={read.error} retry={() => void read.refetch()} /> : shown === undefined ? <Waiting rows={3} /> : (
        <>
          {shown.document != null ? (
            <div className="document">
              <pre className="text" tabIndex={0} aria-label={t('preview.document')}>{shown.document}</pre>
              <CopyButton text={shown.document} label={t('preview.copy')} />
            </div>
          ) : <Notice tone="attention"><p>{t('preview.left_out')}</p><p className="small"><bdi dir="ltr">{shown.left_out}</bdi></p></Notice>}
          <h3>{t('apps.title')}</h3>
          <ul className="lines small">
            {shown.clients.map((client, index) => (
              <li key={client.user_agent} style={{ alignItems: 'flex-start' }}>
                <span className="grow">
                  <bdi>{APPS[index]?.[0] ?? client.user_agent}</bdi> <bdi className="soft" dir="ltr">{client.format ?? '—'}</bdi>
                  {client.left_out != null && <bdi className="soft" dir="ltr" style={{ display: 'block' }}>{client.left_out}</bdi>}
                </span>
                <Status tone={client.left_out == null && client.format != null ? 'good' : 'attention'}>{t(client.left_out == null && client.format != null ? 'apps.sent' : 'apps.left_out')}</Status>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
