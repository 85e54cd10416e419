// Hosts: weights that give an order, and a form that stores what it was given.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './module.mjs';

const { before, weightsFor } = await load('screens/hosts/order.ts');
const { bodyOf, changedParts, draftOf } = await load('screens/hosts/draft.ts', { '../../i18n/format.ts': 'i18n/format.ts' });
const { aboutOf, inherited, sentDraft, shownFields } = await load('screens/hosts/fields.ts');
const { everything } = await load('api/everything.ts');

const host = (id, weight, chain_ids = []) => ({ id, weight, chain_ids });

function check(ordered, most) {
  const changed = weightsFor(ordered);
  const result = ordered.map((one) => ({ ...one, ...changed.find(({ id }) => id === one.id) }));
  assert.deepEqual([...result].sort(before).map(({ id }) => id), ordered.map(({ id }) => id));
  assert.ok(changed.length <= most, `${JSON.stringify(changed)}: at most ${most}`);
}

test('a moved host gets a weight between its neighbours; others keep theirs', () => {
  check([host(1, 1), host(2, 1), host(3, 2)], 0);
  check([host(3, 30), host(1, 10), host(2, 20)], 1);
  check([host(2, 20), host(3, 30), host(1, 10)], 1);
  check([host(1, 10), host(4, 40), host(2, 20), host(3, 30)], 1);
  check([host(3, 1), host(2, 1), host(1, 1)], 2);
  check([host(2, 1, [1]), host(1, 1)], 1);
  check([], 0);
  for (let round = 0; round < 200; round += 1) {
    const list = Array.from({ length: 1 + (round % 9) }, (_, index) => host(index + 1, Math.floor(Math.random() * 4), Math.random() < 0.3 ? [99] : []));
    for (let index = list.length - 1; index > 0; index -= 1) {
      const other = Math.floor(Math.random() * (index + 1));
      [list[index], list[other]] = [list[other], list[index]];
    }
    check(list, list.length);
  }
});

test('a form sends back what it was given, and of a change what was changed', () => {
  const full = {
    remark: 'r', address: 'a', uuid: 'u', password: 'p', protocol: 'vless', network: 'splithttp', port: 443, sni: 's', host: 'h', path: '/p', security: 'tls', alpn: 'h2', fingerprint: 'ios',
    allowinsecure: true, fragment: { packets: 'tlshello', length: '1-3', interval: '5' }, noise: [{ type: 'rand', packet: '1-2', delay: '3' }], http_headers: { A: 'b: c' }, mtu: 1400,
    dns_servers: '1.1.1.1', allowed_ips: '0.0.0.0/0', header_type: 'http', flow: 'xtls-rprx-vision', shadowtls_version: 3, shadowsocks_method: 'aes-256-gcm',
    splithttp_settings: { mode: 'auto', no_grpc_header: true, padding_bytes: '1-9', xmux: { max_concurrency: '1-2', max_connections: null, max_reuse_times: '3', max_lifetime: '4', max_request_times: '5', keep_alive_period: 6 } },
    early_data: 2048, mux_settings: { protocol: 'h2mux', mux_cool_settings: { concurrency: 8, xudp_concurrency: -1, xudp_proxy_443: 'reject' }, sing_box_mux_settings: { max_connections: 2, max_streams: 3, min_streams: 4, padding: true } },
    core_settings: {
      pinned_peer_cert_sha256: 'ab', certificate_public_key_sha256: 'c', ech_config_list: 'e', encryption: 'n', mldsa65_verify: 'm', spider_x: '/', ports: '1-2', hop_interval: 30, obfs: 'salamander', obfs_password: 'abcd',
      up_mbps: 1, down_mbps: 2, congestion_control: 'bbr', udp_relay_mode: 'quic', xhttp_extra: { downloadSettings: { port: 1 } }, finalmask: { tcp: [] },
    },
    universal: false, service_ids: [3], weight: 7, chain_ids: [5, 4], inbound_id: null,
  };
  const { inbound_id: _, ...sent } = full;
  assert.deepEqual(bodyOf(draftOf(full)), sent);
  const began = draftOf(full);
  const now = { ...began, port: '۸۴۴۳', up_mbps: '' };
  assert.deepEqual(changedParts(bodyOf(began), bodyOf(now)), { port: 8443, core_settings: { ...full.core_settings, up_mbps: null } });
  assert.deepEqual(changedParts(bodyOf(began), bodyOf({ ...began })), {});
});

test('empty fields are null, and what is no number is sent as typed, for the panel to refuse', () => {
  const body = bodyOf({ ...draftOf({}), remark: 'r', address: 'a', port: 'abc', xhttp_extra: '{' });
  assert.deepEqual([body.port, body.core_settings.xhttp_extra, body.fragment, body.mux_settings, body.splithttp_settings, body.sni, body.weight], ['abc', '{', null, null, null, null, 1]);
  assert.deepEqual(bodyOf(draftOf({ mtu: 0, sni: '', shadowtls_version: 0 })).mtu, null);
});

test('what the form hides is not sent: it has the value that the form began with', () => {
  const body = (draft, began, inbound) => bodyOf(sentDraft(draft, began, shownFields(draft, began, aboutOf(draft, inherited(inbound)))));
  const began = draftOf({ remark: 'r', address: 'a', protocol: 'vless', network: 'tcp' });
  const typed = { ...began, uuid: 'u', flow: 'xtls-rprx-vision', network: 'ws', path: '/p', packets: 'tlshello', mux_protocol: 'h2mux', max_streams: '3' };
  const vless = body(typed, began);
  assert.deepEqual([vless.uuid, vless.network, vless.path, vless.flow, vless.mux_settings.protocol], ['u', 'ws', '/p', null, 'h2mux']);
  const other = body({ ...typed, protocol: 'hysteria2', security: 'tls', sni: 's', password: 'p' }, began);
  assert.deepEqual([other.uuid, other.path, other.fragment, other.mux_settings, other.sni, other.password], [null, null, null, null, 's', 'p']);
  const hidden = { ...typed, protocol: 'hysteria2' };
  assert.equal(shownFields(hidden, began, aboutOf(hidden, inherited())).some(({ section }) => section === 'mux'), false);
  // What is stored and of no use stays in sight and stays stored.
  const stored = draftOf({ remark: 'r', address: 'a', protocol: 'hysteria2', network: 'ws', path: '/old', security: 'tls' });
  assert.deepEqual([body({ ...stored }, stored).network, body({ ...stored }, stored).path], ['ws', '/old']);
  // A host of an inbound has none of what the inbound decides, and a change of it does not touch what is stored.
  const inbound = { protocol: 'trojan', config: '{"network": "ws", "tls": "tls"}' };
  const bound = body({ ...typed, inbound: 3 }, began, inbound);
  assert.deepEqual([bound.uuid, bound.password, bound.protocol, bound.network, bound.path], [null, null, null, null, '/p']);
  const old = draftOf({ remark: 'r', address: 'a', uuid: 'u', password: 'p', protocol: 'trojan', network: 'ws', inbound_id: 3 });
  assert.deepEqual(changedParts(bodyOf(old), body({ ...old, sni: 's' }, old, inbound)), { sni: 's' });
});

test('all pages of a list are read, up to 2,000 entries', async () => {
  const rows = (total) => async ({ page, size }) => ({
    items: Array.from({ length: Math.max(0, Math.min(size, total - (page - 1) * size)) }, (_, index) => ({ id: (page - 1) * size + index })), total, pages: Math.ceil(total / size),
  });
  for (const [total, read] of [[0, 0], [100, 100], [101, 101], [950, 950], [5_000, 2_000]]) {
    const all = await everything(rows(total));
    assert.deepEqual([all.items.length, all.total], [read, total]);
    assert.deepEqual(all.items.map(({ id }) => id), Array.from({ length: read }, (_, index) => index));
  }
});
