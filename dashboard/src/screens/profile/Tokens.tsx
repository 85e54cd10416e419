// API tokens: made, shown once, given new secrets and revoked.

import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { announcedInterval } from '../../api/live.ts';
import { queryClient } from '../../api/queries.ts';
import { mayNow } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Field, Loaded, Moment, Notice, Panel, Problem, Segments, Status } from '../../ui/basics.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { Pages } from '../../ui/list.tsx';
import { ActionMenu, Drawer, useOverlays } from '../../ui/overlays.tsx';
import { CopyLine } from '../../ui/share.tsx';
import { useSubmit } from '../../ui/submit.ts';
import { ROWS } from './scopes.ts';

type Token = Schemas['ApiTokenBody'];
interface Me { username: string }

const SIZE = 25;
const tokens = (all: boolean, page: number) =>
  queryOptions({
    queryKey: ['tokens', all, page],
    queryFn: ({ signal }) => data(api.GET('/api/tokens', { params: { query: { page, size: SIZE, ...(all ? { all } : {}) } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: announcedInterval,
  });
const changed = () => queryClient.invalidateQueries({ queryKey: ['tokens'] });

export function Tokens({ me }: { me: Me }) {
  const { t } = useI18n();
  const search = useSearch({ from: '/me' });
  const navigate = useNavigate({ from: '/me' });
  const [page, onPage] = useState(1);
  const [made, setMade] = useState<Schemas['NewApiToken'] | null>(null);
  const [rotated, rotate] = useState<Token | null>(null);
  const all = mayNow('tokens:read') && search.tokens === 'all';
  const read = useQuery(tokens(all, page));
  const open = (drawer?: string) => void navigate({ search: (now) => ({ ...now, drawer }) });
  const show = (which: 'own' | 'all') => {
    onPage(1);
    void navigate({ search: (now) => ({ ...now, tokens: which === 'all' ? which : undefined }) });
  };
  return (
    <Panel title={t('tokens.title')} aside={<Button needs="tokens:write=own" icon="plus" look="primary" onClick={() => open('token')}>{t('tokens.new')}</Button>}>
      {mayNow('tokens:read') && <Segments name="tokens" label={t('tokens.title')} value={all ? 'all' : 'own'} onChange={show} choices={[['own', t('tokens.own')], ['all', t('tokens.all')]]} />}
      <Loaded of={read} rows={3}>
        {({ items, pages }) => items.length === 0 ? <p className="soft">{t('tokens.none')}</p> : (
          <>
            <ul className="rows">{items.map((token) => <Row key={token.id} of={token} withAdmin={all} rotate={() => rotate(token)} />)}</ul>
            {pages > 1 && <Pages page={page} pages={pages} onPage={onPage} />}
          </>
        )}
      </Loaded>
      {search.drawer === 'token' && mayNow('tokens:write=own') && (
        <Drawer title={t('tokens.new')} name={t('tokens.new')} onClose={() => open()}>
          <Editor me={me} onMade={(token) => { setMade(token); open(); }} onClose={() => open()} />
        </Drawer>
      )}
      {rotated !== null && <Rotation of={rotated} onMade={(token) => { rotate(null); setMade(token); }} onClose={() => rotate(null)} />}
      {made !== null && (
        <Drawer title={made.name} name={t('tokens.made')} onClose={() => setMade(null)}>
          <div className="body">
            <Notice tone="attention">{t('tokens.once')}</Notice>
            <CopyLine text={made.secret} label={t('tokens.copy')} />
          </div>
          <footer><Button look="primary" onClick={() => setMade(null)}>{t('close')}</Button></footer>
        </Drawer>
      )}
    </Panel>
  );
}

function Row({ of, withAdmin, rotate }: { of: Token; withAdmin: boolean; rotate: () => void }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const hasExpired = of.expires_at != null && Date.parse(of.expires_at) <= Date.now();
  const revoke = () => ask({
    title: t('tokens.revoke', { name: of.name }), body: t('tokens.revoke.body'), act: t('tokens.revoke', { name: of.name }), danger: true, done: t('tokens.revoked'),
    run: () => data(api.DELETE('/api/tokens/{id}', { params: { path: { id: of.id } } })).then(changed),
  });
  return (
    <li>
      <div className="grow">
        <bdi>{of.name}</bdi>{withAdmin && <> · <bdi className="soft">{of.admin}</bdi></>}
        <p className="soft small"><code dir="ltr">sarban_{of.id.slice(0, 8)}…</code> · <bdi dir="ltr">{of.scopes.join(' ')}</bdi></p>
        <p className="soft small">
          {hasExpired ? <Status tone="bad">{t('tokens.expired')}</Status> : of.expires_at == null ? t('tokens.endless') : <>{t('tokens.until')} <Moment at={of.expires_at} /></>}
          {' · '}{of.last_used_at == null ? t('tokens.unused') : <>{t('sessions.used')} <Moment at={of.last_used_at} /></>}
          {of.addresses.length > 0 && <> · <bdi dir="ltr">{of.addresses.join(' ')}</bdi></>}
        </p>
      </div>
      <ActionMenu needs="tokens:write=own" label={t('actions.of', { name: of.name })} actions={[
        { id: 'rotate', label: t('tokens.rotate'), icon: 'edit', run: rotate },
        { id: 'revoke', label: t('tokens.revoke', { name: of.name }), icon: 'trash', bad: true, run: revoke },
      ]} />
    </li>
  );
}

const DAYS = [7, 30, 90, 365];

function Editor({ me, onMade, onClose }: { me: Me; onMade: (token: Schemas['NewApiToken']) => void; onClose: () => void }) {
  const { t } = useI18n();
  const form = useForm('token new', () => ({ name: '', admin: me.username, all: false, scopes: [] as string[], days: 90, addresses: '' }));
  const { draft, set } = form;
  const toggle = (scope: string) => set({ scopes: draft.scopes.includes(scope) ? draft.scopes.filter((one) => one !== scope) : [...draft.scopes, scope] });
  const save = async () => {
    const expires_at = draft.days === 0 ? null : new Date(Date.now() + draft.days * 86_400_000).toISOString();
    const made = await data(api.POST('/api/tokens', {
      body: { name: draft.name.trim(), scopes: draft.all ? ['*'] : draft.scopes, addresses: draft.addresses.split(/[\s,]+/).filter((text) => text !== ''), expires_at, admin: draft.admin.trim() === me.username ? null : draft.admin.trim() },
    }));
    // The secret is nowhere else: it is shown before the list is read again.
    void changed();
    form.finish();
    onMade(made);
  };
  const box = (resource: string, action: string, name: string) => (
    <input type="checkbox" aria-label={`${name}: ${t(action === 'read' ? 'tokens.read' : 'tokens.write')}`} checked={draft.scopes.includes(`${resource}:${action}`)} onChange={() => toggle(`${resource}:${action}`)} />
  );
  return (
    <EditForm form={form} act={t('tokens.create')} ready={draft.name.trim() !== '' && (draft.all || draft.scopes.length > 0)} save={save} onSaved={() => undefined} onClose={onClose}>
      {(refused) => (
        <>
          <Field label={t('tokens.name')} hint={t('tokens.name_hint')} problem={refused.name}>{(attributes) => <input {...attributes} className="input" autoFocus maxLength={64} value={draft.name} onChange={(event) => set({ name: event.target.value })} />}</Field>
          {mayNow('tokens:write') && <Field label={t('tokens.admin')} hint={t('tokens.admin_hint')} problem={refused.admin}>{(attributes) => <input {...attributes} className="input" dir="ltr" autoCapitalize="none" spellCheck={false} value={draft.admin} onChange={(event) => set({ admin: event.target.value })} />}</Field>}
          <label className="option"><input type="checkbox" checked={draft.all} onChange={(event) => set({ all: event.target.checked })} /><span>{t('tokens.everything')}</span></label>
          {!draft.all && (
            <div className="tablebox">
              <table className="list scopes">
                <caption className="hidden">{t('tokens.scopes')}</caption>
                <thead><tr><th scope="col">{t('tokens.scopes')}</th><th scope="col">{t('tokens.read')}</th><th scope="col">{t('tokens.write')}</th></tr></thead>
                <tbody>
                  {ROWS.filter(({ resource }) => mayNow(`${resource}:read=own`) || mayNow(`${resource}:write=own`)).map((row) => (
                    <tr key={row.resource}>
                      <th scope="row">{t(row.key)}</th>
                      <td>{row.read && box(row.resource, 'read', t(row.key))}</td>
                      <td>{row.write && box(row.resource, 'write', t(row.key))}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
          {refused.scopes !== undefined && <p className="problem" role="alert"><bdi>{refused.scopes}</bdi></p>}
          <Field label={t('tokens.expiry')} problem={refused.expires_at}>
            {(attributes) => (
              <Choose {...attributes} value={draft.days} onChange={(event) => set({ days: Number(event.target.value) })}>
                {DAYS.map((days) => <option key={days} value={days}>{t('tokens.days', { count: days })}</option>)}
                <option value={0}>{t('tokens.endless')}</option>
              </Choose>
            )}
          </Field>
          <Field label={t('tokens.addresses')} hint={t('tokens.addresses_hint')} problem={refused.addresses}>{(attributes) => <textarea {...attributes} className="input" dir="ltr" rows={2} spellCheck={false} value={draft.addresses} onChange={(event) => set({ addresses: event.target.value })} />}</Field>
        </>
      )}
    </EditForm>
  );
}

function Rotation({ of, onMade, onClose }: { of: Token; onMade: (token: Schemas['NewApiToken']) => void; onClose: () => void }) {
  const { t } = useI18n();
  const [overlap, setOverlap] = useState(86_400);
  const { busy, error, run } = useSubmit();
  const rotate = async () => {
    const made = await data(api.POST('/api/tokens/{id}/rotate', { params: { path: { id: of.id } }, body: { overlap_seconds: overlap } }));
    void changed();
    onMade(made);
  };
  return (
    <Drawer title={t('tokens.rotate')} name={t('tokens.rotate')} onClose={onClose}>
      <div className="body">
        <p>{t('tokens.rotate.body', { name: of.name })}</p>
        <Field label={t('tokens.overlap')}>
          {(attributes) => (
            <Choose {...attributes} value={overlap} onChange={(event) => setOverlap(Number(event.target.value))}>
              <option value={0}>{t('tokens.overlap.none')}</option>
              <option value={3_600}>{t('tokens.overlap.hour')}</option>
              <option value={86_400}>{t('tokens.overlap.day')}</option>
              <option value={604_800}>{t('tokens.overlap.week')}</option>
            </Choose>
          )}
        </Field>
        {error !== null && <Problem error={error} />}
      </div>
      <footer>
        <Button onClick={onClose}>{t('cancel')}</Button>
        <Button look="primary" disabled={busy} onClick={() => void run(rotate)}>{busy ? t('working') : t('tokens.rotate')}</Button>
      </footer>
    </Drawer>
  );
}
