// The engine of a node whose log or configuration is shown; it is in the URL.

import { useNavigate, useSearch } from '@tanstack/react-router';
import type { PanelNode } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose } from '../../ui/basics.tsx';

/** The chosen engine, or the node's first; undefined if the node has reported none. */
export function useEngine(node: PanelNode): string | undefined {
  const { engine } = useSearch({ from: '/nodes/$id/$tab' });
  return node.backends.find((one) => one.name === engine)?.name ?? node.backends[0]?.name;
}

export function EngineChoice({ node, engine }: { node: PanelNode; engine: string }) {
  const { t } = useI18n();
  const navigate = useNavigate({ from: '/nodes/$id/$tab' });
  return (
    <span className="pick">
      <Choose aria-label={t('nodes.engine')} value={engine} onChange={(event) => void navigate({ search: (now) => ({ ...now, engine: event.target.value }) })}>
        {node.backends.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
      </Choose>
    </span>
  );
}

export function NoEngine() {
  const { t } = useI18n();
  return <p className="soft">{t('nodes.no_engines')}</p>;
}
