// URLs of all screens. They live behind `#`: the panel serves one page at one path, below whatever a proxy adds, and
// names of users do not appear in the logs of proxies.

import { createHashHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
import { Home } from './screens/Home.tsx';
import { readUserSearch } from './screens/users/search.ts';
import { UserList } from './screens/users/UserList.tsx';
import { UserPage } from './screens/users/UserPage.tsx';
import { Shell } from './shell/Shell.tsx';
import { Crash, Missing } from './shell/Crash.tsx';
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
type HostSearch = ListSearch & { view?: 'order'; inbound?: number };
const readHosts = (search: Record<string, unknown>): HostSearch => ({
  ...readList(search), ...(search.view === 'order' ? { view: 'order' } : {}), ...(Number.isInteger(search.inbound) ? { inbound: Number(search.inbound) } : {}),
});

const home = createRoute({ getParentRoute: () => root, path: '/', component: Home });
const users = createRoute({ getParentRoute: () => root, path: '/users', component: UserList, validateSearch: readUserSearch });
const user = createRoute({ getParentRoute: () => root, path: '/users/$name', component: UserPage, validateSearch: readDrawer });
const more = () => import('./screens/more.ts');
const nodes = createRoute({ getParentRoute: () => root, path: '/nodes', component: lazyRouteComponent(more, 'NodeList'), validateSearch: readList });
const node = createRoute({ getParentRoute: () => root, path: '/nodes/$id/$tab', component: lazyRouteComponent(more, 'NodePage'), validateSearch: readNode });
const nodeStart = createRoute({ getParentRoute: () => root, path: '/nodes/$id', beforeLoad: ({ params: { id } }) => { throw redirect({ to: '/nodes/$id/$tab', params: { id, tab: 'status' }, replace: true }); } });
const services = createRoute({ getParentRoute: () => root, path: '/services', component: lazyRouteComponent(more, 'ServiceList'), validateSearch: readList });
const hosts = createRoute({ getParentRoute: () => root, path: '/hosts', component: lazyRouteComponent(more, 'HostList'), validateSearch: readHosts });
const inbounds = createRoute({ getParentRoute: () => root, path: '/inbounds', component: lazyRouteComponent(more, 'InboundList'), validateSearch: readList });
const admins = createRoute({ getParentRoute: () => root, path: '/admins', component: lazyRouteComponent(more, 'AdminList'), validateSearch: readList });
const cluster = createRoute({ getParentRoute: () => root, path: '/cluster', component: lazyRouteComponent(more, 'ClusterPage'), validateSearch: readRuns });
const notifications = createRoute({ getParentRoute: () => root, path: '/notifications', component: lazyRouteComponent(more, 'NotificationList'), validateSearch: readNotifications });
const settings = createRoute({ getParentRoute: () => root, path: '/settings', component: lazyRouteComponent(more, 'SettingsPage') });
const telegram = createRoute({ getParentRoute: () => root, path: '/settings/telegram', component: lazyRouteComponent(more, 'TelegramPage') });

export const router = createRouter({
  routeTree: root.addChildren([home, users, user, nodes, nodeStart, node, services, hosts, inbounds, admins, cluster, notifications, settings, telegram]),
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
