// Services: which inbounds the users of each reach.

import { queryOptions, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { changedIds, changes } from '../../api/changes.ts';
import { type Inbound, type Schemas, type Service, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Field, Loaded, Problem, readAgain } from '../../ui/basics.tsx';
import { type Choice, Choices } from '../../ui/Choices.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { ListHead, ListTable, ListTools, PAGE_SIZE, useListSearch } from '../../ui/list.tsx';
import { ActionMenu, Drawer, useOverlays } from '../../ui/overlays.tsx';

/** A service as it is stored, with the number of its users instead of their ids. */
const readService = async (id: number, signal?: AbortSignal) => {
  const { user_ids, ...service } = await data(api.GET('/api/services/{id}', { params: { path: { id } }, signal }));
  return { ...service, user_count: user_ids.length };
};
const serviceRead = (id: number) =>
  queryOptions({ queryKey: ['services', 'one', id], queryFn: ({ signal }) => readService(id, signal), staleTime: 0, gcTime: 0, refetchOnWindowFocus: false });

const nameOf = (service: Pick<Service, 'id' | 'name'>) => service.name ?? `#${service.id}`;

export function ServiceList() {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  const { search, show } = useListSearch();
  const read = useQuery(queries.servicePage({ ...(search.q ? { name: search.q } : {}), page: search.page ?? 1, size: PAGE_SIZE }));
  const create = <Button needs="services:write" icon="plus" look="primary" onClick={() => show('new')}>{t('services.new')}</Button>;
  const [unread, setUnread] = useState<unknown>(null);
  const remove = async ({ id }: Service) => {
    setUnread(null);
    try {
      // The list may be old: how many lose something is read when it is asked.
      const service = await readService(id);
      ask({
        title: t('services.delete', { name: nameOf(service) }), act: t('services.delete', { name: nameOf(service) }), danger: true, done: t('act.delete.done'),
        body: <><p>{t('services.delete.users', { count: service.user_count })}</p><p>{t('services.delete.body')}</p></>,
        run: () => data(api.DELETE('/api/services/{id}', { params: { path: { id } } })).then(queries.hostsChanged),
      });
    } catch (error) {
      setUnread(error);
    }
  };
  return (
    <>
      <ListHead title={t('nav.services')} total={read.data?.total}>{create}</ListHead>
      <ListTools label={t('services.search')} />
      {unread !== null && <Problem error={unread} />}
      <ListTable of={read} caption={t('nav.services')} empty={<Empty title={t('services.none')} action={create}>{t('services.none.body')}</Empty>} columns={[
        { title: t('services.name'), cell: (service) => <button type="button" className="link" onClick={() => show(String(service.id))}><bdi>{nameOf(service)}</bdi></button> },
        { title: t('services.inbounds'), end: true, cell: (service) => f.number(service.inbound_ids.length) },
        { title: t('nav.users'), end: true, cell: (service) => <Link to="/users" search={{ service: service.id }} aria-label={t('services.users_of', { count: service.user_count ?? 0, name: nameOf(service) })}>{f.number(service.user_count ?? 0)}</Link> },
        { title: t('actions'), untitled: true, end: true, cell: (service) => (
          <ActionMenu needs="services:write" label={t('actions.of', { name: nameOf(service) })} actions={[
            { id: 'edit', label: t('edit'), icon: 'edit', run: () => show(String(service.id)) },
            { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => void remove(service) },
          ]} />
        ) },
      ]} />
      {search.drawer === 'new' && <ServiceEditor id={null} onClose={() => show()} />}
      {search.drawer !== undefined && search.drawer !== 'new' && <ServiceEditor key={search.drawer} id={Number(search.drawer)} onClose={() => show()} />}
    </>
  );
}

/** Inbounds as choices, in groups by node. */
export function inboundChoices(inbounds: Inbound[], absent: string): Choice[] {
  const byNode = (a: Inbound, b: Inbound) => a.node.name.localeCompare(b.node.name) || a.tag.localeCompare(b.tag);
  return [...inbounds].sort(byNode).map((inbound) => ({
    id: inbound.id, name: inbound.tag, group: inbound.node.name,
    about: <><bdi dir="ltr">{inbound.protocol}</bdi>{inbound.absent_since != null && <> · {absent}</>}</>,
  }));
}

function ServiceEditor({ id, onClose }: { id: number | null; onClose: () => void }) {
  const { t } = useI18n();
  const read = useQuery({ ...serviceRead(id ?? 0), enabled: id !== null });
  const fresh = readAgain(read);
  const title = id === null ? t('services.new') : fresh.data === undefined ? t('nav.services') : t('services.edit', { name: nameOf(fresh.data) });
  return (
    <Drawer title={title} name={title} onClose={onClose}>
      {id === null ? <Form service={null} onClose={onClose} />
        : fresh.data === undefined ? <div className="body"><Loaded of={fresh}>{() => null}</Loaded></div> : <Form service={fresh.data} onClose={onClose} />}
    </Drawer>
  );
}

function Form({ service, onClose }: { service: Pick<Service, 'id' | 'name' | 'inbound_ids'> | null; onClose: () => void }) {
  const { t } = useI18n();
  const form = useForm(`service ${service?.id ?? 'new'}`, () => ({ name: service?.name ?? '', inbound_ids: service?.inbound_ids ?? [] }));
  const { began, draft, set } = form;
  const inbounds = useQuery(queries.inbounds());
  const save = async () => {
    const body = { ...draft, name: draft.name.trim() };
    if (service === null) await data(api.POST('/api/services', { body: body as Schemas['ServiceCreate'] }));
    else {
      const changed = changes(began, body);
      if (changed.inbound_ids !== undefined) changed.inbound_ids = changedIds(began.inbound_ids, changed.inbound_ids, (await readService(service.id)).inbound_ids);
      await data(api.PUT('/api/services/{id}', { params: { path: { id: service.id } }, body: changed }));
    }
    await queries.hostsChanged();
  };
  return (
    <EditForm needs="services:write" form={form} act={service === null ? t('services.create') : undefined}
      ready={draft.name.trim() !== ''} save={save} onClose={onClose}>
      {(refused) => (
        <>
          <Field label={t('services.name')} problem={refused.name}>{(attributes) => <input {...attributes} className="input" autoFocus dir="auto" value={draft.name} onChange={(event) => set({ name: event.target.value })} />}</Field>
          <Loaded of={inbounds} rows={3}>
            {({ items, total }) => (
              <Choices legend={t('services.inbounds')} choices={inboundChoices(items, t('inbounds.absent'))} total={total} chosen={draft.inbound_ids} onChange={(inbound_ids) => set({ inbound_ids })}
                empty={t('services.no_inbounds')} />
            )}
          </Loaded>
        </>
      )}
    </EditForm>
  );
}
