// The page of a user: its state, its links, why it may not work, what each app gets, its traffic.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { Suspense, useMemo, useState } from 'react';
import type { User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { moment } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useMayChangeUsers, useMe } from '../../shell/Shell.tsx';
import { Button, Choose, Facts, Loaded, Meter, Moment, Notice, Panel, Status } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ActionMenu } from '../../ui/overlays.tsx';
import { CopyLine, QrCode } from '../../ui/share.tsx';
import { TrafficPanel } from '../../ui/TrafficPanel.tsx';
import { useUserActs, userActions } from './actions.tsx';
import { APPS, FORMATS, linkOf } from './links.ts';
import { OwnerChange } from './OwnerChange.tsx';
import { Ends, Online, UserStatus, stateOf } from './state.tsx';
import { UserEditor } from './UserList.tsx';

export function UserPage() {
  const { t } = useI18n();
  const { name } = useParams({ from: '/users/$name' });
  const { drawer } = useSearch({ from: '/users/$name' });
  const navigate = useNavigate({ from: '/users/$name' });
  const me = useMe();
  const mayChange = useMayChangeUsers();
  const read = useQuery(queries.user(name));
  const act = useUserActs((what) => (what === 'delete' ? navigate({ to: '/users', search: {} }) : undefined));
  const show = (next?: string) => void navigate({ search: next === undefined ? {} : { drawer: next } });
  return (
    <>
      <div className="head">
        <div className="row wrap">
          <Link to="/users" className="button quiet square" aria-label={t('nav.users')}><Icon name="back" /></Link>
          <h1><bdi>{name}</bdi></h1>
          {read.data && <UserStatus user={read.data} />}
        </div>
        {read.data && (
          <div className="row">
            {mayChange && <Button icon="edit" onClick={() => show('edit')}>{t('edit')}</Button>}
            <ActionMenu label={t('actions')} actions={[
              ...(me?.is_sudo === true ? [{ id: 'owner', label: t('owner.change'), icon: 'admins' as const, run: () => show('owner') }] : []),
              { id: 'print', label: t('print'), icon: 'print' as const, run: () => window.print() },
              ...(mayChange ? userActions(read.data, t, (what) => act(what, [name])) : []),
            ]} />
          </div>
        )}
      </div>
      <Loaded of={read} rows={8}>
        {(user) => (
          <div key={user.id} className="twocol">
            <div className="stack" style={{ gap: 16 }}>
              <Account user={user} />
              <Share user={user} />
              <Traffic user={user} />
            </div>
            <div className="stack" style={{ gap: 16 }}>
              <Doctor user={user} />
              <Apps user={user} />
              <About user={user} />
            </div>
          </div>
        )}
      </Loaded>
      {drawer === 'edit' && mayChange && (
        <Suspense fallback={null}><UserEditor username={name} onClose={() => show()} onSaved={() => show()} /></Suspense>
      )}
      {drawer === 'owner' && me?.is_sudo === true && read.data && <OwnerChange user={read.data} onClose={() => show()} />}
    </>
  );
}

function Account({ user }: { user: User }) {
  const { t, f } = useI18n();
  const limit = user.data_limit ?? null;
  const part = limit === null ? 0 : user.used_traffic / limit;
  return (
    <Panel title={t('user.account')}>
      <div className="row wrap between" style={{ alignItems: 'baseline', marginBlockEnd: 6 }}>
        <span><span style={{ fontSize: 20, fontWeight: 600 }}>{f.bytes(user.used_traffic)}</span> <span className="soft">{limit === null ? t('unlimited') : t('usage.limit', { limit: f.bytes(limit) })}</span></span>
        {limit !== null && <span className="soft">{f.percent(part)}</span>}
      </div>
      {limit !== null && <Meter part={part} tone={part >= 1 ? 'bad' : part >= 0.8 ? 'attention' : undefined} />}
      <div style={{ marginBlockStart: 14 }}>
        <Facts facts={[
          [t('column.ends'), <Ends key="ends" user={user} />],
          [t('user.reset'), t(`reset.${user.data_limit_reset_strategy as 'no_reset'}`)],
          [t('column.online'), <Online key="online" user={user} />],
        ]} />
      </div>
    </Panel>
  );
}

function Share({ user }: { user: User }) {
  const { t } = useI18n();
  const [format, setFormat] = useState('');
  const link = linkOf(user);
  const chosen = format === '' ? link : `${link}/${format}`;
  return (
    <Panel title={t('link.title')}>
      <div className="linkbox">
        <div className="stack">
          <div className="field">
            <span className="label">{t('link.format')}</span>
            <Choose aria-label={t('link.format')} value={format} onChange={(event) => setFormat(event.target.value)}>
              <option value="">{t('link.by_app')}</option>
              {FORMATS.map((one) => <option key={one} value={one}>{one}</option>)}
            </Choose>
          </div>
          <CopyLine text={chosen} label={t('copy.link')} />
          <p className="small soft">{t('link.hint')}</p>
          {user.sub_updated_at ? (
            <p className="small">{t('link.fetched')} <Moment at={user.sub_updated_at} />{user.sub_last_user_agent && <> · <bdi dir="ltr" className="soft">{user.sub_last_user_agent}</bdi></>}</p>
          ) : <p className="small soft">{t('link.never')}</p>}
        </div>
        <QrCode text={chosen} label={t('link.qr', { name: user.username })} />
      </div>
    </Panel>
  );
}

/** "Why doesn't it work?": each thing that stands in the way, in the order in which to look at them. */
function Doctor({ user }: { user: User }) {
  const { t, f } = useI18n();
  const nodes = useQuery(queries.userNodes(user.username));
  const hosts = useQuery(queries.explanation(user.username, {}));
  const state = stateOf(user);
  const late = nodes.data?.filter((node) => !node.in_step) ?? [];
  const sent = hosts.data?.hosts.filter((host) => host.left_out == null).length ?? 0;
  return (
    <Panel title={t('doctor.title')}>
      <ul className="stack" style={{ gap: 8 }}>
        <li>
          {state === 'active' || state === 'on_hold'
            ? <Status tone="good">{t('doctor.account_fine')}</Status>
            : <Notice tone="bad">{t(`doctor.${state}`)}</Notice>}
        </li>
        <li>
          {user.service_ids.length === 0
            ? <Notice tone="bad">{t('doctor.no_service')}</Notice>
            : <Status tone="good">{t('doctor.services', { count: user.service_ids.length })}</Status>}
        </li>
        <li>
          <Loaded of={nodes} rows={1}>
            {(list) => list.length === 0 ? <Notice tone="bad">{t('doctor.no_node')}</Notice>
              : late.length === 0 ? <Status tone="good">{t('doctor.nodes_fine', { count: list.length })}</Status>
              : (
                <Notice tone="attention">
                  <p>{t('doctor.nodes_late', { count: late.length, all: list.length })}</p>
                  <ul>{late.map((node) => <li key={node.node_id} className="small"><bdi>{node.node_name}</bdi> <span className="soft">· {t('doctor.since')} {f.exact(moment(node.since))}</span></li>)}</ul>
                </Notice>
              )}
          </Loaded>
        </li>
        <li>
          <Loaded of={hosts} rows={1}>
            {(known) => known.hosts.length === 0 ? <Notice tone="bad">{t('doctor.no_host')}</Notice>
              : sent === 0 ? <Notice tone="bad">{t('doctor.all_left_out')}</Notice>
              : <Status tone="good">{t('doctor.hosts', { count: sent })}</Status>}
          </Loaded>
        </li>
      </ul>
    </Panel>
  );
}

function Apps({ user }: { user: User }) {
  const { t } = useI18n();
  const [agent, setAgent] = useState(user.sub_last_user_agent ?? APPS[0]?.[1] ?? '');
  const read = useQuery(queries.explanation(user.username, { user_agent: agent }));
  const known = useMemo(() => new Set(APPS.map(([, name]) => name)), []);
  return (
    <Panel title={t('apps.title')}>
      <div className="stack">
        <Choose aria-label={t('apps.app')} value={agent} onChange={(event) => setAgent(event.target.value)}>
          {user.sub_last_user_agent && !known.has(user.sub_last_user_agent) && <option value={user.sub_last_user_agent}>{t('apps.last', { name: user.sub_last_user_agent })}</option>}
          {APPS.map(([name, value]) => <option key={name} value={value}>{name}</option>)}
        </Choose>
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
              {given.hosts.length === 0 && <p className="soft">{t('doctor.no_host')}</p>}
            </>
          )}
        </Loaded>
      </div>
    </Panel>
  );
}

function Traffic({ user }: { user: User }) {
  const { f } = useI18n();
  return (
    <TrafficPanel name="user" query={(start) => queries.userTraffic(user.username, start)}
      series={(traffic) => {
        const sum = new Map<number, number>();
        for (const node of traffic.node_usages) for (const [at = 0, bytes = 0] of node.usages) sum.set(at, (sum.get(at) ?? 0) + bytes);
        return { total: traffic.total, usages: [...sum].sort(([a], [b]) => a - b) };
      }}
      below={(traffic) => (
        <ul className="lines" style={{ marginBlockStart: 16 }}>
          {traffic.node_usages.map((node) => {
            const bytes = node.usages.reduce((all, [, some = 0]) => all + some, 0);
            return (
              <li key={node.node_id ?? 0}>
                <bdi className="cut" style={{ flex: '0 1 140px' }}>{node.node_name}</bdi>
                <span className="grow"><Meter part={traffic.total === 0 ? 0 : bytes / traffic.total} /></span>
                <span className="nowrap">{f.bytes(bytes)}</span>
              </li>
            );
          })}
        </ul>
      )}
    />
  );
}

function About({ user }: { user: User }) {
  const { t, f } = useI18n();
  const services = useQuery(queries.services());
  const names = user.service_ids.map((id) => services.data?.items.find((service) => service.id === id)?.name ?? `#${id}`);
  return (
    <Panel title={t('user.about')}>
      <Facts facts={[
        [t('nav.services'), names.length === 0 ? '—' : f.list(names.map((name) => `\u2068${name}\u2069`))],
        [t('column.owner'), <bdi key="owner">{user.owner_username ?? '—'}</bdi>],
        [t('column.created'), f.exact(moment(user.created_at))],
        [t('user.lifetime'), f.bytes(user.lifetime_used_traffic)],
        [t('user.reset_at'), user.traffic_reset_at ? <Moment key="reset" at={user.traffic_reset_at} /> : '—'],
        [t('user.revoked_at'), user.sub_revoked_at ? <Moment key="revoked" at={user.sub_revoked_at} /> : '—'],
        [t('column.note'), <bdi key="note" style={{ whiteSpace: 'pre-wrap' }}>{user.note ?? '—'}</bdi>],
      ]} />
    </Panel>
  );
}
