// The host of a process by its instance id.

import type { Cluster } from '../../api/client.ts';

/** The host's name while the process lives; afterwards the beginning of its id. */
export function hostOf(cluster: Cluster, instance: string): string {
  return cluster.members.find((member) => member.instance === instance)?.host ?? instance.slice(0, 8);
}
