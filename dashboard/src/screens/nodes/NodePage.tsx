// The page of a node: its status and reason, its engines, its traffic, and what can be done to it.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type PanelNode, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Facts, Loaded, Notice, Panel, Segments, Status } from '../../ui/basics.tsx';
import { TrafficChart, days, hours } from '../../ui/chart.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { Certificate, NodeEditor } from './NodeEditor.tsx';
import { nodeTone } from './tone.ts';

export function NodePage() {
  const { t } = useI18n();
  const { id } = useParams({ from: '/nodes/$id' });
  const { drawer } = useSearch({ from: '/nodes/$id' });
  const navigate = useNavigate({ from: '/nodes/$id' });
  const node_id = Number(id);
  const read = useQuery({
    queryKey: ['nodes', node_id],
    queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}', { params: { path: { node_id } }, signal })),
    refetchInterval: 5_000,
  });
  const show = (next?: string) => void navigate({ search: next === undefined ? {} : { drawer: next } });
  return (
    <>
      <div className="head">
        <div className="row wrap">
          <Link to="/nodes" className="button quiet square" aria-label={t('nav.nodes')}><Icon name="back" /></Link>
          <h1><bdi>{read.data?.name ?? id}</bdi></h1>
          {read.data && <Status tone={nodeTone(read.data)}>{t(`node.${read.data.status}`)}</Status>}
        </div>
        {read.data && <Actions node={read.data} edit={() => show('edit')} />}
      </div>
      <Loaded of={read}>
        {(node) => (
          <>
            {node.message && <div style={{ marginBlockEnd: 16 }}><Notice tone={node.status === 'unhealthy' ? 'bad' : 'off'}><bdi dir="ltr">{node.message}</bdi></Notice></div>}
            <div className="twocol">
              <div className="stack" style={{ gap: 16 }}>
                <Engines node={node} />
                <Traffic node={node} />
              </div>
              <div className="stack" style={{ gap: 16 }}>
                <Panel title={t('user.about')}>
                  <Facts facts={[
                    [t('nodes.address'), <code key="address">{node.address}:{node.port}</code>],
                    [t('nodes.coefficient'), <bdi key="coefficient" dir="ltr">× {node.usage_coefficient}</bdi>],
                    [t('services.inbounds'), String(node.inbound_ids.length)],
                  ]} />
                </Panel>
                <div className="panel"><Certificate /></div>
              </div>
            </div>
            {drawer === 'edit' && <NodeEditor node={node} onClose={() => show()} />}
          </>
        )}
      </Loaded>
    </>
  );
}

function Actions({ node, edit }: { node: PanelNode; edit: () => void }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const navigate = useNavigate();
  const params = { params: { path: { node_id: node.id } } };
  const changed = () => queries.queryClient.invalidateQueries({ queryKey: ['nodes'] });
  const put = (status: 'healthy' | 'disabled') => data(api.PUT('/api/nodes/{node_id}', { ...params, body: { status } })).then(changed);
  return (
    <div className="row">
      <Button icon="edit" onClick={edit}>{t('edit')}</Button>
      <ActionMenu label={t('actions')} actions={[
        node.status === 'disabled'
          ? { id: 'enable', label: t('nodes.enable'), icon: 'check', run: () => void put('healthy') }
          : { id: 'disable', label: t('nodes.disable'), icon: 'close', run: () => ask({ title: t('nodes.disable.one', { name: node.name }), body: t('nodes.disable.body'), act: t('nodes.disable.one', { name: node.name }), run: () => put('disabled'), done: t('nodes.done') }) },
        { id: 'resync', label: t('nodes.resync'), icon: 'refresh', run: () => ask({ title: t('nodes.resync'), body: t('nodes.resync.body'), act: t('nodes.resync'), run: () => data(api.POST('/api/nodes/{node_id}/resync', params)), done: t('nodes.done') }) },
        { id: 'repin', label: t('nodes.repin'), icon: 'admins', run: () => ask({ title: t('nodes.repin'), body: t('nodes.repin.body'), act: t('nodes.repin'), danger: true, run: () => data(api.POST('/api/nodes/{node_id}/repin', params)).then(changed), done: t('nodes.done') }) },
        null,
        { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => ask({ title: t('nodes.delete', { name: node.name }), body: t('nodes.delete.body'), act: t('nodes.delete', { name: node.name }), danger: true, done: t('act.delete.done'),
          run: async () => { await data(api.DELETE('/api/nodes/{node_id}', params)); await navigate({ to: '/nodes', search: {} }); await changed(); } }) },
      ]} />
    </div>
  );
}

function Engines({ node }: { node: PanelNode }) {
  const { t } = useI18n();
  return (
    <Panel title={t('nodes.engines')}>
      {node.backends.length === 0 ? <p className="soft">{t('nodes.no_engines')}</p> : (
        <ul className="lines">
          {node.backends.map((engine) => (
            <li key={engine.name}>
              <span className="grow"><bdi>{engine.name}</bdi> <bdi className="soft" dir="ltr">{engine.backend_type} {engine.version}</bdi></span>
              <Status tone={engine.running ? 'good' : 'bad'}>{t(engine.running ? 'nodes.running' : 'nodes.stopped')}</Status>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Traffic({ node }: { node: PanelNode }) {
  const { t, f } = useI18n();
  const [range, setRange] = useState<'24h' | '30d'>('30d');
  const start = useMemo(() => {
    const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000;
    return new Date(range === '24h' ? hour - 23 * 3_600_000 : new Date(hour - 29 * 86_400_000).setHours(0, 0, 0, 0)).toISOString();
  }, [range]);
  const read = useQuery({
    queryKey: ['nodes', node.id, 'usage', start],
    queryFn: ({ signal }) => data(api.GET('/api/nodes/{node_id}/usage', { params: { path: { node_id: node.id }, query: { start } }, signal })),
    staleTime: 30_000,
  });
  return (
    <Panel title={t('traffic')} aside={<Segments name="node-range" label={t('range')} value={range} onChange={setRange} choices={[['24h', t('range.day')], ['30d', t('range.month')]]} />}>
      <Loaded of={read}>
        {(series) => (
          <>
            <p className="soft" style={{ marginBlockEnd: 12 }}>{t('total')}: {f.bytes(series.total)}</p>
            <TrafficChart bars={range === '24h' ? hours(series) : days(series)} byHour={range === '24h'} label={t('traffic')} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}
