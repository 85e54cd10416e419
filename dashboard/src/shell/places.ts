// The screens that navigation, keys and the palette offer, and who may open them.

import type { Right } from '../api/rights.ts';
import type { Key } from '../i18n/index.tsx';
import type { IconName } from '../ui/icons.tsx';

export interface Place {
  to: '/' | '/users' | '/nodes' | '/services' | '/hosts' | '/inbounds' | '/admins' | '/roles' | '/cluster' | '/notifications' | '/audit' | '/settings' | '/me';
  key: Key;
  icon: IconName;
  /** The right without which the screen is not offered. */
  needs?: Right;
  /** The letter that follows `g`, by place of the key, so that it works in every keyboard layout. */
  letter: string;
}

export const PLACES: Place[] = [
  { to: '/', key: 'nav.home', icon: 'home', letter: 'h' },
  { to: '/users', key: 'nav.users', icon: 'users', needs: 'users:read=own', letter: 'u' },
  { to: '/services', key: 'nav.services', icon: 'services', needs: 'services:read', letter: 's' },
  { to: '/hosts', key: 'nav.hosts', icon: 'hosts', needs: 'hosts:read', letter: 'o' },
  { to: '/inbounds', key: 'nav.inbounds', icon: 'inbounds', needs: 'inbounds:read', letter: 'i' },
  { to: '/nodes', key: 'nav.nodes', icon: 'nodes', needs: 'nodes:read', letter: 'n' },
  { to: '/cluster', key: 'nav.cluster', icon: 'cluster', needs: 'cluster:read', letter: 'c' },
  { to: '/notifications', key: 'nav.notifications', icon: 'mail', needs: 'notifications:read', letter: 'm' },
  { to: '/admins', key: 'nav.admins', icon: 'admins', needs: 'admins:read', letter: 'a' },
  { to: '/roles', key: 'nav.roles', icon: 'admins', needs: 'roles:read', letter: 'r' },
  { to: '/audit', key: 'nav.audit', icon: 'log', needs: 'audit:read', letter: 'l' },
  { to: '/settings', key: 'nav.settings', icon: 'settings', needs: 'settings:read', letter: 't' },
  { to: '/me', key: 'nav.me', icon: 'admins', letter: 'y' },
];

/** The place that a path belongs to. */
export function placeOf(path: string): Place | undefined {
  return PLACES.find(({ to }) => (to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`)));
}
