// Settings of subscriptions: what apps show, and which app gets which format.

import { useQuery } from '@tanstack/react-query';
import type { FormEvent } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { queryClient, subscriptionSettings } from '../../api/queries.ts';
import { mayNow } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Loaded, Panel, Problem } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { useSubmit } from '../../ui/submit.ts';
import { Restored, useUnsaved } from '../../ui/unsaved.tsx';
import { Overtaken } from './Overtaken.tsx';
import { RuleOffer } from './RuleOffer.tsx';
import { RuleTester } from './RuleTester.tsx';
import { Rules } from './Rules.tsx';
import { SettingsHead } from './SettingsHead.tsx';
import { useDraft } from './useDraft.ts';

type Settings = Schemas['SubscriptionSettingsResponse'];

export function SettingsPage() {
  const read = useQuery(subscriptionSettings());
  return (
    <>
      <SettingsHead />
      <Loaded of={read}>{(settings) => <Form settings={settings} />}</Loaded>
    </>
  );
}

function Form({ settings }: { settings: Settings }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const { form, draft, changed, overtaken, set, isOld, saved, takeList, loadAgain } = useDraft('subscription settings', settings, 'rules');
  const { busy, error, refused, run } = useSubmit();
  const question = useUnsaved(form, (next) => next.pathname === '/settings');
  /** What the panel has answered is what the form starts from. */
  const start = (answer: Settings) => {
    queryClient.setQueryData(subscriptionSettings().queryKey, answer);
    void queryClient.invalidateQueries({ queryKey: ['settings', 'offer'] });
    saved(answer);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    await run(async () => {
      // Rules are sent whole: not over those that somebody else saved since.
      if (changed.rules !== undefined && isOld(await queryClient.fetchQuery({ ...subscriptionSettings(), staleTime: 0 }))) return;
      start(await data(api.PATCH('/api/system/settings/subscription', { body: changed as Schemas['SubscriptionSettingsChange'] })));
      say(t('saved'));
    });
  };
  /** Only the rules come from the offer; other fields keep what was typed. */
  const taken = ({ rules }: Settings) => {
    takeList(rules);
    void queryClient.invalidateQueries({ queryKey: ['settings'] });
  };
  const flag = (name: 'template_on_acceptance' | 'shuffle_configs' | 'placeholder_if_disabled', label: string) => (
    <label className="option"><input type="checkbox" checked={draft[name]} onChange={(event) => set({ [name]: event.target.checked })} />{label}</label>
  );
  return (
    <div className="stack" style={{ gap: 16, maxInlineSize: 860 }}>
      {question}
      <Restored form={form} />
      <RuleOffer unsaved={changed.rules !== undefined} onTaken={taken} />
      <form onSubmit={(event) => void submit(event)} noValidate className="stack" style={{ gap: 16 }}>
        <fieldset disabled={!mayNow('settings:write')} style={{ display: 'contents' }}>
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
          <Rules rules={draft.rules} onChange={(rules) => set({ rules })} />
        </fieldset>
        {overtaken && !busy && <Overtaken onLoad={loadAgain} />}
        {error !== null && <Problem error={error} />}
        <div><Button needs="settings:write" type="submit" look="primary" disabled={busy || overtaken || Object.keys(changed).length === 0}>{busy ? t('working') : t('save')}</Button></div>
      </form>
      <RuleTester rules={changed.rules} />
    </div>
  );
}
