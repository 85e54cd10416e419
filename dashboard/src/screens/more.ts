// Screens of the sudo admin, loaded together when the first of them is opened.

import '../i18n/more/index.ts';

export { AdminList } from './admins/AdminList.tsx';
export { ClusterPage } from './cluster/ClusterPage.tsx';
export { HostList } from './hosts/HostList.tsx';
export { InboundList } from './inbounds/InboundList.tsx';
export { NodeList } from './nodes/NodeList.tsx';
export { NodePage } from './nodes/NodePage.tsx';
export { NotificationList } from './notifications/NotificationList.tsx';
export { ServiceList } from './services/ServiceList.tsx';
export { SettingsPage } from './settings/SettingsPage.tsx';
export { TelegramPage } from './settings/TelegramPage.tsx';
