// A user's state, use and end, as table, page and home show them.

import type { User } from '../../api/client.ts';
import { moment } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Meter, Moment, Status, type Tone, useNow } from '../../ui/basics.tsx';

export type UserState = 'active' | 'on_hold' | 'expired' | 'limited' | 'disabled';

/** The state of a user: the first thing that keeps it from working. */
export function stateOf(user: User): UserState {
  if (!user.enabled) return 'disabled';
  if (user.expired) return 'expired';
  if (user.data_limit_reached) return 'limited';
  return user.expire_strategy === 'start_on_first_use' ? 'on_hold' : 'active';
}

const TONES: Record<UserState, Tone> = { active: 'good', on_hold: 'off', expired: 'bad', limited: 'attention', disabled: 'off' };

export function UserStatus({ user }: { user: User }) {
  const { t } = useI18n();
  const state = stateOf(user);
  return <Status tone={TONES[state]}>{t(`state.${state}`)}</Status>;
}

/** Used traffic of the limit, with a bar that also says it in its length. */
export function Usage({ user }: { user: User }) {
  const { t, f } = useI18n();
  const limit = user.data_limit ?? null;
  const part = limit === null ? 0 : user.used_traffic / limit;
  return (
    <span className="usage">
      <span className="nowrap">
        {limit === null ? <>{f.bytes(user.used_traffic)} <span className="soft">· {t('unlimited')}</span></> : t('usage.of', { used: f.bytes(user.used_traffic), limit: f.bytes(limit) })}
      </span>
      {limit !== null && <Meter part={part} tone={part >= 1 ? 'bad' : part >= 0.8 ? 'attention' : undefined} />}
    </span>
  );
}

export function Ends({ user }: { user: User }) {
  const { t, f } = useI18n();
  if (user.expire_strategy === 'fixed_date' && user.expire_date) return <Moment at={user.expire_date} />;
  if (user.expire_strategy === 'start_on_first_use') return <span className="nowrap">{t('ends.first_use', { duration: f.duration(user.usage_duration ?? 0) })}</span>;
  return <span className="soft">{t('never')}</span>;
}

export function Online({ user }: { user: User }) {
  const { t } = useI18n();
  const now = useNow();
  if (!user.online_at) return <span className="soft">{t('online.never')}</span>;
  if (now.getTime() - moment(user.online_at).getTime() < 60_000) return <Status tone="good">{t('online.now')}</Status>;
  return <span className="soft"><Moment at={user.online_at} /></span>;
}
