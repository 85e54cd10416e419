// Screens of the sudo admin and of one's own account, loaded together when the first of them is opened.

export { AdminList } from './admins/AdminList.tsx';
export { AuditLog } from './audit/AuditLog.tsx';
export { ClusterPage } from './cluster/ClusterPage.tsx';
export { HostList } from './hosts/HostList.tsx';
export { InboundList } from './inbounds/InboundList.tsx';
export { NodeList } from './nodes/NodeList.tsx';
export { NodePage } from './nodes/NodePage.tsx';
export { NotificationList } from './notifications/NotificationList.tsx';
export { ProfilePage } from './profile/ProfilePage.tsx';
export { RoleList } from './roles/RoleList.tsx';
export { ServiceList } from './services/ServiceList.tsx';
export { SettingsPage } from './settings/SettingsPage.tsx';
export { TelegramPage } from './settings/TelegramPage.tsx';
