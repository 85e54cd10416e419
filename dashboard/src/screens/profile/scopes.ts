// Resources of the API: rows of the matrices of scopes and of rights.

import type { Key } from '../../i18n/texts.ts';

export interface Row { resource: string; key: Key; read: boolean; write: boolean }

/** The resources of the API, with the actions that it has on them. */
export const ROWS: Row[] = [
  { resource: 'users', key: 'nav.users', read: true, write: true },
  { resource: 'services', key: 'nav.services', read: true, write: true },
  { resource: 'stats', key: 'tokens.stats', read: true, write: false },
  { resource: 'events', key: 'tokens.events', read: true, write: false },
  { resource: 'tokens', key: 'tokens.title', read: true, write: true },
  { resource: 'sessions', key: 'sessions.title', read: true, write: true },
  { resource: 'profile', key: 'tokens.password', read: false, write: true },
  { resource: 'hosts', key: 'nav.hosts', read: true, write: true },
  { resource: 'inbounds', key: 'nav.inbounds', read: true, write: true },
  { resource: 'nodes', key: 'nav.nodes', read: true, write: true },
  { resource: 'admins', key: 'nav.admins', read: true, write: true },
  { resource: 'roles', key: 'nav.roles', read: true, write: true },
  { resource: 'settings', key: 'nav.settings', read: true, write: true },
  { resource: 'notifications', key: 'nav.notifications', read: true, write: true },
  { resource: 'cluster', key: 'nav.cluster', read: true, write: true },
  { resource: 'edge', key: 'tokens.edge', read: true, write: true },
  { resource: 'audit', key: 'nav.audit', read: true, write: false },
];
