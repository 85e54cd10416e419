// What can be done to users, one or many, each with a confirmation that says what follows.

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

/** Requests at once for many users: enough to hide the round trip, few enough to leave the panel free. */
const AT_ONCE = 4;

/** Empties `names` as it goes: what is left after a failure is what a second try does. */
async function each(names: string[], run: (name: string) => Promise<unknown>): Promise<void> {
  let failed = false;
  const work = async () => {
    for (let name = names.shift(); name !== undefined; name = failed ? undefined : names.shift()) {
      try {
        await run(name);
      } catch (error) {
        // The others stop, too: what failed for one will mostly fail for all.
        failed = true;
        names.unshift(name);
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, names.length) }, work));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}

/** Deletes a user; one who is gone already is deleted as well. */
async function remove(name: string): Promise<void> {
  try {
    await data(api.DELETE('/api/users/{username}', path(name)));
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
  }
}

/** Asks before an act on the named users, and runs it. */
export function useUserActs(after?: (act: UserAct) => void | Promise<void>): (act: UserAct, names: string[]) => void {
  const { t } = useI18n();
  const { ask } = useOverlays();
  return (act, names) => {
    const single = names.length === 1 ? names[0] : undefined;
    const rest = [...names];
    const values = { name: single ?? '', count: names.length };
    const key = (part: string): Key => `act.${act}.${part}` as Key;
    ask({
      title: single !== undefined ? t(key('one'), values) : t(key('many'), values),
      body: t(key('body')),
      act: single !== undefined ? t(key('one'), values) : t(key('many'), values),
      danger: act === 'delete' || act === 'revoke',
      run: async () => {
        try {
          await each(rest, RUN[act]);
          // Before the lists are read again: a page of a deleted user must be left first.
          await after?.(act);
        } finally {
          await usersChanged();
        }
      },
      done: t(key('done'), values),
    });
  };
}

/** Acts that make sense for a user, as entries of a menu. */
export function userActions(user: User, t: (key: Key) => string, run: (act: UserAct) => void): (Action | null)[] {
  const entry = (act: UserAct, bad = false): Action => ({ id: act, label: t(`act.${act}`), icon: ICONS[act], bad, run: () => run(act) });
  return [entry(user.enabled ? 'disable' : 'enable'), entry('reset'), entry('revoke'), null, entry('delete', true)];
}
