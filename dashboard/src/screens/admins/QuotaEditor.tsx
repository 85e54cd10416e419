// The quota of an admin: what is used of it, and its limits.

import { useQuery } from '@tanstack/react-query';
import { type Schemas, api, data } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { numberOf } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Field, Loaded, readAgain } from '../../ui/basics.tsx';
import { EditForm } from '../../ui/EditDrawer.tsx';
import { useForm } from '../../ui/form.ts';
import { Drawer, useOverlays } from '../../ui/overlays.tsx';
import { SIZE } from '../../ui/size.ts';
import { type Quota, QuotaUse, isLimited } from '../QuotaUse.tsx';

const DAY = 86_400;
const RESETS = ['no_reset', 'day', 'week', 'month', 'year'] as const;
const NUMBERS = { users: 1, active_users: 1, traffic: SIZE.GB, max_data_limit: SIZE.GB, max_duration: DAY } as const;
type Name = keyof typeof NUMBERS;
const NAMES = Object.keys(NUMBERS) as Name[];

export function QuotaEditor({ username, onClose }: { username: string; onClose: () => void }) {
  const { t } = useI18n();
  const fresh = readAgain(useQuery({ ...queries.quota(username), gcTime: 0 }));
  const title = t('quota.of_admin', { name: username });
  return (
    <Drawer title={title} name={title} onClose={onClose}>
      {fresh.data === undefined ? <div className="body"><Loaded of={fresh}>{() => null}</Loaded></div> : <Form quota={fresh.data} onClose={onClose} />}
    </Drawer>
  );
}

const shownIn = (value: number | null | undefined, unit: number) => (value == null ? '' : String(Number((value / unit).toFixed(3))));

function Form({ quota, onClose }: { quota: Quota; onClose: () => void }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const { username, limits } = quota;
  const path = { params: { path: { username } } };
  const form = useForm(`quota of ${username}`, () => ({
    ...(Object.fromEntries(NAMES.map((name) => [name, shownIn(limits[name], NUMBERS[name])])) as Record<Name, string>),
    traffic_reset_strategy: limits.traffic_reset_strategy as string, when_used_up: limits.when_used_up as string,
  }));
  const { draft, began, set } = form;
  // A number that was not touched is sent as it is stored: the form rounds it.
  const valueOf = (name: Name): number | null => {
    if (draft[name] === began[name]) return limits[name] ?? null;
    return draft[name].trim() === '' ? null : Math.round(numberOf(draft[name]) * NUMBERS[name]);
  };
  const isWrong = (name: Name) => {
    const value = valueOf(name);
    return value !== null && (!Number.isSafeInteger(value) || value < 1);
  };
  const save = async () => {
    const numbers = Object.fromEntries(NAMES.map((name) => [name, valueOf(name)]));
    const { traffic_reset_strategy, when_used_up } = draft;
    await data(api.PUT('/api/admins/{username}/quota', { ...path, body: { ...numbers, traffic_reset_strategy, when_used_up } as Schemas['QuotaInput'] }));
    await queries.quotasChanged();
  };
  const reset = () => ask({
    title: t('quota.reset.of', { name: username }), body: t('quota.reset.body'), act: t('quota.reset'), done: t('quota.reset.done'),
    run: () => data(api.POST('/api/admins/{username}/quota/reset', path)).then(queries.quotasChanged),
  });
  return (
    <EditForm form={form} needs="admins:write" ready={!NAMES.some(isWrong)} save={save} onClose={onClose}>
      {(refused) => (
        <>
          {isLimited(quota) && <QuotaUse quota={quota} />}
          {limits.traffic != null && <div><Button needs="admins:write" onClick={reset}>{t('quota.reset')}</Button></div>}
          {NAMES.map((name) => (
            <Field key={name} label={t(`quota.input.${name}`)} hint={t('quota.empty')} problem={isWrong(name) ? t('quota.number') : refused[name]}>
              {(attributes) => <input {...attributes} className="input" inputMode="decimal" autoComplete="off" value={draft[name]} onChange={(event) => set({ [name]: event.target.value })} />}
            </Field>
          ))}
          <Field label={t('quota.period')} problem={refused.traffic_reset_strategy}>
            {(attributes) => (
              <Choose {...attributes} value={draft.traffic_reset_strategy} onChange={(event) => set({ traffic_reset_strategy: event.target.value })}>
                {RESETS.map((one) => <option key={one} value={one}>{t(`reset.${one}`)}</option>)}
              </Choose>
            )}
          </Field>
          <Field label={t('quota.when_used_up')} problem={refused.when_used_up}>
            {(attributes) => (
              <Choose {...attributes} value={draft.when_used_up} onChange={(event) => set({ when_used_up: event.target.value })}>
                <option value="refuse">{t('quota.refuse')}</option>
                <option value="disable">{t('quota.disable')}</option>
              </Choose>
            )}
          </Field>
        </>
      )}
    </EditForm>
  );
}
