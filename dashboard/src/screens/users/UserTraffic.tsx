// The traffic of a user: of all nodes, or of one before the sum of all.

import { useState } from 'react';
import type { Schemas, User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Meter } from '../../ui/basics.tsx';
import { TrafficPanel } from '../../ui/TrafficPanel.tsx';

type Traffic = Schemas['UserTraffic'];

function sumOf(nodes: Traffic['node_usages']): { total: number; usages: number[][] } {
  const sum = new Map<number, number>();
  let total = 0;
  for (const node of nodes) {
    for (const [at = 0, bytes = 0] of node.usages) {
      sum.set(at, (sum.get(at) ?? 0) + bytes);
      total += bytes;
    }
  }
  return { total, usages: [...sum].sort(([a], [b]) => a - b) };
}

export function UserTraffic({ user }: { user: User }) {
  const { t, f } = useI18n();
  // The id of the chosen node; 0: deleted nodes.
  const [chosen, setChosen] = useState<number | null>(null);
  const idOf = (node: Traffic['node_usages'][number]) => node.node_id ?? 0;
  return (
    <TrafficPanel name="user" query={(start) => queries.userTraffic(user.username, start)}
      series={(traffic) => sumOf(traffic.node_usages.filter((node) => chosen === null || idOf(node) === chosen))}
      behind={(traffic) => (chosen === null ? undefined : sumOf(traffic.node_usages))}
      below={(traffic) => (
        <ul className="lines" aria-label={t('traffic.by_node')} style={{ marginBlockStart: 16 }}>
          {traffic.node_usages.map((node) => {
            const { total } = sumOf([node]);
            const pressed = chosen === idOf(node);
            return (
              <li key={idOf(node)}>
                <button type="button" className="button quiet cut nodename" aria-pressed={pressed} onClick={() => setChosen(pressed ? null : idOf(node))}>
                  <bdi>{node.node_id == null ? t('traffic.deleted') : node.node_name}</bdi>
                </button>
                <span className="grow"><Meter part={traffic.total === 0 ? 0 : total / traffic.total} /></span>
                <span className="nowrap">{f.bytes(total)}</span>
              </li>
            );
          })}
        </ul>
      )}
    />
  );
}
