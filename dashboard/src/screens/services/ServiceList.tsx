// Services: which inbounds the users of each reach.

import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { changes } from '../../api/changes.ts';
import { type Schemas, type Service, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Field, Loaded } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';

const changed = () => queries.queryClient.invalidateQueries({ queryKey: ['services'] });

export function ServiceList() {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  const read = useQuery(queries.services());
  const { drawer } = useSearch({ from: '/services' });
  const navigate = useNavigate({ from: '/services' });
  const show = (next?: string) => void navigate({ search: next === undefined ? {} : { drawer: next } });
  const edited = read.data?.items.find((service) => String(service.id) === drawer);
  const name = (service: Service) => service.name ?? `#${service.id}`;
  return (
    <>
      <div className="head">
        <h1>{t('nav.services')}{read.data && <span className="count">{f.number(read.data.total)}</span>}</h1>
        <Button icon="plus" look="primary" onClick={() => show('new')}>{t('services.new')}</Button>
      </div>
      <Loaded of={read}>
        {({ items }) => items.length === 0 ? (
          <div className="tablebox"><Empty title={t('services.none')} action={<Button icon="plus" look="primary" onClick={() => show('new')}>{t('services.new')}</Button>}>{t('services.none.body')}</Empty></div>
        ) : (
          <div className="tablebox">
            <table className="list">
              <caption className="hidden">{t('nav.services')}</caption>
              <thead><tr><th scope="col">{t('services.name')}</th><th scope="col" className="end">{t('services.inbounds')}</th><th scope="col" className="end">{t('nav.users')}</th><th scope="col"><span className="hidden">{t('actions')}</span></th></tr></thead>
              <tbody>
                {items.map((service) => (
                  <tr key={service.id}>
                    <td><bdi>{name(service)}</bdi></td>
                    <td className="end">{f.number(service.inbound_ids.length)}</td>
                    <td className="end">{f.number(service.user_ids.length)}</td>
                    <td className="end">
                      <ActionMenu label={t('actions.of', { name: name(service) })} actions={[
                        { id: 'edit', label: t('edit'), icon: 'edit', run: () => show(String(service.id)) },
                        { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => ask({ title: t('services.delete', { name: name(service) }), body: t('services.delete.body'), act: t('services.delete', { name: name(service) }), danger: true, done: t('act.delete.done'),
                          run: () => data(api.DELETE('/api/services/{id}', { params: { path: { id: service.id } } })).then(changed) }) },
                      ]} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      {drawer === 'new' && <ServiceEditor service={null} onClose={() => show()} />}
      {edited && <ServiceEditor key={edited.id} service={edited} onClose={() => show()} />}
    </>
  );
}

function ServiceEditor({ service, onClose }: { service: Service | null; onClose: () => void }) {
  const { t } = useI18n();
  const [began] = useState({ name: service?.name ?? '', inbound_ids: service?.inbound_ids ?? [] });
  const [name, setName] = useState(began.name);
  const [chosen, setChosen] = useState<number[]>(began.inbound_ids);
  const inbounds = useQuery({ queryKey: ['inbounds'], queryFn: ({ signal }) => data(api.GET('/api/inbounds', { params: { query: { size: 100 } }, signal })) });
  const save = async () => {
    const body = { name: name.trim(), inbound_ids: chosen };
    if (service === null) await data(api.POST('/api/services', { body: body as Schemas['ServiceCreate'] }));
    else await data(api.PUT('/api/services/{id}', { params: { path: { id: service.id } }, body: changes(began, body) }));
    await changed();
  };
  return (
    <EditDrawer title={service === null ? t('services.new') : t('services.edit', { name: service.name ?? `#${service.id}` })} act={service === null ? t('services.create') : undefined} ready={name.trim() !== ''} save={save} onClose={onClose}>
      {(refused) => (
        <>
          <Field label={t('services.name')} problem={refused.name}>{(attributes) => <input {...attributes} className="input" autoFocus dir="auto" value={name} onChange={(event) => setName(event.target.value)} />}</Field>
          <fieldset>
            <legend>{t('services.inbounds')}</legend>
            <Loaded of={inbounds} rows={3}>
              {(page) => page.items.length === 0 ? <p className="soft">{t('services.no_inbounds')}</p> : page.items.map((inbound) => (
                <label key={inbound.id} className="option">
                  <input type="checkbox" checked={chosen.includes(inbound.id)} onChange={() => setChosen(chosen.includes(inbound.id) ? chosen.filter((id) => id !== inbound.id) : [...chosen, inbound.id])} />
                  <span><bdi>{inbound.tag}</bdi> <span className="soft"><bdi dir="ltr">{inbound.protocol}</bdi> · <bdi>{inbound.node.name}</bdi></span></span>
                </label>
              ))}
            </Loaded>
          </fieldset>
        </>
      )}
    </EditDrawer>
  );
}
