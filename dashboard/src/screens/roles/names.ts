// Names of roles: the built-in ones have names in every language, others the one that they were given.

import type { useI18n } from '../../i18n/index.tsx';

type Translate = ReturnType<typeof useI18n>['t'];

const NAMES = { owner: 'admin.sudo', reseller: 'admin.reseller', support: 'roles.support', observer: 'roles.observer' } as const;
const ABOUT = { owner: 'admins.sudo_hint', reseller: 'roles.about.reseller', support: 'roles.about.support', observer: 'roles.about.observer' } as const;

const isBuiltIn = (name: string): name is keyof typeof NAMES => Object.hasOwn(NAMES, name);

export const roleName = (name: string, t: Translate): string => (isBuiltIn(name) ? t(NAMES[name]) : name);

export const aboutRole = (name: string, t: Translate): string | undefined => (isBuiltIn(name) ? t(ABOUT[name]) : undefined);
