// URLs of all screens. They live behind `#`: the panel serves one page at one path, below whatever a proxy adds, and
// names of users do not appear in the logs of proxies.

import { createHashHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { Home } from './screens/Home.tsx';
import { readUserSearch } from './screens/users/search.ts';
import { UserList } from './screens/users/UserList.tsx';
import { UserPage } from './screens/users/UserPage.tsx';
import { Shell } from './shell/Shell.tsx';
import { Crash, Missing } from './shell/Crash.tsx';

const root = createRootRoute({ component: Shell, errorComponent: Crash, notFoundComponent: Missing });

export type Drawer = { drawer?: string };
const readDrawer = (search: Record<string, unknown>): Drawer => (typeof search.drawer === 'string' ? { drawer: search.drawer } : {});
const readNotifications = (search: Record<string, unknown>): { state?: 'waiting' | 'delivered' | 'dead'; page?: number } => ({
  ...(search.state === 'waiting' || search.state === 'delivered' || search.state === 'dead' ? { state: search.state } : {}),
  ...(typeof search.page === 'number' && search.page > 1 ? { page: search.page } : {}),
});

const home = createRoute({ getParentRoute: () => root, path: '/', component: Home });
const users = createRoute({ getParentRoute: () => root, path: '/users', component: UserList, validateSearch: readUserSearch });
const user = createRoute({ getParentRoute: () => root, path: '/users/$name', component: UserPage, validateSearch: readDrawer });
const more = () => import('./screens/more.ts');
const nodes = createRoute({ getParentRoute: () => root, path: '/nodes', component: lazyRouteComponent(more, 'NodeList'), validateSearch: readDrawer });
const node = createRoute({ getParentRoute: () => root, path: '/nodes/$id', component: lazyRouteComponent(more, 'NodePage'), validateSearch: readDrawer });
const services = createRoute({ getParentRoute: () => root, path: '/services', component: lazyRouteComponent(more, 'ServiceList'), validateSearch: readDrawer });
const admins = createRoute({ getParentRoute: () => root, path: '/admins', component: lazyRouteComponent(more, 'AdminList'), validateSearch: readDrawer });
const cluster = createRoute({ getParentRoute: () => root, path: '/cluster', component: lazyRouteComponent(more, 'ClusterPage') });
const notifications = createRoute({ getParentRoute: () => root, path: '/notifications', component: lazyRouteComponent(more, 'NotificationList'), validateSearch: readNotifications });
const settings = createRoute({ getParentRoute: () => root, path: '/settings', component: lazyRouteComponent(more, 'SettingsPage') });

export const router = createRouter({
  routeTree: root.addChildren([home, users, user, nodes, node, services, admins, cluster, notifications, settings]),
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
