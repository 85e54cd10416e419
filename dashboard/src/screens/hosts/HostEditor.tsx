// Creates, duplicates or changes a host, beside what apps would get of it. Loaded when it is first opened.

import { useQuery } from '@tanstack/react-query';
import { type Host, type Inbound, type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Field, Loaded, Problem, Segments, Waiting } from '../../ui/basics.tsx';
import { Choices } from '../../ui/Choices.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { Icon } from '../../ui/icons.tsx';
import { Drawer } from '../../ui/overlays.tsx';
import { type Draft, type FlagName, type TextName, bodyOf, changedParts, draftOf } from './draft.ts';
import { type FieldSpec, NEEDS_TLS, PROTOCOLS, aboutOf, inherited, sentDraft, shownFields } from './fields.ts';
import { Preview, usePreview } from './Preview.tsx';

/** `which`: `new`, `new-INBOUND`, `copy-HOST` or the id of a host. */
export default function HostEditor({ which, onClose }: { which: string; onClose: () => void }) {
  const { t } = useI18n();
  const [kind, number] = which.startsWith('new') ? ['new', Number(which.slice(4))] : which.startsWith('copy-') ? ['copy', Number(which.slice(5))] : ['edit', Number(which)];
  const read = useQuery({ ...queries.host(number), enabled: kind !== 'new', refetchOnWindowFocus: false, staleTime: 0 });
  const inbounds = useQuery(queries.inbounds());
  const hosts = useQuery(queries.hosts());
  const title = kind === 'edit' ? t('hosts.edit', { name: read.data?.remark ?? which }) : kind === 'copy' ? t('hosts.duplicate') : t('hosts.new');
  const ready = inbounds.data !== undefined && hosts.data !== undefined && (kind === 'new' || (read.data !== undefined && read.isFetchedAfterMount));
  const failed = [read, inbounds, hosts].find((one) => one.isError && one.data === undefined);
  const start: Partial<Host> = kind === 'new' ? { inbound_id: number > 0 ? number : null, universal: true, protocol: 'vless', network: 'tcp' } : (read.data ?? {});
  return (
    <Drawer title={title} name={title} onClose={onClose} wide>
      {!ready ? <div className="body">{failed ? <Problem error={failed.error} retry={() => void failed.refetch()} /> : <Waiting />}</div> : (
        <Form which={which} start={start} stored={kind === 'edit' ? (read.data ?? null) : null} inbounds={inbounds.data.items} hosts={hosts.data.items} onClose={onClose} />
      )}
    </Drawer>
  );
}

/** What the browser does not store of a form that is not saved. */
const SECRETS = ['uuid', 'password', 'obfs_password'] as const;
const SECTIONS = ['account', 'transport', 'security', 'protocol', 'xhttp', 'mux', 'fragment', 'masks'] as const;
/** What few need is folded, unless something in it is set. */
const FOLDED: readonly string[] = ['xhttp', 'mux', 'fragment', 'masks'];

function Form({ which, start, stored, inbounds, hosts, onClose }: { which: string; start: Partial<Host>; stored: Host | null; inbounds: Inbound[]; hosts: Host[]; onClose: () => void }) {
  const { t } = useI18n();
  const services = useQuery(queries.services());
  const form = useForm(`host ${which}`, () => draftOf(start), SECRETS);
  const { began, draft, set } = form;
  const from = inherited(inbounds.find((inbound) => inbound.id === draft.inbound));
  const about = aboutOf(draft, from);
  const fields = shownFields(draft, began, about);
  const body = bodyOf(sentDraft(draft, began, fields));
  const preview = usePreview(draft.remark.trim() === '' || draft.address.trim() === '' ? null : { ...stored, ...body } as Schemas['HostBody'], draft.inbound, stored?.id);
  const save = async () => {
    if (stored !== null) {
      const path = { id: stored.id };
      // A change replaces the whole host: what others changed since it was read is read again and stays.
      const now = await data(api.GET('/api/inbounds/hosts/{id}', { params: { path } }));
      await data(api.PUT('/api/inbounds/hosts/{id}', { params: { path }, body: { ...now, ...changedParts(bodyOf(began), body) } }));
    } else if (draft.inbound === null) await data(api.POST('/api/inbounds/hosts', { body }));
    else await data(api.POST('/api/inbounds/{id}/hosts', { params: { path: { id: draft.inbound } }, body }));
    await queries.hostsChanged();
  };
  const setProtocol = (protocol: string) => set({ protocol, ...(NEEDS_TLS.includes(protocol) ? { security: 'tls' } : {}) });
  return (
    <EditForm needs="hosts:write" form={form} act={stored === null ? t('hosts.create') : undefined} ready={draft.remark.trim() !== '' && draft.address.trim() !== ''} save={save} onClose={onClose}>
      {(refused) => {
        const known = { ...preview.refused, ...refused };
        // In errors, settings of multiplexing have the names that they have in its object.
        const problemOf = (name: string) => known[name] ?? (name.startsWith('mux_') && name !== 'mux_protocol' ? known[name.slice(4)] : undefined);
        const typed = (name: TextName, label: string, extra: { hint?: string; placeholder?: string; number?: boolean; focus?: boolean } = {}) => (
          <Field key={name} label={label} hint={extra.hint} problem={problemOf(name)}>
            {(attributes) => <input {...attributes} className="input" dir={name === 'remark' ? 'auto' : 'ltr'} autoFocus={extra.focus} autoComplete="off" autoCapitalize="none" spellCheck={false} inputMode={extra.number ? 'numeric' : undefined} placeholder={extra.placeholder} value={draft[name]} onChange={(event) => set({ [name]: event.target.value })} />}
          </Field>
        );
        return (
          <div className="editor">
            <div className="stack" style={{ gap: 20 }}>
              <div className="pair">
                <Field label={t('hosts.inbound')} hint={stored === null ? undefined : t('hosts.inbound.fixed')}>
                  {(attributes) => (
                    <Choose {...attributes} disabled={stored !== null} value={draft.inbound ?? ''} onChange={(event) => set({ inbound: event.target.value === '' ? null : Number(event.target.value) })}>
                      <option value="">{t('hosts.no_inbound')}</option>
                      {[...new Set(inbounds.map((inbound) => inbound.node.name))].sort().map((node) => (
                        <optgroup key={node} label={node}>
                          {inbounds.filter((inbound) => inbound.node.name === node).map((inbound) => <option key={inbound.id} value={inbound.id}>{inbound.tag} ({inbound.protocol})</option>)}
                        </optgroup>
                      ))}
                    </Choose>
                  )}
                </Field>
                {draft.inbound === null ? (
                  <Field label={t('inbounds.protocol')} problem={known.protocol}>
                    {(attributes) => (
                      <Choose {...attributes} value={draft.protocol} onChange={(event) => setProtocol(event.target.value)}>
                        {!(PROTOCOLS as readonly string[]).includes(draft.protocol) && <option>{draft.protocol}</option>}
                        {PROTOCOLS.map((protocol) => <option key={protocol}>{protocol}</option>)}
                      </Choose>
                    )}
                  </Field>
                ) : <div className="field"><span className="label">{t('inbounds.protocol')}</span><p className="fixed"><bdi dir="ltr">{[about.protocol, about.network, about.security].join(' · ')}</bdi></p></div>}
              </div>
              {typed('remark', t('hosts.remark'), { hint: t('hosts.remark.hint'), focus: true })}
              <div className="pair">
                {typed('address', t('hosts.address'))}
                {typed('port', t('hosts.port'), { number: true, placeholder: from.port })}
              </div>
              <Variables />
              {draft.inbound === null && (
                <div className="field">
                  <span className="label">{t('hosts.audience')}</span>
                  <Segments name="audience" label={t('hosts.audience')} value={draft.universal ? 'all' : 'services'} onChange={(next) => set({ universal: next === 'all' })} choices={[['all', t('hosts.for_all')], ['services', t('hosts.for_services')]]} />
                  {!draft.universal && (
                    <Loaded of={services} rows={2}>
                      {({ items, total }) => (
                        <Choices legend={t('nav.services')} choices={items.map((service) => ({ id: service.id, name: service.name ?? `#${service.id}` }))} total={total} chosen={draft.services} onChange={(chosen) => set({ services: chosen })}
                          empty={t('services.none')} hint={draft.services.length === 0 ? t('hosts.for_services.none') : undefined} />
                      )}
                    </Loaded>
                  )}
                </div>
              )}
              {SECTIONS.map((section) => {
                const inside = fields.filter((field) => field.section === section);
                if (inside.length === 0) return null;
                const content = inside.map((field) => <HostField key={field.name} field={field} draft={draft} set={set} problem={problemOf(field.name)} placeholder={field.name in from ? from[field.name as 'sni'] : undefined} />);
                const isSet = inside.some(({ name }) => (typeof began[name] === 'boolean' ? began[name] : began[name] !== '') || problemOf(name) !== undefined);
                if (FOLDED.includes(section)) return <details key={section} className="more" open={isSet || undefined}><summary>{t(`hosts.section.${section}`)}</summary><div className="fieldset">{content}</div></details>;
                return <fieldset key={section}><legend>{t(`hosts.section.${section}`)}</legend><div className="fieldset">{content}</div></fieldset>;
              })}
              {about.protocol !== '' && <Noises draft={draft} set={set} refused={known} />}
              <Chain draft={draft} set={set} hosts={hosts.filter((host) => host.id !== stored?.id)} problem={known.chain_ids} />
              {typed('weight', t('hosts.weight'), { number: true, hint: t('hosts.weight.hint') })}
            </div>
            <Preview state={preview} />
          </div>
        );
      }}
    </EditForm>
  );
}

function HostField({ field, draft, set, problem, placeholder }: { field: FieldSpec; draft: Draft; set: (next: Partial<Draft>) => void; problem?: string; placeholder?: string }) {
  const { t } = useI18n();
  const label = field.term ?? t(field.label);
  const hint = field.hint && t(field.hint);
  if (field.kind === 'flag') {
    const name: FlagName = field.name;
    return (
      <label className="option">
        <input type="checkbox" checked={draft[name]} onChange={(event) => set({ [name]: event.target.checked })} />
        <span>{label}{hint && <span className="soft small" style={{ display: 'block' }}>{hint}</span>}</span>
      </label>
    );
  }
  const { name } = field;
  const value = draft[name];
  const change = (next: string) => set({ [name]: next });
  return (
    <Field label={label} hint={hint} problem={problem}>
      {(attributes) => {
        if (field.kind === 'choice') {
          return (
            <Choose {...attributes} value={value} onChange={(event) => change(event.target.value)}>
              {!field.required && <option value="">{t('hosts.not_set')}</option>}
              {value !== '' && !field.choices.includes(value) && <option>{value}</option>}
              {field.choices.map((choice) => <option key={choice} value={choice}>{choice === 'inbound_default' ? t(draft.inbound === null ? 'hosts.security.none' : 'hosts.security.inbound') : choice}</option>)}
            </Choose>
          );
        }
        const common = { ...attributes, className: 'input', dir: 'ltr', spellCheck: false, autoComplete: 'off', value, placeholder } as const;
        if (field.kind === 'lines' || field.kind === 'json') return <textarea {...common} className="input mono" onChange={(event) => change(event.target.value)} />;
        return <input {...common} autoCapitalize="none" inputMode={field.kind === 'number' ? 'numeric' : undefined} onChange={(event) => change(event.target.value)} />;
      }}
    </Field>
  );
}

const VARIABLES = ['SERVER_IP', 'USERNAME', 'DATA_USAGE', 'DATA_LIMIT', 'DATA_LEFT', 'DAYS_LEFT', 'EXPIRE_DATE', 'JALALI_EXPIRE_DATE', 'TIME_LEFT', 'STATUS_EMOJI', 'PROTOCOL', 'TRANSPORT'];

function Variables() {
  const { t } = useI18n();
  return (
    <details className="more">
      <summary>{t('hosts.variables')}</summary>
      <p className="small soft" style={{ marginBlockEnd: 6 }}>{t('hosts.variables.hint')}</p>
      <p className="row wrap" dir="ltr" style={{ gap: 6 }}>{VARIABLES.map((name) => <code key={name}>{`{${name}}`}</code>)}</p>
    </details>
  );
}

function Noises({ draft, set, refused }: { draft: Draft; set: (next: Partial<Draft>) => void; refused: Record<string, string> }) {
  const { t } = useI18n();
  if (!['vless', 'vmess', 'trojan'].includes(draft.protocol) && draft.inbound === null && draft.noise.length === 0) return null;
  const change = (index: number, next: Partial<Draft['noise'][number]>) => set({ noise: draft.noise.map((one, at) => (at === index ? { ...one, ...next } : one)) });
  return (
    <details className="more" open={draft.noise.length > 0 || undefined}>
      <summary>{t('hosts.section.noise')}</summary>
      <ul className="stack">
        {draft.noise.map((noise, index) => (
          <li key={index} className="row wrap">
            <span style={{ flex: '0 0 110px' }}>
              <Choose aria-label={t('hosts.noise.type', { count: index + 1 })} value={noise.type} onChange={(event) => change(index, { type: event.target.value as typeof noise.type })}>
                {['rand', 'str', 'base64'].map((kind) => <option key={kind}>{kind}</option>)}
              </Choose>
            </span>
            <input className="input" style={{ flex: '1 1 100px', inlineSize: 'auto' }} dir="ltr" aria-label={t('hosts.noise.packet', { count: index + 1 })} placeholder="10-20" value={noise.packet} onChange={(event) => change(index, { packet: event.target.value })} />
            <input className="input" style={{ flex: '1 1 80px', inlineSize: 'auto' }} dir="ltr" aria-label={t('hosts.noise.delay', { count: index + 1 })} placeholder="5-10" value={noise.delay} onChange={(event) => change(index, { delay: event.target.value })} />
            <Button icon="trash" look="quiet" label={t('hosts.noise.remove', { count: index + 1 })} onClick={() => set({ noise: draft.noise.filter((_, at) => at !== index) })} />
          </li>
        ))}
      </ul>
      {(refused.packet ?? refused.delay) !== undefined && <p className="problem" role="alert"><bdi>{refused.packet ?? refused.delay}</bdi></p>}
      <Button icon="plus" onClick={() => set({ noise: [...draft.noise, { type: 'rand', packet: '10-20', delay: '10-16' }] })}>{t('hosts.noise.add')}</Button>
    </details>
  );
}

/** Hosts that a connection passes after this one, in their order. */
function Chain({ draft, set, hosts, problem }: { draft: Draft; set: (next: Partial<Draft>) => void; hosts: Host[]; problem?: string }) {
  const { t } = useI18n();
  const nameOf = (id: number) => hosts.find((host) => host.id === id)?.remark ?? `#${id}`;
  const move = (index: number, by: number) => {
    const chain = [...draft.chain];
    const [id] = chain.splice(index, 1);
    if (id !== undefined) chain.splice(index + by, 0, id);
    set({ chain });
  };
  return (
    <details className="more" open={draft.chain.length > 0 || undefined}>
      <summary>{t('hosts.section.chain')}</summary>
      <p className="small soft">{t('hosts.chain.hint')}</p>
      <ol className="lines">
        {draft.chain.map((id, index) => (
          <li key={id}>
            <Icon name="next" />
            <bdi className="grow">{nameOf(id)}</bdi>
            <Button icon="up" look="quiet" label={t('hosts.move_up', { name: nameOf(id) })} disabled={index === 0} onClick={() => move(index, -1)} />
            <Button icon="down" look="quiet" label={t('hosts.move_down', { name: nameOf(id) })} disabled={index === draft.chain.length - 1} onClick={() => move(index, 1)} />
            <Button icon="trash" look="quiet" label={t('hosts.chain.remove', { name: nameOf(id) })} onClick={() => set({ chain: draft.chain.filter((other) => other !== id) })} />
          </li>
        ))}
      </ol>
      <Field label={t('hosts.chain.add')} problem={problem}>
        {(attributes) => (
          <Choose {...attributes} value="" onChange={(event) => { if (event.target.value !== '') set({ chain: [...draft.chain, Number(event.target.value)] }); }}>
            <option value="">—</option>
            {hosts.filter((host) => !draft.chain.includes(host.id)).map((host) => <option key={host.id} value={host.id}>{host.remark} ({host.address})</option>)}
          </Choose>
        )}
      </Field>
    </details>
  );
}
