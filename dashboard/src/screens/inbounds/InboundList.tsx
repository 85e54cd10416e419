// Inbounds, as the nodes report them. Those that a node no longer reports can be deleted.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type Inbound, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Empty, Moment, Status } from '../../ui/basics.tsx';
import { ListHead, ListTable, ListTools, PAGE_SIZE, useListSearch } from '../../ui/list.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';

export function InboundList() {
  const { t, f } = useI18n();
  const { search } = useListSearch();
  const read = useQuery(queries.inboundPage({ ...(search.q ? { tag: search.q } : {}), page: search.page ?? 1, size: PAGE_SIZE }));
  const services = useQuery(queries.services());
  const namesOf = (inbound: Inbound) => inbound.service_ids.map((id) => `\u2068${services.data?.items.find((service) => service.id === id)?.name ?? `#${id}`}\u2069`);
  return (
    <>
      <ListHead title={t('nav.inbounds')} total={read.data?.total} />
      <ListTools label={t('inbounds.search')} />
      <ListTable of={read} caption={t('nav.inbounds')} look="cards acts" empty={<Empty title={t('inbounds.none')} action={<Link className="button" to="/nodes">{t('nav.nodes')}</Link>}>{t('inbounds.none.body')}</Empty>} columns={[
        { title: t('inbounds.tag'), place: 'first', cell: (inbound) => <bdi>{inbound.tag}</bdi> },
        { title: t('user.status'), place: 'second', cell: (inbound) => (inbound.absent_since == null ? <Status tone="good">{t('inbounds.present')}</Status>
          : <><Status tone="attention">{t('inbounds.absent')}</Status> <span className="small soft"><Moment at={inbound.absent_since} /></span></>) },
        { title: t('inbounds.node'), cell: (inbound) => <Link to="/nodes/$id" params={{ id: String(inbound.node.id) }}><bdi>{inbound.node.name}</bdi></Link> },
        { title: t('inbounds.protocol'), cell: (inbound) => <bdi dir="ltr">{inbound.protocol}</bdi> },
        { title: t('nav.hosts'), end: true, place: 'wide-only', cell: (inbound) => <Link to="/hosts" search={{ inbound: inbound.id }} aria-label={t('inbounds.hosts_of', { count: inbound.host_count, name: inbound.tag })}>{f.number(inbound.host_count)}</Link> },
        { title: t('nav.services'), cell: (inbound) => (inbound.service_ids.length === 0 ? <span className="soft">—</span> : f.list(namesOf(inbound))) },
        { title: t('actions'), untitled: true, end: true, place: 'menu-cell', cell: (inbound) => <Actions inbound={inbound} /> },
      ]} />
    </>
  );
}

function Actions({ inbound }: { inbound: Inbound }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  if (inbound.absent_since == null) return null;
  const one = { name: inbound.tag };
  const ofNode = { name: inbound.node.name };
  return (
    <ActionMenu needs="inbounds:write" label={t('actions.of', one)} actions={[
      { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => ask({
        title: t('act.delete.one', one), act: t('act.delete.one', one), danger: true, done: t('act.delete.done'),
        body: <><p>{t('inbounds.delete.hosts', { count: inbound.host_count })}</p><p>{t('inbounds.delete.body')}</p></>,
        run: () => data(api.DELETE('/api/inbounds/{id}', { params: { path: { id: inbound.id } } })).then(queries.hostsChanged),
      }) },
      { id: 'delete-all', label: t('inbounds.delete_all', ofNode), icon: 'trash', bad: true, run: () => ask({
        title: t('inbounds.delete_all', ofNode), act: t('inbounds.delete_all', ofNode), danger: true, done: t('act.delete.done'), body: t('inbounds.delete_all.body'),
        run: () => data(api.DELETE('/api/inbounds/absent', { params: { query: { node_id: inbound.node.id } } })).then(queries.hostsChanged),
      }) },
    ]} />
  );
}
