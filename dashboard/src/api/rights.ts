// What the signed-in admin may do, as its role says. The panel refuses the rest anyway.

import { useQuery } from '@tanstack/react-query';
import { me, queryClient } from './queries.ts';

/** A right for everything, or one that may be for one's own only: `nodes:write`, `users:write=own`. */
export type Right = `${string}:${'read' | 'write' | 'reset'}` | `${string}:${'read' | 'write' | 'reset'}=own`;

interface Holder { is_sudo: boolean; rights?: Record<string, Record<string, string>> }

/** True if the admin has the right. A panel of an earlier version names no rights: then sudo admins have all. */
export function has(holder: Holder | undefined, right: Right): boolean {
  if (holder === undefined) return false;
  const [scope = '', least = 'all'] = right.split('=');
  const [resource = '', action = ''] = scope.split(':');
  if (holder.rights === undefined) return holder.is_sudo || (least === 'own' && ['users', 'services', 'stats', 'tokens', 'sessions', 'profile'].includes(resource));
  const extent = holder.rights[resource]?.[action];
  return extent === 'all' || (least === 'own' && extent === 'own');
}

/** Whether the signed-in admin has a right; none until it is read. */
export function useMay(): (right: Right) => boolean {
  const holder = useQuery(me()).data;
  return (right) => has(holder, right);
}

/** The same once, for screens that open only after the admin is read. */
export const mayNow = (right: Right): boolean => has(queryClient.getQueryData(me().queryKey), right);
