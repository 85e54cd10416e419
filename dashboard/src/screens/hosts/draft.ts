// A host as its form holds it: a text for each field, under the name that the API gives it in errors; and back.

import type { Host, Schemas } from '../../api/client.ts';
import { numberOf } from '../../i18n/format.ts';

type Body = Schemas['HostBody'];
type Noise = Schemas['NoiseBody'];

const TEXTS = ['remark', 'address', 'uuid', 'password', 'protocol', 'network', 'sni', 'host', 'path', 'dns_servers', 'allowed_ips', 'header_type', 'flow', 'shadowsocks_method'] as const;
const NUMBERS = ['port', 'mtu', 'early_data', 'shadowtls_version'] as const;
const FRAGMENT = ['packets', 'length', 'interval'] as const;
const XMUX_TEXTS = ['max_concurrency', 'max_connections', 'max_reuse_times', 'max_lifetime', 'max_request_times'] as const;
const CORE_TEXTS = ['pinned_peer_cert_sha256', 'certificate_public_key_sha256', 'ech_config_list', 'encryption', 'mldsa65_verify', 'spider_x', 'ports', 'obfs', 'obfs_password', 'congestion_control', 'udp_relay_mode'] as const;
const CORE_NUMBERS = ['hop_interval', 'up_mbps', 'down_mbps'] as const;
const CORE_OBJECTS = ['xhttp_extra', 'finalmask'] as const;
const MUX_NUMBERS = ['mux_max_connections', 'max_streams', 'min_streams'] as const;
const OTHERS = ['security', 'alpn', 'fingerprint', 'http_headers', 'mode', 'padding_bytes', 'keep_alive_period', 'mux_protocol', 'concurrency', 'xudp_concurrency', 'xudp_proxy_443', 'weight'] as const;

export type TextName =
  | (typeof TEXTS)[number] | (typeof NUMBERS)[number] | (typeof FRAGMENT)[number] | (typeof XMUX_TEXTS)[number] | (typeof CORE_TEXTS)[number]
  | (typeof CORE_NUMBERS)[number] | (typeof CORE_OBJECTS)[number] | (typeof MUX_NUMBERS)[number] | (typeof OTHERS)[number];
export type FlagName = 'allowinsecure' | 'no_grpc_header' | 'mux_padding' | 'universal';

export type Draft = Record<TextName, string> & Record<FlagName, boolean> & {
  /** The inbound; null: a host without one. */
  inbound: number | null;
  noise: Noise[];
  services: number[];
  chain: number[];
};

// Older panels store 0 and empty texts where nothing is set.
const text = (value: unknown): string => (value === null || value === undefined || value === 0 ? '' : String(value));
const pretty = (value: unknown): string => (value === null || value === undefined ? '' : JSON.stringify(value, null, 2));

export function draftOf(host: Partial<Host>): Draft {
  const core: Record<string, unknown> = { ...host.core_settings };
  const xhttp = host.splithttp_settings ?? {};
  const xmux: Record<string, unknown> = { ...xhttp.xmux };
  const mux = host.mux_settings;
  const all = (names: readonly string[], from: Record<string, unknown>, show = text) => Object.fromEntries(names.map((name) => [name, show(from[name])]));
  return {
    ...all([...TEXTS, ...NUMBERS], host as Record<string, unknown>),
    ...all(FRAGMENT, { ...host.fragment }),
    ...all(XMUX_TEXTS, xmux),
    ...all([...CORE_TEXTS, ...CORE_NUMBERS], core),
    ...all(CORE_OBJECTS, core, pretty),
    security: host.security ?? 'inbound_default',
    alpn: host.alpn ?? 'none',
    fingerprint: host.fingerprint ?? '',
    http_headers: Object.entries(host.http_headers ?? {}).map(([name, value]) => `${name}: ${value}`).join('\n'),
    mode: text(xhttp.mode),
    padding_bytes: text(xhttp.padding_bytes),
    keep_alive_period: text(xmux.keep_alive_period),
    mux_protocol: text(mux?.protocol),
    concurrency: text(mux?.mux_cool_settings?.concurrency),
    xudp_concurrency: text(mux?.mux_cool_settings?.xudp_concurrency),
    xudp_proxy_443: text(mux?.mux_cool_settings?.xudp_proxy_443),
    mux_max_connections: text(mux?.sing_box_mux_settings?.max_connections),
    max_streams: text(mux?.sing_box_mux_settings?.max_streams),
    min_streams: text(mux?.sing_box_mux_settings?.min_streams),
    weight: String(host.weight ?? 1),
    allowinsecure: host.allowinsecure ?? false,
    no_grpc_header: xhttp.no_grpc_header ?? false,
    mux_padding: mux?.sing_box_mux_settings?.padding ?? false,
    universal: host.universal ?? false,
    inbound: host.inbound_id ?? null,
    noise: host.noise ?? [],
    services: host.service_ids ?? [],
    chain: host.chain_ids ?? [],
  } as Draft;
}

// What is no number is sent as it was typed: the panel says at its field what would be right.
const number = (typed: string): number | null => {
  const found = numberOf(typed);
  return typed.trim() === '' ? null : Number.isFinite(found) ? found : (typed as unknown as number);
};
const orNull = (typed: string): string | null => (typed.trim() === '' ? null : typed.trim());
const object = (typed: string): Record<string, unknown> | null => {
  if (typed.trim() === '') return null;
  try {
    return JSON.parse(typed) as Record<string, unknown>;
  } catch {
    return typed as unknown as Record<string, unknown>;
  }
};
const headers = (lines: string): Record<string, string> =>
  Object.fromEntries(lines.split('\n').filter((line) => line.trim() !== '').map((line) => {
    const colon = line.indexOf(':');
    return colon < 0 ? [line.trim(), ''] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  }));
/** The object, or null if nothing in it is set. */
const unlessEmpty = <T extends object>(value: T): T | null => (Object.values(value).some((one) => one !== null && one !== false) ? value : null);

/** The parts of the body that the form knows. A host of an inbound has the inbound's protocol and transport, and no credentials of its own. */
export function bodyOf(draft: Draft): Body {
  const texts = (names: readonly TextName[]) => Object.fromEntries(names.map((name) => [name, orNull(draft[name])]));
  const numbers = (names: readonly TextName[]) => Object.fromEntries(names.map((name) => [name, number(draft[name])]));
  const fragment = texts(FRAGMENT);
  const xmux = { ...texts(XMUX_TEXTS), keep_alive_period: number(draft.keep_alive_period) };
  const body = {
    ...texts(TEXTS),
    ...numbers(NUMBERS),
    ...(draft.inbound === null ? {} : { uuid: null, password: null, protocol: null, network: null }),
    remark: draft.remark,
    address: draft.address,
    security: draft.security,
    alpn: draft.alpn,
    fingerprint: draft.fingerprint,
    allowinsecure: draft.allowinsecure,
    fragment: unlessEmpty(fragment) && Object.fromEntries(FRAGMENT.map((name) => [name, draft[name].trim()])),
    noise: draft.noise.length === 0 ? null : draft.noise,
    http_headers: headers(draft.http_headers),
    splithttp_settings: unlessEmpty({ mode: orNull(draft.mode), no_grpc_header: draft.no_grpc_header || null, padding_bytes: orNull(draft.padding_bytes), xmux: unlessEmpty(xmux) }),
    mux_settings: draft.mux_protocol === '' ? null : {
      protocol: draft.mux_protocol,
      mux_cool_settings: unlessEmpty({ concurrency: number(draft.concurrency), xudp_concurrency: number(draft.xudp_concurrency), xudp_proxy_443: orNull(draft.xudp_proxy_443) }),
      sing_box_mux_settings: unlessEmpty({ max_connections: number(draft.mux_max_connections), max_streams: number(draft.max_streams), min_streams: number(draft.min_streams), padding: draft.mux_padding || null }),
    },
    core_settings: unlessEmpty({ ...texts(CORE_TEXTS), ...numbers(CORE_NUMBERS), ...Object.fromEntries(CORE_OBJECTS.map((name) => [name, object(draft[name])])) }),
    universal: draft.inbound === null && draft.universal,
    service_ids: draft.inbound === null && !draft.universal ? draft.services : [],
    weight: number(draft.weight) ?? 1,
    chain_ids: draft.chain,
  };
  return body as unknown as Body;
}

/** What differs between two bodies: whole top-level values, as a change of a host replaces them. */
export function changedParts(began: Body, now: Body): Partial<Body> {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(began[name as keyof Body]))) as Partial<Body>;
}
