// What to do about a node, from the reason that the panel gives. The panel's texts are in src/nodes/node_error.rs.

import type { Key } from '../../i18n/index.tsx';

/** Beginnings or parts of reasons, with the advice; the first that matches counts. */
export const ADVICE: readonly (readonly [string, Key])[] = [
  ['connection refused: nothing listens', 'advice.refused'],
  ['s of connecting; check', 'advice.unreachable'],
  ["the node's address can't be reached", 'advice.unreachable'],
  ['could not connect to the node', 'advice.unreachable'],
  ['is not a valid address and port', 'advice.address'],
  ["refuses this panel's certificate", 'advice.certificate'],
  ['closes the connection right after the TLS handshake', 'advice.certificate'],
  ["the node's certificate has changed", 'advice.pin'],
  ['does not answer with TLS', 'advice.kind'],
  ['does not speak the node protocol', 'advice.kind'],
  ['timeout: no answer to', 'advice.busy'],
  ['the connection to the node broke', 'advice.busy'],
  ['the node refused', 'advice.refuses'],
];

export function adviceFor(message: string): Key | undefined {
  return ADVICE.find(([part]) => message.includes(part))?.[1];
}
