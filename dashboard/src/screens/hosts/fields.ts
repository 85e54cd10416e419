// Which fields a host has: each protocol and transport shows only what means something to it.

import type { Key } from '../../i18n/index.tsx';
import type { Draft, FlagName, TextName } from './draft.ts';

export const PROTOCOLS = ['vless', 'vmess', 'trojan', 'shadowsocks', 'hysteria2', 'tuic', 'anytls', 'shadowtls', 'wireguard'] as const;
export const NETWORKS = ['tcp', 'ws', 'grpc', 'httpupgrade', 'splithttp', 'http', 'h2', 'kcp', 'quic'] as const;

/** What decides which fields apply. */
export interface About {
  bound: boolean;
  protocol: string;
  network: string;
  security: 'none' | 'tls' | 'reality';
  headerType: string;
}

export interface Inherited { protocol: string; network: string; security: About['security']; port: string; sni: string; host: string; path: string }

const NOTHING: Inherited = { protocol: '', network: '', security: 'none', port: '', sni: '', host: '', path: '' };

/** What an inbound's configuration says, for fields that are left empty. */
export function inherited(inbound: { protocol: string; config: string } | undefined): Inherited {
  if (inbound === undefined) return NOTHING;
  let config: Record<string, unknown> = {};
  try {
    config = { ...(JSON.parse(inbound.config) as object) };
  } catch {
    // The panel takes it as empty, too.
  }
  const text = (name: string) => {
    const value = config[name];
    return Array.isArray(value) ? value.join(',') : typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  const tls = text('tls');
  return { protocol: inbound.protocol, network: text('network'), security: tls === 'tls' || tls === 'reality' ? tls : 'none', port: text('port'), sni: text('sni'), host: text('host'), path: text('path') };
}

const OTHER_NAMES: Record<string, string> = { raw: 'tcp', mkcp: 'kcp', websocket: 'ws', xhttp: 'splithttp' };

export function aboutOf(draft: Draft, from: Inherited): About {
  const bound = draft.inbound !== null;
  const network = bound ? from.network : draft.network;
  return {
    bound,
    protocol: bound ? from.protocol : draft.protocol,
    network: OTHER_NAMES[network] ?? (network === '' ? 'tcp' : network),
    security: draft.security === 'inbound_default' ? from.security : draft.security === 'tls' ? 'tls' : 'none',
    headerType: draft.header_type,
  };
}

export const NEEDS_TLS = ['hysteria2', 'tuic', 'anytls', 'shadowtls'];
const layered = ({ protocol }: About) => ['vless', 'vmess', 'trojan'].includes(protocol);
const over = (...networks: string[]) => (about: About) => layered(about) && networks.includes(about.network);
const is = (...protocols: string[]) => ({ protocol }: About) => protocols.includes(protocol);
const encrypted = (about: About) => (layered(about) && about.security !== 'none') || NEEDS_TLS.includes(about.protocol);
const plainTls = (about: About) => encrypted(about) && about.security !== 'reality';
const requests = (about: About) => over('ws', 'http', 'h2', 'httpupgrade', 'splithttp')(about) || (over('tcp')(about) && about.headerType === 'http');

interface Common { section: 'account' | 'transport' | 'security' | 'protocol' | 'xhttp' | 'mux' | 'fragment' | 'masks'; applies: (about: About) => boolean; hint?: Key }
/** `term`: a name that is the same in every language. */
type Label = { label: Key; term?: never } | { term: string; label?: never };
export type FieldSpec = Common & Label & (
  | { name: TextName; kind?: 'number' | 'lines' | 'json' }
  | { name: TextName; kind: 'choice'; choices: readonly string[]; required?: boolean }
  | { name: FlagName; kind: 'flag' }
);

const unbound = (applies: (about: About) => boolean) => (about: About) => !about.bound && applies(about);

export const FIELDS: FieldSpec[] = [
  { section: 'account', name: 'uuid', term: 'UUID', applies: unbound(is('vless', 'vmess', 'tuic')) },
  { section: 'account', name: 'password', label: 'signin.password', applies: unbound(is('trojan', 'shadowsocks', 'hysteria2', 'tuic', 'anytls', 'shadowtls')) },
  { section: 'transport', name: 'network', label: 'hosts.network', kind: 'choice', choices: NETWORKS, required: true, applies: unbound(layered) },
  { section: 'transport', name: 'header_type', label: 'hosts.header_type', kind: 'choice', choices: ['none', 'http', 'srtp', 'utp', 'wechat-video', 'dtls', 'wireguard'], applies: over('tcp', 'kcp', 'quic') },
  { section: 'transport', name: 'host', label: 'hosts.host', hint: 'hosts.host.hint', applies: requests },
  { section: 'transport', name: 'path', label: 'hosts.path', hint: 'hosts.path.hint', applies: (about) => requests(about) || over('grpc', 'kcp', 'quic')(about) },
  { section: 'transport', name: 'path', label: 'hosts.peer_key', applies: unbound(is('wireguard')) },
  { section: 'transport', name: 'early_data', label: 'hosts.early_data', kind: 'number', applies: over('ws') },
  { section: 'transport', name: 'http_headers', label: 'hosts.http_headers', hint: 'hosts.http_headers.hint', kind: 'lines', applies: requests },
  { section: 'xhttp', name: 'mode', label: 'hosts.mode', kind: 'choice', choices: ['auto', 'packet-up', 'stream-up', 'stream-one'], applies: over('splithttp') },
  { section: 'xhttp', name: 'padding_bytes', label: 'hosts.padding_bytes', applies: over('splithttp') },
  { section: 'xhttp', name: 'no_grpc_header', label: 'hosts.no_grpc_header', kind: 'flag', applies: over('splithttp') },
  { section: 'xhttp', name: 'max_concurrency', term: 'xmux.maxConcurrency', applies: over('splithttp') },
  { section: 'xhttp', name: 'max_connections', term: 'xmux.maxConnections', applies: over('splithttp') },
  { section: 'xhttp', name: 'max_reuse_times', term: 'xmux.cMaxReuseTimes', applies: over('splithttp') },
  { section: 'xhttp', name: 'max_lifetime', term: 'xmux.cMaxLifetimeMs', applies: over('splithttp') },
  { section: 'xhttp', name: 'max_request_times', term: 'xmux.hMaxRequestTimes', applies: over('splithttp') },
  { section: 'xhttp', name: 'keep_alive_period', term: 'xmux.hKeepAlivePeriod', kind: 'number', applies: over('splithttp') },
  { section: 'xhttp', name: 'xhttp_extra', term: 'extra', hint: 'hosts.xhttp_extra.hint', kind: 'json', applies: over('splithttp') },
  { section: 'security', name: 'security', label: 'hosts.security', kind: 'choice', choices: ['inbound_default', 'none', 'tls'], required: true, applies: (about) => layered(about) || NEEDS_TLS.includes(about.protocol) },
  { section: 'security', name: 'sni', term: 'SNI', hint: 'hosts.sni.hint', applies: encrypted },
  { section: 'security', name: 'alpn', term: 'ALPN', kind: 'choice', choices: ['none', 'h2', 'http/1.1', 'h2,http/1.1', 'h3', 'h3,h2', 'h3,h2,http/1.1'], required: true, applies: plainTls },
  { section: 'security', name: 'fingerprint', label: 'hosts.fingerprint', kind: 'choice', choices: ['chrome', 'firefox', 'safari', 'ios', 'android', 'edge', '360', 'qq', 'random', 'randomized'], applies: encrypted },
  { section: 'security', name: 'flow', label: 'hosts.flow', kind: 'choice', choices: ['xtls-rprx-vision', 'xtls-rprx-vision-udp443'], applies: (about) => about.protocol === 'vless' && about.network === 'tcp' },
  { section: 'security', name: 'allowinsecure', label: 'hosts.allowinsecure', hint: 'hosts.allowinsecure.hint', kind: 'flag', applies: plainTls },
  { section: 'security', name: 'pinned_peer_cert_sha256', label: 'hosts.pin', hint: 'hosts.pin.hint', applies: plainTls },
  { section: 'security', name: 'certificate_public_key_sha256', label: 'hosts.key_pin', hint: 'hosts.key_pin.hint', applies: plainTls },
  { section: 'security', name: 'ech_config_list', term: 'ECH', hint: 'hosts.ech.hint', applies: plainTls },
  { section: 'security', name: 'mldsa65_verify', term: 'ML-DSA-65', hint: 'hosts.mldsa.hint', applies: (about) => about.security === 'reality' && layered(about) },
  { section: 'security', name: 'spider_x', term: 'spiderX', applies: (about) => about.security === 'reality' && layered(about) },
  { section: 'security', name: 'encryption', label: 'hosts.encryption', hint: 'hosts.encryption.hint', applies: is('vless') },
  { section: 'protocol', name: 'shadowsocks_method', label: 'hosts.method', kind: 'choice', applies: is('shadowsocks'), choices: ['chacha20-ietf-poly1305', 'aes-128-gcm', 'aes-256-gcm', 'xchacha20-ietf-poly1305', '2022-blake3-aes-128-gcm', '2022-blake3-aes-256-gcm', '2022-blake3-chacha20-poly1305', 'none'] },
  { section: 'protocol', name: 'ports', label: 'hosts.ports', hint: 'hosts.ports.hint', applies: is('hysteria2') },
  { section: 'protocol', name: 'hop_interval', label: 'hosts.hop_interval', kind: 'number', applies: is('hysteria2') },
  { section: 'protocol', name: 'obfs', label: 'hosts.obfs', kind: 'choice', choices: ['salamander'], applies: is('hysteria2') },
  { section: 'protocol', name: 'obfs_password', label: 'hosts.obfs_password', applies: is('hysteria2') },
  { section: 'protocol', name: 'up_mbps', label: 'hosts.up_mbps', kind: 'number', applies: is('hysteria2') },
  { section: 'protocol', name: 'down_mbps', label: 'hosts.down_mbps', kind: 'number', applies: is('hysteria2') },
  { section: 'protocol', name: 'congestion_control', label: 'hosts.congestion', kind: 'choice', choices: ['cubic', 'new_reno', 'bbr'], applies: is('tuic') },
  { section: 'protocol', name: 'udp_relay_mode', label: 'hosts.udp_relay', kind: 'choice', choices: ['native', 'quic'], applies: is('tuic') },
  { section: 'protocol', name: 'shadowtls_version', label: 'hosts.version', kind: 'choice', choices: ['1', '2', '3'], applies: is('shadowtls') },
  { section: 'protocol', name: 'mtu', term: 'MTU', kind: 'number', applies: is('wireguard') },
  { section: 'protocol', name: 'dns_servers', term: 'DNS', hint: 'hosts.list.hint', applies: is('wireguard') },
  { section: 'protocol', name: 'allowed_ips', label: 'hosts.allowed_ips', hint: 'hosts.list.hint', applies: is('wireguard') },
  { section: 'mux', name: 'mux_protocol', term: 'Mux', kind: 'choice', choices: ['mux_cool', 'h2mux', 'yamux', 'smux'], applies: (about) => layered(about) || about.protocol === 'shadowsocks' },
  { section: 'mux', name: 'concurrency', term: 'concurrency', kind: 'number', applies: () => false },
  { section: 'mux', name: 'xudp_concurrency', term: 'xudpConcurrency', kind: 'number', applies: () => false },
  { section: 'mux', name: 'xudp_proxy_443', term: 'xudpProxyUDP443', kind: 'choice', choices: ['reject', 'allow', 'skip'], applies: () => false },
  { section: 'mux', name: 'mux_max_connections', term: 'max_connections', kind: 'number', applies: () => false },
  { section: 'mux', name: 'max_streams', term: 'max_streams', kind: 'number', applies: () => false },
  { section: 'mux', name: 'min_streams', term: 'min_streams', kind: 'number', applies: () => false },
  { section: 'mux', name: 'mux_padding', term: 'padding', kind: 'flag', applies: () => false },
  { section: 'fragment', name: 'packets', label: 'hosts.fragment.packets', applies: (about) => layered(about) },
  { section: 'fragment', name: 'length', label: 'hosts.fragment.length', applies: (about) => layered(about) },
  { section: 'fragment', name: 'interval', label: 'hosts.fragment.interval', applies: (about) => layered(about) },
  { section: 'masks', name: 'finalmask', term: 'finalmask', hint: 'hosts.finalmask.hint', kind: 'json', applies: (about) => about.protocol !== '' },
];

const MUX_COOL = ['concurrency', 'xudp_concurrency', 'xudp_proxy_443'];
const NOT_SET = { security: 'inbound_default', alpn: 'none' } as Partial<Record<string, string>>;

/** The fields that a form shows: those that apply, and those that are set all the same. */
export function shownFields(draft: Draft, began: Draft, about: About): FieldSpec[] {
  const isSet = ({ name }: FieldSpec) => typeof began[name] === 'boolean' ? began[name] : began[name] !== '' && began[name] !== NOT_SET[name];
  const seen = new Set<string>();
  return FIELDS.filter((field) => {
    if (seen.has(field.name)) return false;
    const applies = field.section === 'mux' && field.name !== 'mux_protocol'
      ? seen.has('mux_protocol') && draft.mux_protocol !== '' && (draft.mux_protocol === 'mux_cool') === MUX_COOL.includes(field.name)
      : field.applies(about);
    // Credentials, protocol and transport of an inbound's host are the inbound's.
    const shown = applies || (isSet(field) && !(about.bound && ['uuid', 'password', 'network'].includes(field.name)));
    if (shown) seen.add(field.name);
    return shown;
  });
}

/** The draft without what the form hides: a field that is not shown has the value that the form began with. */
export function sentDraft(draft: Draft, began: Draft, shown: readonly FieldSpec[]): Draft {
  const names = new Set(shown.map(({ name }) => name));
  const hidden = FIELDS.map(({ name }) => name).filter((name) => !names.has(name));
  return { ...draft, ...Object.fromEntries(hidden.map((name) => [name, began[name]])) };
}
