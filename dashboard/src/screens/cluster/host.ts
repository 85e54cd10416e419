// The host of a process by its instance id, and how long its spool may hold replies.

import type { Cluster } from '../../api/client.ts';
import { moment } from '../../i18n/format.ts';

/** Seconds after which replies in a spool are no longer usual. */
export const SPOOL_LATE = 300;

/** Seconds after which a copy of subscriptions no longer follows as it usually does. */
export const COPY_LATE = 60;

/** True if this was longer ago. */
export function isLate(since: string | null | undefined, seconds: number): boolean {
  return since != null && Date.now() - moment(since).getTime() > seconds * 1000;
}

/** The host's name while the process lives; afterwards the beginning of its id. */
export function hostOf(cluster: Cluster, instance: string): string {
  return cluster.members.find((member) => member.instance === instance)?.host ?? instance.slice(0, 8);
}
