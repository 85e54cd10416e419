// Adds or changes a node; says what the node needs from the panel.

import { changes } from '../../api/changes.ts';
import { type PanelNode, type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { numberOf } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Choose, Field } from '../../ui/basics.tsx';
import { EditDrawer } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { JoinNode } from './JoinNode.tsx';

export function NodeEditor({ node, onClose }: { node: PanelNode | null; onClose: () => void }) {
  const { t } = useI18n();
  const form = useForm(`node ${node?.id ?? 'new'}`, () => ({
    name: node?.name ?? '', address: node?.address ?? '', port: String(node?.port ?? 53042), coefficient: String(node?.usage_coefficient ?? 1), kind: node?.connection_backend ?? 'grpclib',
  }));
  const { set } = form;
  const { name, address, port, coefficient, kind } = form.draft;
  // The API takes 0 for a new node, and for another one as no change.
  const mayBeZero = node === null || node.usage_coefficient === 0;
  const counts = numberOf(coefficient) > 0 || (mayBeZero && numberOf(coefficient) === 0);
  const bodyOf = (draft: typeof form.draft) =>
    ({ name: draft.name.trim(), address: draft.address.trim(), port: numberOf(draft.port), usage_coefficient: numberOf(draft.coefficient), connection_backend: draft.kind });
  const body = bodyOf(form.draft);
  const save = async () => {
    if (node === null) await data(api.POST('/api/nodes', { body: body as Schemas['NodeCreate'] }));
    else await data(api.PUT('/api/nodes/{node_id}', { params: { path: { node_id: node.id } }, body: changes(bodyOf(form.began), body) }));
    await queries.queryClient.invalidateQueries({ queryKey: ['nodes'] });
  };
  return (
    <EditDrawer needs="nodes:write" form={form} title={node === null ? t('nodes.new') : t('nodes.edit', { name: node.name })} act={node === null ? t('nodes.new') : undefined} ready={name.trim() !== '' && address.trim() !== '' && Number.isInteger(numberOf(port)) && counts} save={save} onClose={onClose}>
      {(refused) => (
        <>
          <Field label={t('nodes.name')} problem={refused.name}>{(attributes) => <input {...attributes} className="input" autoFocus dir="auto" value={name} onChange={(event) => set({ name: event.target.value })} />}</Field>
          <Field label={t('nodes.address')} problem={refused.address}>{(attributes) => <input {...attributes} className="input" dir="ltr" spellCheck={false} placeholder="192.0.2.7" value={address} onChange={(event) => set({ address: event.target.value })} />}</Field>
          <Field label={t('nodes.port')} problem={refused.port}>{(attributes) => <input {...attributes} className="input" dir="ltr" inputMode="numeric" value={port} onChange={(event) => set({ port: event.target.value })} />}</Field>
          <Field label={t('nodes.kind')} hint={t('nodes.kind.hint')} problem={refused.connection_backend}>
            {(attributes) => (
              <Choose {...attributes} value={kind} onChange={(event) => set({ kind: event.target.value as typeof kind })}>
                <option value="grpclib">{t('nodes.kind.tls')}</option><option value="grpcio">{t('nodes.kind.plain')}</option>
              </Choose>
            )}
          </Field>
          <Field label={t('nodes.coefficient')} hint={t(mayBeZero ? 'nodes.coefficient_new' : 'nodes.coefficient_hint')} problem={refused.usage_coefficient ?? (counts || coefficient.trim() === '' ? undefined : t('problem.coefficient'))}>{(attributes) => <input {...attributes} className="input" dir="ltr" inputMode="decimal" value={coefficient} onChange={(event) => set({ coefficient: event.target.value })} />}</Field>
          {node === null && kind !== 'grpcio' && <JoinNode port={Number.isInteger(numberOf(port)) ? numberOf(port) : 53042} />}
        </>
      )}
    </EditDrawer>
  );
}
