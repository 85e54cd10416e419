// What the panel announces: the text of its events, and which reads a change concerns.

export interface Change {
  kind: string;
  id: number | null;
}

/** What each kind of change may have changed, as first parts of query keys. A kind that is not here changes everything. */
const READS: Record<string, string[]> = {
  users: ['users', 'stats', 'quota', 'notifications', 'diagnosis'],
  usage: ['users', 'stats', 'nodes', 'quota'],
  services: ['services', 'users', 'inbounds', 'diagnosis'],
  hosts: ['hosts', 'inbounds', 'users', 'diagnosis'],
  nodes: ['nodes', 'inbounds', 'hosts', 'services', 'node-settings', 'users', 'diagnosis'],
  node_status: ['nodes', 'stats', 'diagnosis'],
  roles: ['roles', 'admins', 'me'],
  admins: ['admins', 'quota', 'roles', 'me', 'views', 'users', 'services', 'sessions', 'second-factor', 'diagnosis'],
  subscription_settings: ['settings', 'users', 'diagnosis'],
  telegram_settings: ['settings'],
  notifications: ['notifications'],
  leader_requests: ['cluster'],
  sessions: ['sessions'],
  api_tokens: ['tokens'],
};

/** True if a change may have changed what the query read. */
export function concerns(change: Change, key: readonly unknown[], data: unknown): boolean {
  // Every change of something that people change has an entry.
  if (key[0] === 'audit') return change.kind !== 'usage' && change.kind !== 'node_status';
  const reads = READS[change.kind];
  if (reads !== undefined && !reads.includes(String(key[0]))) return false;
  // What an app gets takes the panel a while; traffic changes nothing of it. Hosts and nodes change nothing else of users.
  const isOfUsers = key[0] === 'users';
  const isRendering = isOfUsers && key[1] === 'explanation';
  if (change.kind === 'usage' && isRendering) return false;
  if (['hosts', 'nodes', 'subscription_settings'].includes(change.kind) && isOfUsers && !isRendering) return false;
  if (change.kind === 'users' && change.id !== null && key[0] === 'diagnosis') return key[1] === change.id;
  const isOneUser = change.kind === 'users' && change.id !== null && key[0] === 'users' && key[1] === 'one';
  return !isOneUser || typeof data !== 'object' || data === null || !('id' in data) || data.id === change.id;
}

/** The events of a stream's text, and the rest that is not complete yet. */
export function parse(text: string): { events: { id: string; name: string; data: string }[]; rest: string } {
  const blocks = text.split('\n\n');
  const rest = blocks.pop() ?? '';
  const events = blocks.map((block) => {
    const fields: Record<string, string> = {};
    for (const line of block.split('\n')) {
      const [name, value] = [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)];
      fields[name] = value.replace(/^ /, '');
    }
    return { id: fields.id ?? '', name: fields.event ?? '', data: fields.data ?? '' };
  });
  return { events: events.filter((event) => event.name !== ''), rest };
}
