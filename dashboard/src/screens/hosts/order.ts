// The order of hosts in subscriptions, and the weights that give it.

import type { Host } from '../../api/client.ts';

type Place = Pick<Host, 'id' | 'weight' | 'chain_ids'>;

/** As subscriptions order hosts: by weight, then those without a chain, then by id. */
export function before(one: Place, other: Place): number {
  return one.weight - other.weight || Number(one.chain_ids.length > 0) - Number(other.chain_ids.length > 0) || one.id - other.id;
}

/** The longest part of a list that is in order already. */
function inOrder(list: Place[]): Set<number> {
  // For each host, how long the part that ends with it is, and the host before it in that part.
  const ends = list.map(() => ({ length: 1, previous: -1 }));
  let best = 0;
  list.forEach((host, index) => {
    const end = ends[index]!;
    for (let earlier = 0; earlier < index; earlier += 1) {
      if (before(list[earlier]!, host) < 0 && ends[earlier]!.length + 1 > end.length) Object.assign(end, { length: ends[earlier]!.length + 1, previous: earlier });
    }
    if (end.length > ends[best]!.length) best = index;
  });
  const kept = new Set<number>();
  for (let at = list.length === 0 ? -1 : best; at >= 0; at = ends[at]!.previous) kept.add(list[at]!.id);
  return kept;
}

/** The weights that give a list its order, for those hosts whose weight must change: as few as can be, mostly the moved one. */
export function weightsFor(ordered: Place[]): { id: number; weight: number }[] {
  const kept = inOrder(ordered);
  const changed: { id: number; weight: number }[] = [];
  let last: Place | undefined;
  for (const host of ordered) {
    let weight = host.weight;
    if (last !== undefined) {
      const fits = (one: number) => before(last!, { ...host, weight: one }) < 0;
      weight = kept.has(host.id) && fits(host.weight) ? host.weight : fits(last.weight) ? last.weight : last.weight + 1;
    } else if (!kept.has(host.id)) weight = ordered.find(({ id }) => kept.has(id))!.weight - 1;
    if (weight !== host.weight) changed.push({ id: host.id, weight });
    last = { ...host, weight };
  }
  return changed;
}
