// Asks before a change of many users: how many, by what, and what follows; shows how far it is.

import { useQuery } from '@tanstack/react-query';
import { useReducer, useState } from 'react';
import * as queries from '../../api/queries.ts';
import { numberOf } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { AmountField } from '../../ui/AmountField.tsx';
import { Choose, Field, Loaded, Meter } from '../../ui/basics.tsx';
import { FormDialog } from '../../ui/FormDialog.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { SIZE, type Unit } from '../../ui/size.ts';
import { type BulkAct, BulkRun, type BulkValues, type Selection } from './bulk.ts';
import { inDays } from './days.ts';

const DAY = 86_400;
/** As the panel checks them: ten years, 1 PiB. */
const MOST_DAYS = 3_650;
const MOST_BYTES = 2 ** 50;

interface BulkProps {
  /** `delete_expired` asks for how long users have been expired. */
  act: BulkAct | 'delete_expired';
  selection: Selection;
  onDone: () => void;
  onClose: () => void;
}

/** What is typed or chosen, for the act that needs it. */
interface Draft { days: string; amount: string; unit: Unit; owner: string; service: string }

function valuesOf(act: BulkAct, draft: Draft): BulkValues | null {
  const days = numberOf(draft.days);
  const bytes = Math.round(numberOf(draft.amount) * SIZE[draft.unit]);
  switch (act) {
    case 'extend': return days > 0 && days <= MOST_DAYS ? { seconds: Math.max(1, Math.round(days * DAY)) } : null;
    case 'add_data': return bytes >= 1 && bytes <= MOST_BYTES ? { bytes } : null;
    case 'set_owner': return draft.owner === '' ? null : { admin_username: draft.owner };
    case 'add_service': case 'remove_service': return draft.service === '' ? null : { service_id: Number(draft.service) };
    default: return {};
  }
}

export function BulkDialog({ act: asked, selection: given, onDone, onClose }: BulkProps) {
  const { t, f } = useI18n();
  const { say } = useOverlays();
  const act = asked === 'delete_expired' ? 'delete' : asked;
  const [draft, setDraft] = useState<Draft>({ days: asked === 'delete_expired' ? '0' : '30', amount: '10', unit: 'GB', owner: '', service: '' });
  const [run, setRun] = useState<BulkRun | null>(null);
  const [, advance] = useReducer((parts: number) => parts + 1, 0);
  const since = numberOf(draft.days);
  const selection: Selection = asked === 'delete_expired' ? { filter: { ...('filter' in given ? given.filter : {}), expired: true, ...(since > 0 ? { expires_before: inDays(-since) } : {}) } } : given;
  // Counted when it is asked: what the list has shown may be old.
  const matching = useQuery({ ...queries.users({ ...('filter' in selection ? selection.filter : {}), page: 1, size: 1 }), enabled: 'filter' in selection, staleTime: 0, refetchInterval: false });
  const count = 'ids' in selection ? selection.ids.length : matching.isPlaceholderData ? undefined : matching.data?.total;
  const values = valuesOf(act, draft);
  const title = count === undefined ? t('loading') : t(`act.${act}.many`, { count });
  const wrong = asked === 'delete_expired' && !(since >= 0 && since <= MOST_DAYS);
  const work = async () => {
    const current = run ?? new BulkRun(selection);
    setRun(current);
    try {
      await current.run(act, values ?? {}, advance);
    } finally {
      await queries.usersChanged();
    }
    say(current.changed === current.matched ? t('bulk.done', { count: current.changed }) : t('bulk.done_some', { count: current.changed, rest: current.matched - current.changed }));
    onDone();
  };
  const set = (next: Partial<Draft>) => setDraft({ ...draft, ...next });
  return (
    <FormDialog title={title} act={title} danger={act === 'delete' || act === 'revoke'} ready={values !== null && !wrong && count !== undefined && count > 0}
      run={work} onStop={() => run?.stop()} onClose={() => { if (run !== null) onDone(); onClose(); }}>
      {(refused, busy) => (
        <>
          <p>{t(`act.${act}.body`)}</p>
          {'filter' in selection && <p className="soft">{Object.keys(selection.filter).length === 0 ? t('bulk.all') : t('bulk.matching')}</p>}
          {matching.isError && <Loaded of={{ ...matching, data: undefined }}>{() => null}</Loaded>}
          <fieldset className="stack" disabled={run !== null}>
            <legend className="hidden">{title}</legend>
            <Inputs asked={asked} draft={draft} set={set} refused={refused} />
          </fieldset>
          {run !== null && count !== undefined && (
            <div role="status">
              <p>{t('bulk.progress', { count: Math.max(count, run.matched), done: run.matched })}</p>
              {busy && <Meter part={run.matched / Math.max(1, count)} />}
              {!busy && run.matched > 0 && <p className="soft">{t('bulk.rest', { done: f.number(run.matched) })}</p>}
            </div>
          )}
        </>
      )}
    </FormDialog>
  );
}

function Inputs({ asked, draft, set, refused }: { asked: BulkProps['act']; draft: Draft; set: (next: Partial<Draft>) => void; refused: Record<string, string> }) {
  const { t } = useI18n();
  const decimal = { className: 'input', inputMode: 'decimal', autoComplete: 'off' } as const;
  switch (asked) {
    case 'delete_expired':
      return <Field label={t('bulk.expired_for')}>{(attributes) => <input {...attributes} {...decimal} value={draft.days} onChange={(event) => set({ days: event.target.value })} />}</Field>;
    case 'extend':
      return <Field label={t('bulk.days')} problem={refused.seconds}>{(attributes) => <input {...attributes} {...decimal} autoFocus value={draft.days} onChange={(event) => set({ days: event.target.value })} />}</Field>;
    case 'add_data':
      return (
        <AmountField label={t('bulk.amount')} problem={refused.bytes} autoFocus amount={draft.amount} unit={draft.unit}
          onAmount={(amount) => set({ amount })} onUnit={(unit) => set({ unit })} />
      );
    case 'set_owner': return <Owner value={draft.owner} onChange={(owner) => set({ owner })} />;
    case 'add_service': case 'remove_service': return <Service value={draft.service} onChange={(service) => set({ service })} />;
    default: return null;
  }
}

function Owner({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { t } = useI18n();
  const admins = useQuery(queries.admins());
  return (
    <Loaded of={admins} rows={1}>
      {({ items }) => (
        <Field label={t('column.owner')}>
          {(attributes) => (
            <Choose {...attributes} autoFocus value={value} onChange={(event) => onChange(event.target.value)}>
              <option value="">—</option>
              {items.map((admin) => <option key={admin.id} value={admin.username}>{admin.username}</option>)}
            </Choose>
          )}
        </Field>
      )}
    </Loaded>
  );
}

function Service({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { t } = useI18n();
  const services = useQuery(queries.services());
  return (
    <Loaded of={services} rows={1}>
      {({ items }) => (
        <Field label={t('bulk.service')}>
          {(attributes) => (
            <Choose {...attributes} autoFocus value={value} onChange={(event) => onChange(event.target.value)}>
              <option value="">—</option>
              {items.map((service) => <option key={service.id} value={service.id}>{service.name ?? `#${service.id}`}</option>)}
            </Choose>
          )}
        </Field>
      )}
    </Loaded>
  );
}
