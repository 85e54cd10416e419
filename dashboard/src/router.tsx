// URLs of all screens. They live behind `#`: the panel serves one page at one path, below whatever a proxy adds, and
// names of users do not appear in the logs of proxies.

import { createHashHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
import { me, queryClient } from './api/queries.ts';
import { type Right, has } from './api/rights.ts';
import { loadMoreTexts } from './i18n/texts.ts';
import { Home } from './screens/Home.tsx';
import { readSheetSearch, readUserSearch } from './screens/users/search.ts';
import { UserList } from './screens/users/UserList.tsx';
import { UserPage } from './screens/users/UserPage.tsx';
import { Shell } from './shell/Shell.tsx';
import { Crash, Missing } from './shell/Crash.tsx';
import { Beside, Only } from './shell/Only.tsx';
import type { ListSearch } from './ui/list.tsx';

const root = createRootRoute({ component: Shell, errorComponent: Crash, notFoundComponent: Missing });

export type Drawer = { drawer?: string };
const readDrawer = (search: Record<string, unknown>): Drawer => (typeof search.drawer === 'string' || typeof search.drawer === 'number' ? { drawer: String(search.drawer) } : {});
const readPage = (search: Record<string, unknown>): { page?: number } => (typeof search.page === 'number' && search.page > 1 ? { page: Math.floor(search.page) } : {});
const oneOf = <T extends string>(value: unknown, known: readonly T[]): T | undefined => known.find((one) => one === value);

export const RUN_STATES = ['running', 'done', 'failed', 'coalesced', 'skipped', 'abandoned'] as const;
export type RunSearch = { task?: string; state?: (typeof RUN_STATES)[number]; page?: number };
const readRuns = (search: Record<string, unknown>): RunSearch => {
  const state = oneOf(search.state, RUN_STATES);
  return { ...readPage(search), ...(typeof search.task === 'string' ? { task: search.task } : {}), ...(state ? { state } : {}) };
};

export type NotificationSearch = { state?: 'waiting' | 'delivered' | 'dead'; channel?: 'webhook' | 'telegram'; page?: number };
const readNotifications = (search: Record<string, unknown>): NotificationSearch => {
  const state = oneOf(search.state, ['waiting', 'delivered', 'dead'] as const);
  const channel = oneOf(search.channel, ['webhook', 'telegram'] as const);
  return { ...readPage(search), ...(state ? { state } : {}), ...(channel ? { channel } : {}) };
};

/** Kinds of authors in the audit log. */
export const AUDIT_ACTORS = ['admin', 'token', 'command', 'task', 'panel'] as const;
export const AUDIT_OBJECTS = ['user', 'service', 'host', 'inbound', 'node', 'engine', 'admin', 'role', 'session', 'second_factor', 'api_token', 'settings', 'notification', 'task', 'cluster', 'database', 'audit'] as const;
/** Filters of the audit log; the entry that is older than all shown; the open one. */
export type AuditSearch = { object?: (typeof AUDIT_OBJECTS)[number]; actor?: (typeof AUDIT_ACTORS)[number]; name?: string; by?: string; before?: number; open?: number };
const readAudit = (search: Record<string, unknown>): AuditSearch => {
  const object = oneOf(search.object, AUDIT_OBJECTS);
  const actor = oneOf(search.actor, AUDIT_ACTORS);
  const text = (value: unknown) => (value === undefined || value === '' ? undefined : String(value));
  const [name, by] = [text(search.name), text(search.by)];
  return {
    ...(object ? { object } : {}), ...(actor ? { actor } : {}), ...(name ? { name } : {}), ...(by ? { by } : {}),
    ...(Number.isInteger(search.before) ? { before: Number(search.before) } : {}), ...(Number.isInteger(search.open) ? { open: Number(search.open) } : {}),
  };
};

/** The engine and the filters of a node's log; an open drawer. */
type NodeSearch = Drawer & { engine?: string; level?: 'info' | 'warning' | 'error'; q?: string };
const readNode = (search: Record<string, unknown>): NodeSearch => ({
  ...readDrawer(search),
  ...(typeof search.engine === 'string' ? { engine: search.engine } : {}),
  ...(search.level === 'info' || search.level === 'warning' || search.level === 'error' ? { level: search.level } : {}),
  ...(search.q !== undefined && search.q !== '' ? { q: String(search.q) } : {}),
});

const readList = (search: Record<string, unknown>): ListSearch => {
  const q = search.q === undefined ? '' : String(search.q);
  return { ...readDrawer(search), ...readPage(search), ...(q !== '' ? { q } : {}) };
};

/** The order of subscriptions in place of the groups; an inbound, whose hosts alone are shown. */
export type HostSearch = ListSearch & { view?: 'order'; inbound?: number };
const readHosts = (search: Record<string, unknown>): HostSearch => ({
  ...readList(search), ...(search.view === 'order' ? { view: 'order' } : {}), ...(Number.isInteger(search.inbound) ? { inbound: Number(search.inbound) } : {}),
});

const home = createRoute({ getParentRoute: () => root, path: '/', component: Home });
const users = createRoute({ getParentRoute: () => root, path: '/users', component: UserList, validateSearch: readUserSearch });
const user = createRoute({ getParentRoute: () => root, path: '/users/$name', component: () => <Beside needs="users:read=own"><UserPage /></Beside>, validateSearch: readDrawer });
const sheet = createRoute({ getParentRoute: () => root, path: '/sheet', component: lazyRouteComponent(() => import('./screens/users/UserTools.ts'), 'QrSheet'), validateSearch: readSheetSearch });
/** Screens that need a right, and of the own account, with their texts. */
const more = async () => {
  const [screens] = await Promise.all([import('./screens/more.ts'), loadMoreTexts()]);
  return screens;
};

/** A screen that needs a right. For others it is not loaded, once they are known. */
function only(needs: Right, name: keyof typeof import('./screens/more.ts')) {
  const Screen = lazyRouteComponent(more, name);
  return Object.assign(() => <Only needs={needs}><Screen /></Only>, {
    preload: async () => {
      const known = queryClient.getQueryData(me().queryKey);
      if (known === undefined || has(known, needs)) await Screen.preload?.();
    },
  });
}
const nodes = createRoute({ getParentRoute: () => root, path: '/nodes', component: only('nodes:read', 'NodeList'), validateSearch: readList });
const node = createRoute({ getParentRoute: () => root, path: '/nodes/$id/$tab', component: only('nodes:read', 'NodePage'), validateSearch: readNode });
const nodeStart = createRoute({ getParentRoute: () => root, path: '/nodes/$id', beforeLoad: ({ params: { id } }) => { throw redirect({ to: '/nodes/$id/$tab', params: { id, tab: 'status' }, replace: true }); } });
const services = createRoute({ getParentRoute: () => root, path: '/services', component: only('services:read', 'ServiceList'), validateSearch: readList });
const hosts = createRoute({ getParentRoute: () => root, path: '/hosts', component: only('hosts:read', 'HostList'), validateSearch: readHosts });
const inbounds = createRoute({ getParentRoute: () => root, path: '/inbounds', component: only('inbounds:read', 'InboundList'), validateSearch: readList });
const admins = createRoute({ getParentRoute: () => root, path: '/admins', component: only('admins:read', 'AdminList'), validateSearch: readList });
const roles = createRoute({ getParentRoute: () => root, path: '/roles', component: only('roles:read', 'RoleList'), validateSearch: readList });
type ProfileSearch = Drawer & { tokens?: 'all' };
const readProfile = (search: Record<string, unknown>): ProfileSearch => ({ ...readDrawer(search), ...(search.tokens === 'all' ? { tokens: 'all' } : {}) });
const profile = createRoute({ getParentRoute: () => root, path: '/me', component: lazyRouteComponent(more, 'ProfilePage'), validateSearch: readProfile });
const cluster = createRoute({ getParentRoute: () => root, path: '/cluster', component: only('cluster:read', 'ClusterPage'), validateSearch: readRuns });
const notifications = createRoute({ getParentRoute: () => root, path: '/notifications', component: only('notifications:read', 'NotificationList'), validateSearch: readNotifications });
const audit = createRoute({ getParentRoute: () => root, path: '/audit', component: only('audit:read', 'AuditLog'), validateSearch: readAudit });
const settings = createRoute({ getParentRoute: () => root, path: '/settings', component: only('settings:read', 'SettingsPage') });
const telegram = createRoute({ getParentRoute: () => root, path: '/settings/telegram', component: only('settings:read', 'TelegramPage') });

export const router = createRouter({
  routeTree: root.addChildren([home, users, user, sheet, nodes, nodeStart, node, services, hosts, inbounds, admins, roles, profile, cluster, notifications, audit, settings, telegram]),
  history: createHashHistory(),
  scrollRestoration: true,
  defaultErrorComponent: Crash,
  defaultNotFoundComponent: Missing,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
