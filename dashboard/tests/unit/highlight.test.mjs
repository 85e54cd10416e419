// Colours of documents: the parts of a line are the line, whatever it is; and what each part is.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './module.mjs';

const { tokens, languageOf, decoded } = await load('ui/highlight.ts');
const parts = (line, language) => tokens(line, language).filter(({ kind }) => kind !== '').map(({ kind, text }) => `${kind}:${text}`);

test('no character of a line is lost or moved', () => {
  const lines = ['', '  "a": "b\\"c", 1.5e3,', 'key: value # note', '- {name: "x", port: 443}', 'vless://u@h:443?type=ws&path=%2F#ann', '[Peer]', 'Address = 10.0.0.2/32', '"never closed', "'it''s: \u{1f600}", '\u0000\t}{'];
  for (const language of ['json', 'yaml', 'ini', 'links']) {
    for (const line of lines) assert.equal(tokens(line, language).map(({ text }) => text).join(''), line, `${language}: ${line}`);
  }
});

test('keys, texts, numbers, words and notes are told apart', () => {
  assert.deepEqual(parts('  "port": 443, "tag": "a:b", "on": true', 'json'),
    ['key:"port"', 'mark::', 'number:443', 'mark:,', 'key:"tag"', 'mark::', 'text:"a:b"', 'mark:,', 'key:"on"', 'mark::', 'word:true']);
  assert.deepEqual(parts('- name: trueish1 # note', 'yaml'), ['mark:-', 'key:name', 'mark::', 'note:# note']);
  assert.deepEqual(parts('  port: 443', 'yaml'), ['key:port', 'mark::', 'number:443']);
  assert.deepEqual(parts('PrivateKey = abc=', 'ini')[0], 'key:PrivateKey');
  assert.deepEqual(parts('trojan://pw@h:1?a=b#x=y', 'links'), ['key:trojan://', 'mark:@', 'mark:?', 'mark:=', 'note:#x=y']);
});

test('each format has a language, and base64 is read', () => {
  assert.deepEqual(['xray', 'sing-box', 'clash', 'clash-meta', 'wireguard', 'links', 'v2ray'].map(languageOf), ['json', 'json', 'yaml', 'yaml', 'ini', 'links', 'links']);
  assert.equal(decoded(Buffer.from('vless://ü').toString('base64')), 'vless://ü');
  assert.equal(decoded('vless://not base64'), 'vless://not base64');
});
