// The page of a user: its state, its links, why it may not work, what each app gets, its traffic.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { Suspense, lazy, useRef, useState } from 'react';
import type { User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { moment } from '../../i18n/format.ts';
import { useMay } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { useMayChangeUsers, useMayResetUsers } from '../../shell/Shell.tsx';
import { Button, Choose, Facts, Loaded, Meter, Moment, Panel, Waiting } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ActionMenu } from '../../ui/overlays.tsx';
import { CopyLine, QrCode } from '../../ui/share.tsx';
import { useUserActs, userActions } from './actions.tsx';
import { FORMATS, linkOf } from './links.ts';
import { OwnerChange } from './OwnerChange.tsx';
import { Ends, Online, UserStatus } from './state.tsx';
import { UserEditor } from './UserList.tsx';

const details = () => import('./details.ts');
const Diagnosis = lazy(async () => ({ default: (await details()).Diagnosis }));
const Apps = lazy(async () => ({ default: (await details()).Apps }));
const UserTraffic = lazy(async () => ({ default: (await details()).UserTraffic }));

export function UserPage() {
  const { t } = useI18n();
  const { name } = useParams({ from: '/users/$name' });
  const { drawer } = useSearch({ from: '/users/$name' });
  const navigate = useNavigate({ from: '/users/$name' });
  const mayChange = useMayChangeUsers();
  const mayReset = useMayResetUsers();
  const may = useMay();
  const share = useRef<HTMLDivElement>(null);
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
              ...(may('users:write') && may('admins:read') ? [{ id: 'owner', label: t('owner.change'), icon: 'admins' as const, run: () => show('owner') }] : []),
              { id: 'print', label: t('print'), icon: 'print' as const, run: () => void navigate({ to: '/sheet', search: { names: name } }) },
              ...(mayReset ? userActions(read.data, t, (what) => act(what, name)).filter((action) => mayChange || action?.id === 'reset') : []),
            ]} />
          </div>
        )}
      </div>
      <Loaded of={read} rows={8}>
        {(user) => (
          <div key={user.id} className="twocol">
            <div className="stack" style={{ gap: 16 }}>
              <Account user={user} />
              <div ref={share}><Share user={user} /></div>
              <Suspense fallback={<Waiting rows={6} />}><UserTraffic user={user} /></Suspense>
            </div>
            <div className="stack" style={{ gap: 16 }}>
              <Suspense fallback={<Waiting rows={6} />}>
                <Diagnosis user={user} showLink={() => share.current?.scrollIntoView({ block: 'center' })} />
                <Apps user={user} />
              </Suspense>
              <About user={user} />
            </div>
          </div>
        )}
      </Loaded>
      {drawer === 'edit' && mayChange && (
        <Suspense fallback={null}><UserEditor username={name} onClose={() => show()} onSaved={() => show()} /></Suspense>
      )}
      {drawer === 'owner' && may('users:write') && read.data && <OwnerChange user={read.data} onClose={() => show()} />}
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
