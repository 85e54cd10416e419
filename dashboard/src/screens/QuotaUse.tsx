// What an admin's quota limits, and how much of it is used.

import type { Schemas } from '../api/client.ts';
import { moment } from '../i18n/format.ts';
import { useI18n } from '../i18n/index.tsx';
import { Meter, Notice } from '../ui/basics.tsx';

export type Quota = Schemas['QuotaResponse'];

export const isLimited = ({ limits }: Quota) => [limits.users, limits.active_users, limits.traffic, limits.max_data_limit, limits.max_duration].some((limit) => limit != null);

export function QuotaUse({ quota }: { quota: Quota }) {
  const { t, f } = useI18n();
  const { limits, used } = quota;
  const lines = [
    { name: t('quota.users'), used: used.users, limit: limits.users, shown: f.number },
    { name: t('quota.active_users'), used: used.active_users, limit: limits.active_users, shown: f.number },
    { name: t('quota.traffic'), used: used.traffic, limit: limits.traffic, shown: f.bytes },
  ];
  return (
    <div className="stack" style={{ gap: 12 }}>
      {quota.is_used_up && <Notice tone="bad">{t('quota.used_up')}{quota.disabled_users > 0 && <> {t('quota.disabled', { count: quota.disabled_users })}</>}</Notice>}
      <ul className="lines" aria-label={t('quota.title')}>
        {lines.map(({ name, used: part, limit, shown }) => limit != null && (
          <li key={name}>
            <span className="grow">
              {name}
              <Meter part={part / limit} tone={part >= limit ? 'bad' : part >= limit * 0.8 ? 'attention' : undefined} />
            </span>
            <span className="nowrap">{t('quota.of', { used: shown(part), limit: shown(limit) })}</span>
          </li>
        ))}
        {limits.max_data_limit != null && <li><span className="grow">{t('quota.max_data_limit')}</span><span>{f.bytes(limits.max_data_limit)}</span></li>}
        {limits.max_duration != null && <li><span className="grow">{t('quota.max_duration')}</span><span>{f.duration(limits.max_duration)}</span></li>}
      </ul>
      {quota.next_reset_at != null && <p className="soft small">{t('quota.next', { date: f.exact(moment(quota.next_reset_at)) })}</p>}
    </div>
  );
}
