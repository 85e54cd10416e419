// Hosts, the entries of subscriptions: by node and inbound, or in the order that subscriptions have.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactNode, Suspense, lazy, useEffect, useState } from 'react';
import type { Host, Inbound } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import type { HostSearch } from '../../router.tsx';
import { Button, Empty, Loaded, Notice, Segments, Status } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ListHead, ListTools, NoMatch, useListSearch } from '../../ui/list.tsx';
import { ActionMenu } from '../../ui/overlays.tsx';
import { useHostActs } from './actions.tsx';
import { HostOrder } from './HostOrder.tsx';

const HostEditor = lazy(() => import('./HostEditor.tsx'));

interface HostPage { items: Host[]; total: number }
interface Group { key: string; title: string; inbound?: Inbound; hosts: Host[] }

/** Hosts without an inbound first, then those of each inbound, by node and tag. */
function groupsOf(hosts: Host[], inbounds: Inbound[], universal: string): Group[] {
  const sorted = [...inbounds].sort((a, b) => a.node.name.localeCompare(b.node.name) || a.tag.localeCompare(b.tag));
  return [
    { key: 'none', title: universal, hosts: hosts.filter((host) => host.inbound_id == null) },
    ...sorted.map((inbound) => ({ key: String(inbound.id), title: `${inbound.node.name} · ${inbound.tag}`, inbound, hosts: hosts.filter((host) => host.inbound_id === inbound.id) })),
  ];
}

export function HostList() {
  const { t } = useI18n();
  const { search, change, show } = useListSearch<HostSearch>();
  const all = useQuery(queries.hosts());
  const hosts = useFound(all, search);
  const inbounds = useQuery(queries.inbounds());
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const acts = useHostActs(() => setChosen(new Set()));
  // What is selected stays in sight: another filter begins another selection.
  useEffect(() => setChosen(new Set()), [search.q, search.inbound, search.view]);
  const words = (search.q ?? '').toLowerCase();
  const only = inbounds.data?.items.find((inbound) => inbound.id === search.inbound);
  const matches = (host: Host) => `${host.remark} ${host.address} ${host.sni ?? ''} ${host.host ?? ''}`.toLowerCase().includes(words);
  const toggle = (id: number) => setChosen((now) => { const next = new Set(now); if (!next.delete(id)) next.add(id); return next; });
  const create = (inbound?: number) => <Button needs="hosts:write" icon="plus" look={inbound === undefined ? 'primary' : 'quiet'} onClick={() => show(inbound === undefined ? (search.inbound ? `new-${search.inbound}` : 'new') : `new-${inbound}`)}>{t('hosts.new')}</Button>;
  const selected = (hosts.data?.items ?? []).filter((host) => chosen.has(host.id));
  return (
    <>
      <ListHead title={t('nav.hosts')} total={all.data?.total}>
        <div className="row wrap">
          <Segments name="view" label={t('hosts.view')} value={search.view ?? 'groups'} onChange={(view) => change({ view: view === 'order' ? 'order' : undefined, q: undefined, inbound: undefined })}
            choices={[['groups', t('hosts.view.groups')], ['order', t('hosts.view.order')]]} />
          {create()}
        </div>
      </ListHead>
      {hosts.data && hosts.data.total > hosts.data.items.length && <Notice tone="attention">{t('hosts.more', { count: hosts.data.total - hosts.data.items.length })}</Notice>}
      {search.view === 'order' ? (
        <Loaded of={hosts}>{({ items }) => <HostOrder hosts={items} inbounds={inbounds.data?.items ?? []} />}</Loaded>
      ) : (
        <>
          <ListTools label={t('hosts.search')} />
          {only && (
            <div className="chips" style={{ marginBlockEnd: 12 }}>
              <span className="chip"><bdi>{only.tag}</bdi><button type="button" aria-label={t('filter.remove', { name: only.tag })} onClick={() => change({ inbound: undefined })}><Icon name="close" /></button></span>
            </div>
          )}
          <Loaded of={hosts}>
            {({ items }) => (
              <Loaded of={inbounds}>
                {(known) => {
                  const groups = groupsOf(items, known.items, t('hosts.universal')).filter((group) => search.inbound === undefined || group.inbound?.id === search.inbound)
                    .map((group) => ({ ...group, hosts: group.hosts.filter(matches) })).filter((group) => words === '' || group.hosts.length > 0);
                  if (items.length === 0 && known.items.length === 0) return <div className="tablebox"><Empty title={t('hosts.none')} action={create()}>{t('hosts.none.body')}</Empty></div>;
                  if (groups.length === 0) return <NoMatch />;
                  return groups.map((group) => (
                    <GroupTable key={group.key} group={group} create={create(group.inbound?.id)} chosen={chosen} toggle={toggle} setChosen={setChosen} show={show} acts={acts} all={all.data?.items ?? items} />
                  ));
                }}
              </Loaded>
            )}
          </Loaded>
        </>
      )}
      {selected.length > 0 && search.view !== 'order' && (
        <div className="bulk" role="region" aria-label={t('hosts.bulk')}>
          <strong>{t('selected', { count: selected.length })}</strong>
          <Button needs="hosts:write" onClick={() => acts.setState(selected, true)}>{t('act.enable')}</Button>
          <Button needs="hosts:write" onClick={() => acts.setState(selected, false)}>{t('act.disable')}</Button>
          <Button needs="hosts:write" look="danger" onClick={() => acts.remove(selected, all.data?.items ?? [])}>{t('act.delete')}</Button>
          <Button look="quiet" icon="close" label={t('select.clear')} onClick={() => setChosen(new Set())} />
        </div>
      )}
      {search.drawer !== undefined && <Suspense fallback={null}><HostEditor key={search.drawer} which={search.drawer} onClose={() => show()} /></Suspense>}
    </>
  );
}

/** The hosts to show: those that were loaded, or, if there are more than are loaded at once, those that the panel finds. */
function useFound(all: ReturnType<typeof useQuery<HostPage>>, { q, inbound, view }: HostSearch) {
  const isPart = all.data !== undefined && all.data.total > all.data.items.length;
  const asks = isPart && view !== 'order' && (q !== undefined || inbound !== undefined);
  const found = useQuery({ ...queries.foundHosts({ ...(q === undefined ? {} : { text: q }), ...(inbound === undefined ? {} : { inbound }) }), enabled: asks });
  return asks ? found : all;
}

function GroupTable({ group, create, chosen, toggle, setChosen, show, acts, all }: {
  group: Group; create: ReactNode; chosen: ReadonlySet<number>; toggle: (id: number) => void; setChosen: (next: ReadonlySet<number>) => void;
  show: (drawer: string) => void; acts: ReturnType<typeof useHostActs>; all: Host[];
}) {
  const { t, f } = useI18n();
  const { inbound, hosts } = group;
  const ids = hosts.map((host) => host.id);
  const on = ids.length > 0 && ids.every((id) => chosen.has(id));
  return (
    <section className="hostgroup" aria-label={group.title}>
      <header>
        {hosts.length > 0 && <input type="checkbox" aria-label={t('hosts.select_group', { name: group.title })} checked={on} onChange={() => setChosen(new Set(on ? [...chosen].filter((id) => !ids.includes(id)) : [...chosen, ...ids]))} />}
        <h2>
          {inbound === undefined ? group.title : <><bdi>{inbound.node.name}</bdi> <span className="soft">·</span> <bdi>{inbound.tag}</bdi> <bdi className="soft" dir="ltr">{inbound.protocol}</bdi></>}
        </h2>
        {inbound?.absent_since != null && <Link to="/inbounds" search={{ q: inbound.tag }}><Status tone="attention">{t('inbounds.absent')}</Status></Link>}
        <span className="grow" />
        {inbound !== undefined && create}
      </header>
      {hosts.length === 0 ? <p className="soft small">{t(inbound === undefined ? 'hosts.universal.none' : 'hosts.inbound.none')}</p> : (
        <div className="tablebox cards acts">
          <table className="list fixed">
            <caption className="hidden">{group.title}</caption>
            <colgroup><col style={{ inlineSize: 40 }} /><col style={{ inlineSize: '28%' }} /><col style={{ inlineSize: 130 }} /><col style={{ inlineSize: '26%' }} /><col /><col style={{ inlineSize: 72 }} /><col style={{ inlineSize: 56 }} /></colgroup>
            <thead className="hidden">
              <tr>
                <th scope="col">{t('hosts.select')}</th><th scope="col">{t('hosts.remark')}</th><th scope="col">{t('user.status')}</th><th scope="col">{t('hosts.address')}</th><th scope="col">{t('hosts.about')}</th>
                <th scope="col" className="end">{t('hosts.weight')}</th><th scope="col">{t('actions')}</th>
              </tr>
            </thead>
            <tbody>
              {hosts.map((host) => (
                <tr key={host.id}>
                  <td className="tick"><input type="checkbox" aria-label={t('select.one', { name: host.remark })} checked={chosen.has(host.id)} onChange={() => toggle(host.id)} /></td>
                  <td className="first"><button type="button" className="link" onClick={() => show(String(host.id))}><bdi>{host.remark}</bdi></button></td>
                  <td className="second"><Status tone={host.is_disabled ? 'off' : 'good'}>{t(host.is_disabled ? 'state.disabled' : 'admins.enabled')}</Status></td>
                  <td><code className="break">{host.address}{host.port ? `:${host.port}` : ''}</code></td>
                  <td className="soft"><HostAbout host={host} /></td>
                  <td className="end soft wide-only" title={t('hosts.weight')}>{f.number(host.weight)}</td>
                  <td className="end menu-cell">
                    <ActionMenu needs="hosts:write" label={t('actions.of', { name: host.remark })} actions={[
                      { id: 'edit', label: t('edit'), icon: 'edit', run: () => show(String(host.id)) },
                      { id: 'copy', label: t('hosts.duplicate'), icon: 'copy', run: () => show(`copy-${host.id}`) },
                      { id: 'state', label: t(host.is_disabled ? 'act.enable' : 'act.disable'), icon: host.is_disabled ? 'check' : 'close', run: () => acts.setState([host], host.is_disabled) },
                      null,
                      { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => acts.remove([host], all) },
                    ]} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** What a host is, in a few words: of nobody, of all, over which transport, through how many others. */
function HostAbout({ host }: { host: Host }) {
  const { t } = useI18n();
  const parts = [
    ...(host.inbound_id == null ? [`${host.protocol ?? ''} ${host.network ?? ''}`.trim()] : []),
    ...(host.sni ? [host.sni] : []),
  ].filter((part) => part !== '');
  return (
    <>
      {parts.length > 0 && <bdi dir="ltr">{parts.join(' · ')}</bdi>}
      {host.inbound_id == null && <span> · {host.universal ? t('hosts.for_all') : t('hosts.services', { count: host.service_ids.length })}</span>}
      {host.chain_ids.length > 0 && <span> · {t('hosts.chained', { count: host.chain_ids.length })}</span>}
    </>
  );
}
