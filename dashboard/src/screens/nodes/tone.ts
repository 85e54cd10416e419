// How a node's status looks.

import type { PanelNode } from '../../api/client.ts';
import type { Tone } from '../../ui/basics.tsx';

export function nodeTone(node: Pick<PanelNode, 'status'>): Tone {
  return node.status === 'healthy' ? 'good' : node.status === 'disabled' ? 'off' : 'bad';
}
