// The Telegram bot that sends notifications, its chats, and a test message.

import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { queryClient, telegramSettings } from '../../api/queries.ts';
import { mayNow } from '../../api/rights.ts';
import { numberOf } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Field, Loaded, Notice, Panel, Problem, Status } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { useSubmit } from '../../ui/submit.ts';
import { Restored, useUnsaved } from '../../ui/unsaved.tsx';
import { Overtaken } from './Overtaken.tsx';
import { SettingsHead } from './SettingsHead.tsx';
import { useDraft } from './useDraft.ts';

type Settings = Schemas['TelegramSettingsResponse'];
interface Draft { token: string; admins: string; channel: string }

export function TelegramPage() {
  const read = useQuery(telegramSettings());
  // `null` is an answer: nothing is stored.
  return (
    <>
      <SettingsHead />
      <Loaded of={{ ...read, data: read.data === undefined ? undefined : { settings: read.data } }}>{({ settings }) => <Form settings={settings} />}</Loaded>
    </>
  );
}

const draftOf = (settings: Settings | null): Draft => ({
  token: settings?.token ?? '',
  admins: settings?.admin_id.join('\n') ?? '',
  channel: settings?.channel_id?.toString() ?? '',
});

/** Ids in any script, apart by spaces, lines or commas; undefined if one of them is none. */
function idsOf(text: string): number[] | undefined {
  const ids = text.split(/[\s,،;]+/).filter((part) => part !== '').map(numberOf);
  return ids.every(Number.isSafeInteger) ? ids : undefined;
}

function Form({ settings }: { settings: Settings | null }) {
  const { t } = useI18n();
  const { say } = useOverlays();
  const { form, draft, changed, overtaken, set, isOld, saved: begin, loadAgain } = useDraft('telegram settings', draftOf(settings), 'admins', ['token']);
  const stored = settings !== null && settings.token !== '';
  const [shown, setShown] = useState(false);
  const { busy: isBusy, error, refused, run: submit } = useSubmit();
  const question = useUnsaved(form, (next) => next.pathname === '/settings/telegram');
  const [work, setWork] = useState<'save' | 'test'>('save');
  const busy = isBusy ? work : null;
  const [tested, setTested] = useState<Schemas['TelegramTestResponse'] | null>(null);
  const admins = idsOf(draft.admins);
  const channels = idsOf(draft.channel);
  const channel = channels !== undefined && channels.length < 2 ? (channels[0] ?? null) : undefined;
  const run = async (what: 'save' | 'test', act: () => Promise<void>) => {
    setWork(what);
    setTested(null);
    await submit(act);
  };
  const save = (event: FormEvent) => {
    event.preventDefault();
    if (admins === undefined || channel === undefined) return;
    void run('save', async () => {
      // The ids are sent whole: not over those that somebody else saved since.
      if (changed.admins !== undefined && isOld(draftOf(await queryClient.fetchQuery({ ...telegramSettings(), staleTime: 0 })))) return;
      const body: Schemas['TelegramSettingsChange'] = {
        ...(changed.token === undefined ? {} : { token: draft.token.trim() }),
        ...(changed.admins === undefined ? {} : { admin_id: admins }),
        ...(changed.channel === undefined ? {} : { channel_id: channel }),
      };
      const saved = await data(api.PATCH('/api/system/settings/telegram', { body }));
      queryClient.setQueryData(telegramSettings().queryKey, saved);
      begin(draftOf(saved));
      say(t('saved'));
    });
  };
  // Without a token, the bot of the environment is in force.
  const test = () => {
    if (admins === undefined || channel === undefined) return;
    const token = draft.token.trim();
    const body = token === '' ? {} : { settings: { token, admin_id: admins, channel_id: channel } };
    void run('test', async () => setTested(await data(api.POST('/api/system/settings/telegram/test', { body }))));
  };
  const ready = busy === null && admins !== undefined && channel !== undefined;
  return (
    <form onSubmit={save} noValidate className="stack" style={{ gap: 16, maxInlineSize: 640 }}>
      {question}
      <Restored form={form} />
      {!stored && <Notice><p>{t('telegram.environment')}</p></Notice>}
      <Panel title={t('settings.telegram')}>
        <fieldset disabled={!mayNow('settings:write')} className="stack" style={{ gap: 16 }}>
          <Field label={t('telegram.token')} hint={t('telegram.token_hint')} problem={refused.token}>
            {(attributes) => (
              <div className="row" style={{ gap: 8 }}>
                <input {...attributes} className="input mono" dir="ltr" type={shown ? 'text' : 'password'} autoComplete="off" spellCheck={false} value={draft.token} onChange={(event) => set({ token: event.target.value })} />
                <Button onClick={() => setShown(!shown)} aria-pressed={shown}>{t('telegram.show')}</Button>
              </div>
            )}
          </Field>
          <Field label={t('telegram.admins')} hint={t('telegram.admins_hint')} problem={admins === undefined ? t('telegram.not_ids') : refused.admin_id}>
            {(attributes) => <textarea {...attributes} className="input mono" dir="ltr" rows={3} spellCheck={false} value={draft.admins} onChange={(event) => set({ admins: event.target.value })} />}
          </Field>
          <Field label={t('telegram.channel')} hint={t('telegram.channel_hint')} problem={channel === undefined ? t('telegram.not_id') : refused.channel_id}>
            {(attributes) => <input {...attributes} className="input mono" dir="ltr" inputMode="numeric" spellCheck={false} placeholder="-1001234567890" value={draft.channel} onChange={(event) => set({ channel: event.target.value })} />}
          </Field>
        </fieldset>
      </Panel>
      {overtaken && busy === null && <Overtaken onLoad={loadAgain} />}
      {error !== null && <Problem error={error} />}
      <div className="row" style={{ gap: 8, flexWrap: 'wrap' }}>
        <Button needs="settings:write" type="submit" look="primary" disabled={!ready || overtaken || Object.keys(changed).length === 0}>{busy === 'save' ? t('working') : t('save')}</Button>
        <Button needs="settings:write" icon="mail" disabled={!ready} onClick={test}>{busy === 'test' ? t('working') : t('telegram.test')}</Button>
      </div>
      <p className="soft small">{t('telegram.test_hint')}</p>
      <div aria-live="polite">
        {tested !== null && (
          <Panel title={t('telegram.tested')}>
            <ul className="lines">
              {tested.chats.map(({ chat, error: failure }) => (
                <li key={chat} style={{ flexWrap: 'wrap', gap: 8 }}>
                  <code dir="ltr">{chat}</code>
                  {failure === null || failure === undefined ? <Status tone="good">{t('telegram.arrived')}</Status> : <><Status tone="bad">{t('telegram.failed')}</Status><bdi dir="ltr" className="small">{failure}</bdi></>}
                </li>
              ))}
            </ul>
          </Panel>
        )}
      </div>
    </form>
  );
}
