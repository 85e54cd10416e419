// Today's rules for an installation that has others: which apps would get another format, and a button to take them.

import { useQuery } from '@tanstack/react-query';
import { type Schemas, api, data } from '../../api/client.ts';
import { ruleOffer } from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Notice } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';

export function RuleOffer({ unsaved, onTaken }: { unsaved: boolean; onTaken: (settings: Schemas['SubscriptionSettingsResponse']) => void }) {
  const { t } = useI18n();
  const { ask } = useOverlays();
  const offer = useQuery(ruleOffer()).data;
  if (offer === undefined || offer.changes.length === 0) return null;
  const count = offer.changes.length;
  const take = () =>
    ask({
      title: t('offer.title'),
      body: <><p>{t('offer.consequence', { count })}</p><p>{t('offer.stays')}</p></>,
      act: t('offer.take'),
      run: async () => onTaken(await data(api.POST('/api/system/settings/subscription/offer'))),
      done: t('offer.taken'),
    });
  return (
    <Notice>
      <p>{t('offer.notice', { count })}</p>
      <details style={{ marginBlock: 8 }}>
        <summary>{t('offer.show')}</summary>
        <div className="tablebox" style={{ marginBlockStart: 8 }} tabIndex={0} role="region" aria-label={t('offer.show')}>
          <table className="list">
            <thead><tr><th scope="col">{t('offer.app')}</th><th scope="col">{t('offer.now')}</th><th scope="col">{t('offer.then')}</th></tr></thead>
            <tbody>
              {offer.changes.map((change) => (
                <tr key={change.program}>
                  <td><bdi dir="ltr" title={change.user_agent}>{change.program}</bdi></td>
                  <td>{change.now === null || change.now === 'block' ? t('settings.nothing') : <code dir="ltr">{change.now}</code>}</td>
                  <td><code dir="ltr">{change.then}</code></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
      <Button needs="settings:write" disabled={unsaved} onClick={take}>{t('offer.take')}</Button>
      {unsaved && <p className="soft small">{t('offer.unsaved')}</p>}
    </Notice>
  );
}
