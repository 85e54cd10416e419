// Creates or changes a user, in a drawer. Loaded when it is first opened, with the calendar.

import { useQuery } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { changedIds, valueChanges } from '../../api/changes.ts';
import { type Schemas, type User, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { moment, numberOf } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { AmountField } from '../../ui/AmountField.tsx';
import { Button, Choose, Field, Loaded, Segments, readAgain } from '../../ui/basics.tsx';
import { Choices } from '../../ui/Choices.tsx';
import { DateField } from '../../ui/DateField.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { Drawer, useOverlays } from '../../ui/overlays.tsx';
import { SIZE, type Unit } from '../../ui/size.ts';

type Strategy = 'never' | 'fixed_date' | 'start_on_first_use';
const RESETS = ['no_reset', 'day', 'week', 'month', 'year'] as const;
type Reset = (typeof RESETS)[number];
const DAY = 86_400;
/** As the panel checks it: word characters of any script, with marks and joiners. */
const USERNAME = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]{3,32}$/u;

interface Draft {
  username: string;
  limit: string;
  unit: Unit;
  reset: Reset;
  strategy: Strategy;
  until: Date | null;
  days: string;
  services: number[];
  note: string;
}

function inThirtyDays(): Date {
  const at = new Date(Date.now() + 30 * DAY * 1000);
  at.setHours(23, 59, 0, 0);
  return at;
}

function draftOf(user: User | null): Draft {
  const limit = user?.data_limit ?? null;
  const unit: Unit = limit === null ? 'GB' : limit % SIZE.TB === 0 ? 'TB' : limit >= SIZE.GB || limit % SIZE.MB !== 0 ? 'GB' : 'MB';
  return {
    username: user?.username ?? '',
    limit: limit === null ? '' : String(Number((limit / SIZE[unit]).toFixed(3))),
    unit,
    reset: (user?.data_limit_reset_strategy as Reset | undefined) ?? 'no_reset',
    strategy: (user?.expire_strategy as Strategy | undefined) ?? 'fixed_date',
    until: user === null ? inThirtyDays() : user.expire_date ? moment(user.expire_date) : null,
    days: user?.usage_duration ? String(Number((user.usage_duration / DAY).toFixed(2))) : '30',
    services: user?.service_ids ?? [],
    note: user?.note ?? '',
  };
}

export default function UserEditor(props: { username: string | null; onClose: () => void; onSaved: (user: User, created: boolean) => void }) {
  const { t } = useI18n();
  const title = props.username === null ? t('users.new') : t('users.edit', { name: props.username });
  const read = useQuery({ ...queries.user(props.username ?? ''), enabled: props.username !== null, refetchInterval: false, refetchOnWindowFocus: false, staleTime: 0 });
  return (
    <Drawer title={title} name={title} onClose={props.onClose}>
      {props.username === null ? <Form user={null} {...props} /> : (
        <Loaded of={readAgain(read)}>{(user) => <Form key={user.id} user={user} {...props} />}</Loaded>
      )}
    </Drawer>
  );
}

function Form({ user, onClose, onSaved }: { user: User | null; onClose: () => void; onSaved: (user: User, created: boolean) => void }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const services = useQuery(queries.services());
  const form = useForm(`user ${user?.id ?? 'new'}`, () => draftOf(user));
  const { began, draft, set } = form;
  const [tried, setTried] = useState(false);
  const saved = useRef<User | null>(null);

  const limit = draft.limit.trim() === '' ? 0 : Math.round(numberOf(draft.limit) * SIZE[draft.unit]);
  const seconds = Math.round(numberOf(draft.days) * DAY);
  const problems: Partial<Record<'username' | 'limit' | 'until' | 'days', string>> = {};
  if (user === null && !USERNAME.test(draft.username)) problems.username = t('problem.username');
  if (!Number.isSafeInteger(limit) || limit < 0) problems.limit = t('problem.number');
  if (draft.strategy === 'fixed_date' && draft.until === null) problems.until = t('problem.date');
  if (draft.strategy === 'start_on_first_use' && !(seconds > 0)) problems.days = t('problem.days');
  const shown = tried ? problems : {};

  // What was added and removed here is applied to the services that the user has by now.
  const changedServices = async (username: string) => {
    if (!('services' in valueChanges(began, draft))) return {};
    const { service_ids } = await data(api.GET('/api/users/{username}', { params: { path: { username } } }));
    return { service_ids: changedIds(began.services, draft.services, service_ids) };
  };
  const save = async () => {
    const expiry = {
      expire_strategy: draft.strategy,
      expire_date: draft.strategy === 'fixed_date' ? (draft.until?.toISOString() ?? null) : null,
      usage_duration: draft.strategy === 'start_on_first_use' ? seconds : null,
      activation_deadline: draft.strategy === 'start_on_first_use' ? (user?.activation_deadline ?? null) : null,
    };
    const sameExpiry = draft.strategy === began.strategy && draft.until?.getTime() === began.until?.getTime() && draft.days === began.days;
    const result = user === null
      ? await data(api.POST('/api/users', {
          body: {
            username: draft.username.toLowerCase(), ...expiry, data_limit: limit, data_limit_reset_strategy: draft.reset,
            note: draft.note === '' ? null : draft.note, service_ids: draft.services,
          } as Schemas['UserCreate'],
        }))
      : await data(api.PUT('/api/users/{username}', {
          params: { path: { username: user.username } },
          body: {
            username: user.username,
            ...(sameExpiry ? {} : expiry),
            ...(draft.limit === began.limit && draft.unit === began.unit ? {} : { data_limit: limit }),
            ...(draft.reset === began.reset ? {} : { data_limit_reset_strategy: draft.reset }),
            ...(draft.note === began.note ? {} : { note: draft.note }),
            ...(await changedServices(user.username)),
          },
        }));
    await queries.usersChanged();
    saved.current = result;
  };
  const done = () => {
    if (saved.current === null) return;
    say(user === null ? t('users.created', { name: saved.current.username }) : t('saved'));
    onSaved(saved.current, user === null);
  };
  // Wrong values are shown, not sent.
  const check = () => {
    setTried(true);
    return Object.keys(problems).length === 0;
  };
  return (
    <EditForm act={user === null ? t('users.create') : undefined} form={form} check={check} save={save} onSaved={done} onClose={onClose}>
      {(refused) => (
      <>
        {user === null && (
          <Field label={t('user.name')} hint={t('hint.username')} problem={shown.username ?? refused.username}>
            {(attributes) => <input {...attributes} className="input" dir="ltr" autoFocus autoComplete="off" autoCapitalize="none" spellCheck={false} maxLength={32} value={draft.username} onChange={(event) => set({ username: event.target.value })} />}
          </Field>
        )}
        <AmountField label={t('user.limit')} hint={t('hint.limit')} problem={shown.limit ?? refused.data_limit} placeholder={t('unlimited')}
          amount={draft.limit} unit={draft.unit} onAmount={(limit) => set({ limit })} onUnit={(unit) => set({ unit })} />
        <Field label={t('user.reset')}>
          {(attributes) => (
            <Choose {...attributes} value={draft.reset} onChange={(event) => set({ reset: event.target.value as Reset })}>
              {RESETS.map((reset) => <option key={reset} value={reset}>{t(`reset.${reset}`)}</option>)}
            </Choose>
          )}
        </Field>
        <div className="field">
          <span className="label">{t('column.ends')}</span>
          <Segments name="strategy" label={t('column.ends')} value={draft.strategy} onChange={(strategy) => set({ strategy })}
            choices={[['fixed_date', t('expiry.date')], ['start_on_first_use', t('expiry.first_use')], ['never', t('never')]]} />
          {draft.strategy === 'fixed_date' && (
            <>
              <DateField label={t('user.until')} value={draft.until} onChange={(until) => set({ until })} />
              <div className="row wrap" style={{ gap: 6 }}>
                {[30, 60, 90].map((count) => (
                  <Button key={count} look="quiet" onClick={() => {
                    const from = Math.max(Date.now(), began.until !== null && user !== null ? began.until.getTime() : 0);
                    set({ until: new Date(from + count * DAY * 1000) });
                  }}>{t('expiry.add', { count })}</Button>
                ))}
              </div>
              {(shown.until ?? refused.expire_date) !== undefined && <p className="problem" role="alert">{shown.until ?? refused.expire_date}</p>}
            </>
          )}
          {draft.strategy === 'start_on_first_use' && (
            <Field label={t('expiry.days')} hint={t('hint.first_use')} problem={shown.days ?? refused.usage_duration}>
              {(attributes) => <input {...attributes} className="input" inputMode="decimal" autoComplete="off" value={draft.days} onChange={(event) => set({ days: event.target.value })} />}
            </Field>
          )}
        </div>
        <Loaded of={services} rows={2}>
          {({ items, total }) => (
            <Choices legend={t('nav.services')} choices={items.map((service) => ({ id: service.id, name: service.name ?? `#${service.id}` }))} total={total} chosen={draft.services}
              onChange={(chosen) => set({ services: chosen })} empty={t('services.none')} hint={draft.services.length === 0 && items.length > 0 ? t('hint.no_service') : undefined} />
          )}
        </Loaded>
        <Field label={t('column.note')} problem={refused.note}>
          {(attributes) => <textarea {...attributes} className="input" dir="auto" maxLength={500} value={draft.note} onChange={(event) => set({ note: event.target.value })} />}
        </Field>
      </>
      )}
    </EditForm>
  );
}
