// What can be done to a user, each with a confirmation that says what follows.

import { api, data, type User } from '../../api/client.ts';
import { statusOf } from '../../api/errors.ts';
import { usersChanged } from '../../api/queries.ts';
import { type Key, useI18n } from '../../i18n/index.tsx';
import type { IconName } from '../../ui/icons.tsx';
import { type Action, useOverlays } from '../../ui/overlays.tsx';

export type UserAct = 'enable' | 'disable' | 'reset' | 'revoke' | 'delete';

const path = (username: string) => ({ params: { path: { username } } });

const RUN: Record<UserAct, (username: string) => Promise<unknown>> = {
  enable: (name) => data(api.POST('/api/users/{username}/enable', path(name))),
  disable: (name) => data(api.POST('/api/users/{username}/disable', path(name))),
  reset: (name) => data(api.POST('/api/users/{username}/reset', path(name))),
  revoke: (name) => data(api.POST('/api/users/{username}/revoke_sub', path(name))),
  delete: (name) => remove(name),
};

const ICONS: Record<UserAct, IconName> = { enable: 'check', disable: 'close', reset: 'refresh', revoke: 'alert', delete: 'trash' };

/** Deletes a user; one who is gone already is deleted as well. */
async function remove(name: string): Promise<void> {
  try {
    await data(api.DELETE('/api/users/{username}', path(name)));
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
  }
}

/** Asks before an act on a user, and runs it. */
export function useUserActs(after?: (act: UserAct) => void | Promise<void>): (act: UserAct, name: string) => void {
  const { t } = useI18n();
  const { ask } = useOverlays();
  return (act, name) => {
    const key = (part: string): Key => `act.${act}.${part}` as Key;
    ask({
      title: t(key('one'), { name }),
      body: t(key('body')),
      act: t(key('one'), { name }),
      danger: act === 'delete' || act === 'revoke',
      run: async () => {
        try {
          await RUN[act](name);
          // Before the lists are read again: a page of a deleted user must be left first.
          await after?.(act);
        } finally {
          await usersChanged();
        }
      },
      done: t(key('done')),
    });
  };
}

/** Acts that make sense for a user, as entries of a menu. */
export function userActions(user: User, t: (key: Key) => string, run: (act: UserAct) => void): (Action | null)[] {
  const entry = (act: UserAct, bad = false): Action => ({ id: act, label: t(`act.${act}`), icon: ICONS[act], bad, run: () => run(act) });
  return [entry(user.enabled ? 'disable' : 'enable'), entry('reset'), entry('revoke'), null, entry('delete', true)];
}
