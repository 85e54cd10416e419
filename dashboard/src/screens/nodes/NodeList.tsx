// The list of nodes with what is wrong with each.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Status } from '../../ui/basics.tsx';
import { ListHead, ListTable, ListTools, PAGE_SIZE, useListSearch } from '../../ui/list.tsx';
import { NodeEditor } from './NodeEditor.tsx';
import { nodeTone } from './tone.ts';

export function NodeList() {
  const { t } = useI18n();
  const { search, show } = useListSearch();
  const read = useQuery(queries.nodePage({ ...(search.q ? { name: search.q } : {}), page: search.page ?? 1, size: PAGE_SIZE }));
  const create = <Button needs="nodes:write" icon="plus" look="primary" onClick={() => show('new')}>{t('nodes.new')}</Button>;
  return (
    <>
      <ListHead title={t('nav.nodes')} total={read.data?.total}>{create}</ListHead>
      <ListTools label={t('nodes.search')} />
      <ListTable of={read} caption={t('nav.nodes')} look="cards" empty={<Empty title={t('nodes.none')} action={create}>{t('nodes.none.body')}</Empty>} columns={[
        { title: t('nodes.name'), place: 'first', cell: (node) => <Link to="/nodes/$id" params={{ id: String(node.id) }}><bdi>{node.name}</bdi></Link> },
        { title: t('user.status'), place: 'second', cell: (node) => <Status tone={nodeTone(node)}>{t(`node.${node.status}`)}</Status> },
        { title: t('nodes.address'), cell: (node) => <><code>{node.address}:{node.port}</code>{node.message && <bdi dir="ltr" className="soft small" style={{ display: 'block', maxInlineSize: 460 }}>{node.message}</bdi>}</> },
        { title: t('nodes.engines'), cell: (node) => (
          <span className="row wrap">
            {node.backends.map((engine) => <Status key={engine.name} tone={engine.running ? 'good' : 'bad'}><bdi>{engine.name}</bdi> <bdi className="soft" dir="ltr">{engine.version}</bdi></Status>)}
            {node.backends.length === 0 && <span className="soft">—</span>}
          </span>
        ) },
      ]} />
      {search.drawer === 'new' && <NodeEditor node={null} onClose={() => show()} />}
    </>
  );
}
