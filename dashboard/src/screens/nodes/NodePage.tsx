// The page of a node: status, live log, configuration and traffic, each under its own URL.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { type PanelNode, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Loaded, Status } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ActionMenu, useOverlays } from '../../ui/overlays.tsx';
import { resync } from './acts.ts';
import { NodeConfig } from './NodeConfig.tsx';
import { NodeEditor } from './NodeEditor.tsx';
import { NodeLog } from './NodeLog.tsx';
import { NodeStatus } from './NodeStatus.tsx';
import * as one from './queries.ts';
import { Statistics } from './Statistics.tsx';
import { nodeTone } from './tone.ts';

const TABS = ['status', 'log', 'config', 'traffic'] as const;

export function NodePage() {
  const { t } = useI18n();
  const { id, tab } = useParams({ from: '/nodes/$id/$tab' });
  const { drawer } = useSearch({ from: '/nodes/$id/$tab' });
  const navigate = useNavigate({ from: '/nodes/$id/$tab' });
  const read = useQuery(one.node(Number(id)));
  const show = (next?: string) => void navigate({ search: ({ drawer: _, ...rest }) => (next === undefined ? rest : { ...rest, drawer: next }) });
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
      <nav className="tabs" aria-label={t('nodes.views')}>
        {TABS.map((one) => (
          <Link key={one} to="/nodes/$id/$tab" params={{ id, tab: one }} search={({ engine }) => (engine === undefined ? {} : { engine })} activeOptions={{ includeSearch: false }}>{t(`nodes.tab.${one}`)}</Link>
        ))}
      </nav>
      <Loaded of={read}>
        {(node) => (
          <>
            {tab === 'log' ? <NodeLog key={node.id} node={node} />
              : tab === 'config' ? <NodeConfig key={node.id} node={node} />
              : tab === 'traffic' ? <Statistics node={node} />
              : <NodeStatus node={node} />}
            {drawer === 'edit' && <NodeEditor key={node.id} node={node} onClose={() => show()} />}
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
      <Button needs="nodes:write" icon="edit" onClick={edit}>{t('edit')}</Button>
      <ActionMenu needs="nodes:write" label={t('actions')} actions={[
        node.status === 'disabled'
          ? { id: 'enable', label: t('nodes.enable'), icon: 'check', run: () => ask({ title: t('nodes.enable.one', { name: node.name }), body: t('nodes.enable.body'), act: t('nodes.enable.one', { name: node.name }), run: () => put('healthy'), done: t('nodes.done') }) }
          : { id: 'disable', label: t('nodes.disable'), icon: 'close', run: () => ask({ title: t('nodes.disable.one', { name: node.name }), body: t('nodes.disable.body'), act: t('nodes.disable.one', { name: node.name }), run: () => put('disabled'), done: t('nodes.done') }) },
        { id: 'resync', label: t('nodes.resync'), icon: 'refresh', run: () => ask(resync(node.id, node.name, t)) },
        { id: 'repin', label: t('nodes.repin'), icon: 'admins', run: () => ask({ title: t('nodes.repin'), body: t('nodes.repin.body'), act: t('nodes.repin'), danger: true, run: () => data(api.POST('/api/nodes/{node_id}/repin', params)).then(changed), done: t('nodes.done') }) },
        null,
        { id: 'delete', label: t('act.delete'), icon: 'trash', bad: true, run: () => ask({ title: t('nodes.delete', { name: node.name }), body: t('nodes.delete.body'), act: t('nodes.delete', { name: node.name }), danger: true, done: t('act.delete.done'),
          run: async () => { await data(api.DELETE('/api/nodes/{node_id}', params)); await navigate({ to: '/nodes', search: {} }); await changed(); } }) },
      ]} />
    </div>
  );
}
