// The list of nodes with what is wrong with each.

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Loaded, Status } from '../../ui/basics.tsx';
import { ListHead, ListTools, NoMatch, PAGE_SIZE, Pages, useListSearch } from '../../ui/list.tsx';
import { NodeEditor } from './NodeEditor.tsx';
import { nodeTone } from './tone.ts';

export function NodeList() {
  const { t } = useI18n();
  const { search, show, onPage } = useListSearch();
  const read = useQuery(queries.nodePage({ ...(search.q ? { name: search.q } : {}), page: search.page ?? 1, size: PAGE_SIZE }));
  return (
    <>
      <ListHead title={t('nav.nodes')} total={read.data?.total}><Button icon="plus" look="primary" onClick={() => show('new')}>{t('nodes.new')}</Button></ListHead>
      <ListTools label={t('nodes.search')} />
      <Loaded of={read}>
        {({ items, page, pages }) => items.length === 0 ? (search.q ? <NoMatch /> : (
          <div className="tablebox"><Empty title={t('nodes.none')} action={<Button icon="plus" look="primary" onClick={() => show('new')}>{t('nodes.new')}</Button>}>{t('nodes.none.body')}</Empty></div>
        )) : (
          <>
          <div className="tablebox cards">
            <table className="list">
              <caption className="hidden">{t('nav.nodes')}</caption>
              <thead><tr><th scope="col">{t('nodes.name')}</th><th scope="col">{t('user.status')}</th><th scope="col">{t('nodes.address')}</th><th scope="col">{t('nodes.engines')}</th></tr></thead>
              <tbody>
                {items.map((node) => (
                  <tr key={node.id}>
                    <td className="first"><Link to="/nodes/$id" params={{ id: String(node.id) }}><bdi>{node.name}</bdi></Link></td>
                    <td className="second"><Status tone={nodeTone(node)}>{t(`node.${node.status}`)}</Status></td>
                    <td><code>{node.address}:{node.port}</code>{node.message && <bdi dir="ltr" className="soft small" style={{ display: 'block', maxInlineSize: 460 }}>{node.message}</bdi>}</td>
                    <td>
                      <span className="row wrap">
                        {node.backends.map((engine) => <Status key={engine.name} tone={engine.running ? 'good' : 'bad'}><bdi>{engine.name}</bdi> <bdi className="soft" dir="ltr">{engine.version}</bdi></Status>)}
                        {node.backends.length === 0 && <span className="soft">—</span>}
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {pages > 1 && <Pages page={page} pages={pages} onPage={onPage} />}
          </>
        )}
      </Loaded>
      {search.drawer === 'new' && <NodeEditor node={null} onClose={() => show()} />}
    </>
  );
}
