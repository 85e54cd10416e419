// "Why doesn't it work?": everything that stands in the way of a user, worst first, each with the way to where it is fixed.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import type { Schemas, User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import type { I18n, Key } from '../../i18n/index.tsx';
import { useMay } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useMayChangeUsers } from '../../shell/Shell.tsx';
import { Button, Choose, Loaded, Moment, Panel, Status, type Tone } from '../../ui/basics.tsx';
import { drawerOf } from '../admins/drawers.ts';
import { useUserActs } from './actions.tsx';
import { APPS } from './links.ts';

type Finding = Schemas['DiagnosisFinding'];

const TONES: Record<Finding['severity'], Tone> = { error: 'bad', warning: 'attention', info: 'off' };

/** Codes with a text in every language. Others, which a newer panel may send, are shown in the panel's English. */
const CODES = [
  'user_disabled', 'owner_quota_used_up', 'user_expired', 'user_limited', 'user_on_hold', 'user_not_activated', 'owner_disabled', 'no_service', 'service_without_inbounds',
  'inbound_absent', 'no_node', 'node_disabled', 'node_never_connected', 'node_unhealthy', 'node_out_of_step', 'engine_stopped', 'change_pending',
  'no_host', 'host_disabled', 'host_left_out', 'no_host_for_app', 'app_blocked', 'app_gets_no_document', 'app_unknown', 'never_fetched', 'last_fetch',
  'link_revoked_since_fetch', 'edited_since_fetch',
];

/** The text of a finding in the reader's language. */
export function wordsOf(finding: Finding, { t, f }: Pick<I18n, 't' | 'f'>): string | null {
  if (!CODES.includes(finding.code)) return null;
  const { details, object } = finding;
  const app = details.core_version === undefined ? details.app ?? t('why.unknown_app') : t('why.app', { name: details.app ?? t('why.unknown_app'), version: details.core_version });
  return t(`why.code.${finding.code}` as Key, {
    name: object.name, app, node: details.node ?? '', engine: details.engine ?? '',
    used: details.used === undefined ? '' : f.bytes(details.used), limit: details.limit === undefined ? '' : f.bytes(details.limit),
  });
}

export function Diagnosis({ user, showLink }: { user: User; showLink: () => void }) {
  const { t } = useI18n();
  const [agent, setAgent] = useState('');
  const read = useQuery(queries.diagnosis(user.id, user.username, agent));
  const last = user.sub_last_user_agent ?? null;
  return (
    <Panel title={t('why.title')}>
      <div className="stack">
        <Choose aria-label={t('apps.app')} value={agent} onChange={(event) => setAgent(event.target.value)}>
          <option value="">{last === null ? t('why.unknown_app') : t('apps.last', { name: last })}</option>
          {APPS.map(([name, value]) => <option key={name} value={value}>{name}</option>)}
        </Choose>
        <Loaded of={read} rows={4}>
          {(found) => <Findings user={user} found={found} showLink={showLink} />}
        </Loaded>
      </div>
    </Panel>
  );
}

function Findings({ user, found, showLink }: { user: User; found: Schemas['DiagnosisResponse']; showLink: () => void }) {
  const { t } = useI18n();
  const warned = found.findings.some((finding) => finding.severity === 'warning');
  return (
    <>
      <p><Status tone={found.works ? (warned ? 'attention' : 'good') : 'bad'}>{t(found.works ? (warned ? 'why.parts' : 'why.fine') : 'why.fails')}</Status></p>
      <ul className="lines">
        {found.findings.map((finding) => <Line key={`${finding.code}-${finding.object.kind}-${finding.object.id}-${finding.details.engine ?? ''}`} user={user} finding={finding} showLink={showLink} />)}
      </ul>
      {found.left_off > 0 && <p className="small soft">{t('why.more', { count: found.left_off })}</p>}
    </>
  );
}

function Line({ user, finding, showLink }: { user: User; finding: Finding; showLink: () => void }) {
  const i18n = useI18n();
  const { details } = finding;
  const words = wordsOf(finding, i18n);
  const at = details.since ?? details.until;
  return (
    <li className="finding">
      <Status tone={TONES[finding.severity]}><span className="hidden">{i18n.t(`why.severity.${finding.severity}`)}</span></Status>
      <span className="grow">
        {words ?? <bdi dir="ltr">{finding.text}</bdi>}
        {at !== undefined && <span className="small soft"> <Moment at={at} /></span>}
        {words !== null && details.reason !== undefined && <bdi dir="ltr" className="small soft reason">{details.reason}</bdi>}
      </span>
      <Fix user={user} finding={finding} showLink={showLink} />
    </li>
  );
}

/** The way to where a finding is fixed, for those who may go there. */
function Fix({ user, finding, showLink }: { user: User; finding: Finding; showLink: () => void }): ReactNode {
  const { t } = useI18n();
  const mayChange = useMayChangeUsers();
  const may = useMay();
  const act = useUserActs();
  const ofFleet = may('nodes:read') && may('hosts:read');
  const { code, object, details } = finding;
  const id = String(object.id);
  if (code === 'user_disabled') return mayChange && <Button onClick={() => act('enable', user.username)}>{t('act.enable')}</Button>;
  if (['never_fetched', 'last_fetch', 'link_revoked_since_fetch', 'edited_since_fetch'].includes(code)) return <Button look="quiet" onClick={showLink}>{t('why.show_link')}</Button>;
  if (['user_expired', 'user_limited', 'user_on_hold', 'no_service'].includes(code)) return mayChange && <Link to="/users/$name" params={{ name: user.username }} search={{ drawer: 'edit' }}>{t('edit')}</Link>;
  if (!ofFleet) return null;
  if (code === 'user_not_activated') return <Link to="/cluster">{t('why.tasks')}</Link>;
  if (code.startsWith('app_')) return <Link to="/settings">{t('why.rules')}</Link>;
  if (code === 'no_node') return <Link to="/services">{t('nav.services')}</Link>;
  if (code === 'no_host' || code === 'no_host_for_app') return <Link to="/hosts">{t('nav.hosts')}</Link>;
  if (code === 'engine_stopped') return <Link to="/nodes/$id/$tab" params={{ id, tab: 'log' }} search={details.engine === undefined ? {} : { engine: details.engine }}>{t('why.log')}</Link>;
  switch (object.kind) {
    case 'user': return <Link to="/users/$name" params={{ name: user.username }} search={{ drawer: 'edit' }}>{t('edit')}</Link>;
    case 'admin': return <Link to="/admins" search={{ drawer: drawerOf('edit', object.name) }}>{t('open')}</Link>;
    case 'service': return <Link to="/services" search={{ drawer: id }}>{t('open')}</Link>;
    case 'inbound': return <Link to="/inbounds" search={{ q: object.name }}>{t('open')}</Link>;
    case 'host': return <Link to="/hosts" search={{ drawer: id }}>{t('open')}</Link>;
    case 'node': return <Link to="/nodes/$id/$tab" params={{ id, tab: 'status' }}>{t('open')}</Link>;
  }
}
