// Adds or changes a node; says what the node needs from the panel.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { changes } from '../../api/changes.ts';
import { type PanelNode, type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { numberOf } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field, Loaded } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';
import { CopyButton } from '../../ui/share.tsx';

export function NodeEditor({ node, onClose }: { node: PanelNode | null; onClose: () => void }) {
  const { t } = useI18n();
  const [began] = useState({ name: node?.name ?? '', address: node?.address ?? '', port: node?.port ?? 53042, usage_coefficient: node?.usage_coefficient ?? 1, connection_backend: node?.connection_backend ?? 'grpclib' });
  const [name, setName] = useState(began.name);
  const [address, setAddress] = useState(began.address);
  const [port, setPort] = useState(String(began.port));
  const [coefficient, setCoefficient] = useState(String(began.usage_coefficient));
  const [kind, setKind] = useState(began.connection_backend);
  // The API takes 0 for a new node, and for another one as no change.
  const mayBeZero = node === null || node.usage_coefficient === 0;
  const counts = numberOf(coefficient) > 0 || (mayBeZero && numberOf(coefficient) === 0);
  const body = { name: name.trim(), address: address.trim(), port: numberOf(port), usage_coefficient: numberOf(coefficient), connection_backend: kind };
  const save = async () => {
    if (node === null) await data(api.POST('/api/nodes', { body: body as Schemas['NodeCreate'] }));
    else await data(api.PUT('/api/nodes/{node_id}', { params: { path: { node_id: node.id } }, body: changes(began, body) }));
    await queries.queryClient.invalidateQueries({ queryKey: ['nodes'] });
  };
  return (
    <EditDrawer changed={Object.keys(changes(began, body)).length > 0} title={node === null ? t('nodes.new') : t('nodes.edit', { name: node.name })} act={node === null ? t('nodes.new') : undefined} ready={name.trim() !== '' && address.trim() !== '' && Number.isInteger(numberOf(port)) && counts} save={save} onClose={onClose}>
      {(refused) => (
        <>
          <Field label={t('nodes.name')} problem={refused.name}>{(attributes) => <input {...attributes} className="input" autoFocus dir="auto" value={name} onChange={(event) => setName(event.target.value)} />}</Field>
          <Field label={t('nodes.address')} problem={refused.address}>{(attributes) => <input {...attributes} className="input" dir="ltr" spellCheck={false} placeholder="192.0.2.7" value={address} onChange={(event) => setAddress(event.target.value)} />}</Field>
          <Field label={t('nodes.port')} problem={refused.port}>{(attributes) => <input {...attributes} className="input" dir="ltr" inputMode="numeric" value={port} onChange={(event) => setPort(event.target.value)} />}</Field>
          <Field label={t('nodes.kind')} hint={t('nodes.kind.hint')} problem={refused.connection_backend}>
            {(attributes) => (
              <Choose {...attributes} value={kind} onChange={(event) => setKind(event.target.value as typeof kind)}>
                <option value="grpclib">{t('nodes.kind.tls')}</option><option value="grpcio">{t('nodes.kind.plain')}</option>
              </Choose>
            )}
          </Field>
          <Field label={t('nodes.coefficient')} hint={t(mayBeZero ? 'nodes.coefficient_new' : 'nodes.coefficient_hint')} problem={refused.usage_coefficient ?? (counts || coefficient.trim() === '' ? undefined : t('problem.coefficient'))}>{(attributes) => <input {...attributes} className="input" dir="ltr" inputMode="decimal" value={coefficient} onChange={(event) => setCoefficient(event.target.value)} />}</Field>
          {node === null && kind !== 'grpcio' && <Certificate />}
        </>
      )}
    </EditDrawer>
  );
}

/** The command that gives a server the panel's certificate, the only one that its node program may accept. */
function joining(certificate: string): string {
  return `cat > client.pem <<'END'\n${certificate.trimEnd()}\nEND`;
}

/** How a server joins as a node: the panel's certificate in one command. */
export function Certificate() {
  const { t } = useI18n();
  const read = useQuery(queries.nodeSettings());
  return (
    <div className="field">
      <span className="label">{t('nodes.join')}</span>
      <Loaded of={read} rows={2}>
        {(settings) => (
          <>
            <p className="hint">{t('nodes.join_hint', { version: settings.min_node_version })}</p>
            <pre className="text" style={{ maxBlockSize: 140 }} tabIndex={0} aria-label={t('nodes.join')}>{joining(settings.certificate)}</pre>
            <span className="row wrap">
              <CopyButton look="" text={joining(settings.certificate)} label={t('nodes.join.copy')}>{t('nodes.join.copy')}</CopyButton>
              <CopyButton look="" text={settings.certificate} label={t('copy.certificate')}>{t('copy.certificate')}</CopyButton>
            </span>
          </>
        )}
      </Loaded>
    </div>
  );
}
