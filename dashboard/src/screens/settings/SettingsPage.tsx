// Settings of subscriptions: what apps show, and which app gets which format.

import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { ApiError } from '../../api/errors.ts';
import { queryClient } from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Field, Loaded, Panel, Problem } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';

type Settings = Schemas['SubscriptionSettingsResponse'];
const RESULTS = ['links', 'base64-links', 'xray', 'sing-box', 'clash', 'clash-meta', 'template', 'block'] as const;

export function SettingsPage() {
  const { t } = useI18n();
  const read = useQuery({
    queryKey: ['settings', 'subscription'],
    queryFn: ({ signal }) => data(api.GET('/api/system/settings/subscription', { signal })),
    refetchOnWindowFocus: false,
  });
  return (
    <>
      <div className="head"><h1>{t('nav.settings')}</h1></div>
      <Loaded of={read}>{(settings) => <Form settings={settings} />}</Loaded>
    </>
  );
}

function Form({ settings }: { settings: Settings }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const [draft, setDraft] = useState(settings);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const set = (next: Partial<Settings>) => setDraft((now) => ({ ...now, ...next }));
  const refused = error instanceof ApiError ? error.fields : {};
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const saved = await data(api.PUT('/api/system/settings/subscription', { body: draft as Schemas['SubscriptionSettingsRequest'] }));
      queryClient.setQueryData(['settings', 'subscription'], saved);
      say(t('saved'));
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  const flag = (name: 'template_on_acceptance' | 'shuffle_configs' | 'placeholder_if_disabled', label: string) => (
    <label className="option"><input type="checkbox" checked={draft[name]} onChange={(event) => set({ [name]: event.target.checked })} />{label}</label>
  );
  const rules = draft.rules;
  const move = (index: number, by: number) => {
    const next = [...rules];
    const [rule] = next.splice(index, 1);
    if (rule !== undefined) next.splice(index + by, 0, rule);
    set({ rules: next });
  };
  const change = (index: number, next: Partial<Settings['rules'][number]>) => set({ rules: rules.map((rule, at) => (at === index ? { ...rule, ...next } : rule)) });
  return (
    <form onSubmit={(event) => void submit(event)} noValidate className="stack" style={{ gap: 16, maxInlineSize: 860 }}>
      <Panel title={t('settings.subscription')}>
        <div className="stack" style={{ gap: 16 }}>
          <Field label={t('settings.title')} problem={refused.profile_title}>{(attributes) => <input {...attributes} className="input" dir="auto" value={draft.profile_title} onChange={(event) => set({ profile_title: event.target.value })} />}</Field>
          <Field label={t('settings.support')} problem={refused.support_link}>{(attributes) => <input {...attributes} className="input" dir="ltr" value={draft.support_link} onChange={(event) => set({ support_link: event.target.value })} />}</Field>
          <Field label={t('settings.interval')} problem={refused.update_interval}>{(attributes) => <input {...attributes} className="input" type="number" min="1" dir="ltr" style={{ maxInlineSize: 120 }} value={draft.update_interval} onChange={(event) => set({ update_interval: Number(event.target.value) })} />}</Field>
          <div>
            {flag('template_on_acceptance', t('settings.page'))}
            {flag('shuffle_configs', t('settings.shuffle'))}
            {flag('placeholder_if_disabled', t('settings.placeholder'))}
          </div>
          {draft.placeholder_if_disabled && <Field label={t('settings.placeholder_name')} problem={refused.placeholder_remark}>{(attributes) => <input {...attributes} className="input" dir="auto" value={draft.placeholder_remark} onChange={(event) => set({ placeholder_remark: event.target.value })} />}</Field>}
        </div>
      </Panel>
      <Panel title={t('settings.rules')} aside={<Button icon="plus" onClick={() => set({ rules: [{ pattern: '', result: 'links' }, ...rules] })}>{t('settings.add_rule')}</Button>}>
        <p className="soft small" style={{ marginBlockEnd: 8 }}>{t('settings.rules_hint')}</p>
        <ol className="lines">
          {rules.map((rule, index) => (
            <li key={index} style={{ flexWrap: 'wrap', gap: 8 }}>
              <input className="input mono" style={{ flex: '1 1 260px', inlineSize: 'auto' }} aria-label={`${t('settings.pattern')} ${index + 1}`} spellCheck={false} value={rule.pattern} onChange={(event) => change(index, { pattern: event.target.value })} />
              <span style={{ flex: '0 0 140px' }}>
                <Choose aria-label={`${t('settings.result')} ${index + 1}`} value={rule.result} onChange={(event) => change(index, { result: event.target.value as (typeof RESULTS)[number] })}>
                  {RESULTS.map((result) => <option key={result}>{result}</option>)}
                </Choose>
              </span>
              <span className="row" style={{ gap: 0 }}>
                <Button icon="up" look="quiet" label={t('settings.move_up', { count: index + 1 })} disabled={index === 0} onClick={() => move(index, -1)} />
                <Button icon="down" look="quiet" label={t('settings.move_down', { count: index + 1 })} disabled={index === rules.length - 1} onClick={() => move(index, 1)} />
                <Button icon="trash" look="quiet" label={t('settings.remove_rule', { count: index + 1 })} onClick={() => set({ rules: rules.filter((_, at) => at !== index) })} />
              </span>
            </li>
          ))}
        </ol>
      </Panel>
      {error !== null && <Problem error={error} />}
      <div><Button type="submit" look="primary" disabled={busy}>{busy ? t('working') : t('save')}</Button></div>
    </form>
  );
}
