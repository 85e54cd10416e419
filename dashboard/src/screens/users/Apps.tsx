// What an app gets: its format, each host or why it is left out, and the document itself.

import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import type { User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Loaded, Panel, Status } from '../../ui/basics.tsx';
import { decoded, languageOf, tokens } from '../../ui/highlight.ts';
import { CopyButton } from '../../ui/share.tsx';
import { APPS, FORMATS } from './links.ts';

/** Lines of a document that are shown; it can be copied whole. */
const MOST_LINES = 1_000;
/** Characters of a line that are shown. */
const MOST_CHARACTERS = 2_000;

export function Apps({ user }: { user: User }) {
  const { t } = useI18n();
  const last = user.sub_last_user_agent ?? null;
  const [agent, setAgent] = useState(last ?? APPS[0]?.[1] ?? '');
  const [format, setFormat] = useState('');
  const [shown, setShown] = useState(false);
  const query = { user_agent: agent, ...(format === '' ? {} : { format }) };
  const read = useQuery(queries.explanation(user.username, { ...query, ...(shown ? { document: true } : {}) }));
  const known = APPS.some(([, name]) => name === last);
  return (
    <Panel title={t('apps.title')}>
      <div className="stack">
        <div className="row wrap">
          <Choose aria-label={t('apps.app')} value={agent} onChange={(event) => setAgent(event.target.value)}>
            {last !== null && !known && <option value={last}>{t('apps.last', { name: last })}</option>}
            {APPS.map(([name, value]) => <option key={name} value={value}>{name}</option>)}
          </Choose>
          <Choose aria-label={t('link.format')} value={format} onChange={(event) => setFormat(event.target.value)}>
            <option value="">{t('link.by_app')}</option>
            {FORMATS.map((one) => <option key={one} value={one}>{one}</option>)}
          </Choose>
        </div>
        <Loaded of={read} rows={3}>
          {(given) => (
            <>
              <p>{given.format ? t('apps.format', { name: given.format }) : t('apps.page')}</p>
              <ul className="lines">
                {given.hosts.map((host) => (
                  <li key={host.id} style={{ alignItems: 'flex-start' }}>
                    <span className="grow">
                      <bdi dir="ltr">{host.remark}</bdi>
                      {host.left_out != null && <span className="small soft" style={{ display: 'block' }}><bdi dir="ltr">{host.left_out}</bdi></span>}
                    </span>
                    <Status tone={host.left_out == null ? 'good' : 'attention'}>{t(host.left_out == null ? 'apps.sent' : 'apps.left_out')}</Status>
                  </li>
                ))}
              </ul>
              {given.format != null && given.hosts.length === 0 && <p className="soft">{t('apps.none')}</p>}
              {given.format != null && <p><Button aria-expanded={shown} onClick={() => setShown(!shown)}>{t(shown ? 'document.hide' : 'document.show')}</Button></p>}
              {shown && given.document !== undefined && given.format != null && <Document text={given.document} format={given.format} />}
            </>
          )}
        </Loaded>
      </div>
    </Panel>
  );
}

function Document({ text, format }: { text: string; format: string }) {
  const { t } = useI18n();
  const lines = useMemo(() => (format === 'v2ray' ? decoded(text) : text).replace(/\n$/, '').split('\n'), [text, format]);
  const language = languageOf(format);
  const parts = useMemo(() => lines.slice(0, MOST_LINES).map((line) => tokens(line.slice(0, MOST_CHARACTERS), language)), [lines, language]);
  return (
    <div className="stack">
      <div className="row wrap between">
        <span className="small soft">{t('document.lines', { count: lines.length })}</span>
        <CopyButton text={text} label={t('document.copy')} look="">{t('document.copy')}</CopyButton>
      </div>
      <pre className="doc" dir="ltr" tabIndex={0} role="region" aria-label={t('document.title')}>
        {parts.map((line, index) => (
          <span key={index} className="line">
            {line.map((token, at) => (token.kind === '' ? token.text : <span key={at} className={`tok-${token.kind}`}>{token.text}</span>))}
            {'\n'}
          </span>
        ))}
      </pre>
      {lines.length > MOST_LINES && <p className="small soft">{t('document.more', { count: lines.length - MOST_LINES })}</p>}
    </div>
  );
}
