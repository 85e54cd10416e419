// The list of nodes with what is wrong with each.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Empty, Loaded, Status } from '../../ui/basics.tsx';
import { NodeEditor } from './NodeEditor.tsx';
import { nodeTone } from './tone.ts';

export function NodeList() {
  const { t, f } = useI18n();
  const read = useQuery(queries.nodes());
  const { drawer } = useSearch({ from: '/nodes' });
  const navigate = useNavigate({ from: '/nodes' });
  const show = (next?: string) => void navigate({ search: next === undefined ? {} : { drawer: next } });
  return (
    <>
      <div className="head">
        <h1>{t('nav.nodes')}{read.data && <span className="count">{f.number(read.data.total)}</span>}</h1>
        <Button icon="plus" look="primary" onClick={() => show('new')}>{t('nodes.new')}</Button>
      </div>
      <Loaded of={read}>
        {({ items }) => items.length === 0 ? (
          <div className="tablebox"><Empty title={t('nodes.none')} action={<Button icon="plus" look="primary" onClick={() => show('new')}>{t('nodes.new')}</Button>}>{t('nodes.none.body')}</Empty></div>
        ) : (
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
        )}
      </Loaded>
      {drawer === 'new' && <NodeEditor node={null} onClose={() => show()} />}
    </>
  );
}
