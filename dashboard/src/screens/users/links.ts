// A user's subscription link, as client apps take it.

import type { User } from '../../api/client.ts';
import { root } from '../../api/root.ts';

/**
 * The link; without a prefix in the settings the API gives a path, which is below the panel's root. Letters of other
 * alphabets are percent-encoded, since many apps take only ASCII.
 */
export function linkOf(user: Pick<User, 'subscription_url'>): string {
  const { subscription_url: url } = user;
  if (url.startsWith('/')) return new URL(url.slice(1), root).href;
  return URL.canParse(url) ? new URL(url).href : url;
}

/** Formats that a link can be asked for, by the last part of its path. */
export const FORMATS = ['links', 'v2ray', 'xray', 'sing-box', 'clash', 'clash-meta', 'wireguard'] as const;
export type Format = (typeof FORMATS)[number];

/** User-Agents of widespread apps, to ask what such an app gets. Apps name themselves; these are the names that they send. */
export const APPS: [string, string][] = [
  ['v2rayNG', 'v2rayNG/1.10.2'],
  ['v2rayN', 'v2rayN/7.10.0'],
  ['Hiddify', 'HiddifyNext/2.5.7'],
  ['sing-box', 'SFA/1.12.0'],
  ['Streisand', 'Streisand/1.6.0'],
  ['Clash Meta', 'clash.meta/1.19.0'],
  ['FlClash', 'FlClash/0.8.80'],
  ['Shadowrocket', 'Shadowrocket/2070'],
  ['NekoBox', 'NekoBox/Android/1.3.8'],
];
