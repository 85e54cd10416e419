// How a server joins as a node: one command with the panel's certificate and the node's port.

import { useQuery } from '@tanstack/react-query';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Loaded } from '../../ui/basics.tsx';
import { CopyButton } from '../../ui/share.tsx';
import { joinCommand } from './join.ts';

export function JoinNode({ port }: { port: number }) {
  const { t } = useI18n();
  const read = useQuery(queries.nodeSettings());
  return (
    <div className="field">
      <span className="label">{t('nodes.join')}</span>
      <Loaded of={read} rows={2}>
        {(settings) => {
          const command = joinCommand(settings.certificate, port);
          return (
            <>
              <p className="hint">{t('nodes.join_hint', { version: settings.min_node_version, port: String(port) })}</p>
              <pre className="text" style={{ maxBlockSize: 180 }} tabIndex={0} aria-label={t('nodes.join')}>{command}</pre>
              <span className="row wrap">
                <CopyButton look="" text={command} label={t('nodes.join.copy')}>{t('nodes.join.copy')}</CopyButton>
                <CopyButton look="" text={settings.certificate} label={t('copy.certificate')}>{t('copy.certificate')}</CopyButton>
              </span>
              <p className="hint">{t('nodes.join.own')}</p>
            </>
          );
        }}
      </Loaded>
    </div>
  );
}
