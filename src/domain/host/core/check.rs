//! Values of [`CoreSettings`] that the cores refuse, or that could never work.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::super::problem::{Problem, problem};
use super::CoreSettings;
use super::finalmask::is_finalmask;
use super::values::{is_mldsa65_key, is_pin, is_spider_path, port_ranges};
use super::xhttp::is_extra;

/// Bytes of the keys of VLESS encryption: X25519 and ML-KEM-768.
const ENCRYPTION_KEYS: [usize; 2] = [32, 1_184];
/// Shorter parts of VLESS encryption are padding.
const SHORTEST_KEY: usize = 20;
/// The bytes that the first padding of VLESS encryption has at least.
const SHORTEST_PADDING: u32 = 35;
/// The bytes that all paddings of VLESS encryption have at most.
const LONGEST_PADDING: u64 = 65_553;
/// The shortest password that Hysteria 2 takes for its obfuscation, in bytes.
const SHORTEST_OBFS_PASSWORD: usize = 4;
/// The most that a bandwidth can be: 100 gigabits a second.
const MAX_MBPS: i64 = 100_000;
/// A check of one field: its name, the result, the right form, and why a host with another value is left out.
type Check = (&'static str, bool, &'static str, &'static str);

impl CoreSettings {
    /// All values that no core takes.
    pub fn problems(&self) -> Vec<Problem> {
        let wrong = self.checks().into_iter().filter(|(_, is_valid, ..)| !is_valid);
        wrong.map(|(field, _, message, _)| problem(field, message)).collect()
    }

    /// Why no client could use a host with these settings.
    pub fn refusal(&self) -> Option<&'static str> {
        self.checks().into_iter().find(|(_, is_valid, ..)| !is_valid).map(|(.., reason)| reason)
    }

    fn checks(&self) -> [Check; 16] {
        let valid = |text: &Option<String>, is_valid: fn(&str) -> bool| {
            text.as_deref().is_none_or(|text| text.is_empty() || is_valid(text))
        };
        let between = |number: Option<i64>, low: i64, high: i64| {
            number.is_none_or(|number| number == 0 || (low..=high).contains(&number))
        };
        let has_obfs = self.obfs.as_deref().is_some_and(|obfs| !obfs.is_empty());
        let password = self.obfs_password.as_deref().unwrap_or_default();
        let has_password = password.len() >= SHORTEST_OBFS_PASSWORD || password.is_empty() && !has_obfs;
        [
            (
                "pinned_peer_cert_sha256",
                valid(&self.pinned_peer_cert_sha256, is_pin),
                "must be the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons",
                "its pinned certificate (pinned_peer_cert_sha256) is not valid",
            ),
            (
                "certificate_public_key_sha256",
                valid(&self.certificate_public_key_sha256, |text| is_key(&STANDARD, text, &[32])),
                "must be the SHA-256 of a public key in base64",
                "its pinned public key (certificate_public_key_sha256) is not valid",
            ),
            (
                "ech_config_list",
                valid(&self.ech_config_list, is_ech),
                "must be a list of ECH configurations in base64, or a DNS server such as https://1.1.1.1/dns-query",
                "its ECH configuration (ech_config_list) is not valid",
            ),
            (
                "encryption",
                valid(&self.encryption, is_encryption),
                "must be none or the client's VLESS encryption such as mlkem768x25519plus.native.0rtt.KEY",
                "its VLESS encryption is not valid",
            ),
            (
                "mldsa65_verify",
                valid(&self.mldsa65_verify, is_mldsa65_key),
                "must be an ML-DSA-65 public key in base64url",
                "its ML-DSA-65 key (mldsa65_verify) is not valid",
            ),
            (
                "spider_x",
                valid(&self.spider_x, is_spider_path),
                "must be a path that starts with a slash",
                "its spiderX is not valid",
            ),
            (
                "ports",
                valid(&self.ports, |ports| port_ranges(ports).is_some()),
                "must be ports and ranges such as 1000-2000,3000",
                "its ports are not valid",
            ),
            (
                "hop_interval",
                between(self.hop_interval, 5, 86_400),
                "must be between 5 and 86400 seconds",
                "its hop_interval is not valid",
            ),
            ("obfs", valid(&self.obfs, |obfs| obfs == "salamander"), "must be salamander", "its obfs is not valid"),
            (
                "obfs_password",
                has_password,
                "must have at least 4 characters, and must not be missing with obfs",
                "the password of its obfuscation is missing or too short",
            ),
            (
                "up_mbps",
                between(self.up_mbps, 1, MAX_MBPS),
                "must be between 1 and 100000",
                "its bandwidth (up_mbps) is not valid",
            ),
            (
                "down_mbps",
                between(self.down_mbps, 1, MAX_MBPS),
                "must be between 1 and 100000",
                "its bandwidth (down_mbps) is not valid",
            ),
            (
                "congestion_control",
                valid(&self.congestion_control, |word| matches!(word, "cubic" | "new_reno" | "bbr")),
                "must be cubic, new_reno or bbr",
                "its congestion_control is not valid",
            ),
            (
                "udp_relay_mode",
                valid(&self.udp_relay_mode, |word| matches!(word, "native" | "quic")),
                "must be native or quic",
                "its udp_relay_mode is not valid",
            ),
            (
                "xhttp_extra",
                self.xhttp_extra.as_ref().is_none_or(is_extra),
                "must be settings of XHTTP with Xray's names and types, and downloadSettings with an address, a port and the network xhttp",
                "its XHTTP settings (xhttp_extra) are not valid",
            ),
            (
                "finalmask",
                self.finalmask.as_ref().is_none_or(is_finalmask),
                "must have tcp or udp with a list of disguises that Xray knows, or quicParams",
                "its finalmask is not valid",
            ),
        ]
    }
}

fn is_key(alphabet: &impl base64::Engine, text: &str, sizes: &[usize]) -> bool {
    alphabet.decode(text).is_ok_and(|key| sizes.contains(&key.len()))
}

/// A list begins with its length. A server to ask may stand behind a name and a plus sign.
fn is_ech(text: &str) -> bool {
    if let Some((start, rest)) = text.split_once("://") {
        let scheme = start.rsplit('+').next().unwrap_or_default();
        let is_text = !text.contains(char::is_whitespace) && !start.starts_with('+');
        return matches!(scheme, "https" | "h2c" | "udp") && !rest.is_empty() && is_text;
    }
    STANDARD.decode(text).is_ok_and(|list| match list.as_slice() {
        [high, low, rest @ ..] => !rest.is_empty() && usize::from(u16::from_be_bytes([*high, *low])) == rest.len(),
        _ => false,
    })
}

fn is_encryption(text: &str) -> bool {
    if text == "none" {
        return true;
    }
    let parts: Vec<&str> = text.split('.').collect();
    let ["mlkem768x25519plus", "native" | "xorpub" | "random", "0rtt" | "1rtt", rest @ ..] = parts.as_slice() else {
        return false;
    };
    let padding = rest.iter().take_while(|part| part.len() < SHORTEST_KEY).count();
    has_valid_keys(&rest[padding..]) && is_padding(&rest[..padding])
}

/// True for at least one key of VLESS encryption and nothing else.
fn has_valid_keys(keys: &[&str]) -> bool {
    !keys.is_empty() && keys.iter().all(|key| is_key(&URL_SAFE_NO_PAD, key, &ENCRYPTION_KEYS))
}

/// Lengths and pauses in turn, each a probability and a range as in `100-111-1111`. The first length is always there, and
/// all lengths together are limited.
fn is_padding(parts: &[&str]) -> bool {
    let read = |part: &&str| {
        let numbers: Option<Vec<u32>> = part.split('-').map(|number| number.parse().ok()).collect();
        <[u32; 3]>::try_from(numbers?).ok()
    };
    let Some(read) = parts.iter().map(read).collect::<Option<Vec<_>>>() else { return false };
    let is_first_long = read
        .first()
        .is_none_or(|[odds, least, most]| *odds >= 100 && *least >= SHORTEST_PADDING && *most >= SHORTEST_PADDING);
    let total: u64 = read.iter().step_by(2).map(|[_, least, most]| u64::from(*least.max(most))).sum();
    is_first_long && total <= LONGEST_PADDING
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn wrong(settings: Value) -> Vec<&'static str> {
        let settings: CoreSettings = from_value(settings).unwrap();
        let fields: Vec<&str> = settings.problems().iter().map(|problem| problem.field).collect();
        assert_eq!(settings.refusal().is_some(), !fields.is_empty());
        fields
    }

    #[test]
    fn values_that_cores_take_are_no_problem() {
        let colons = ["AA"; 32].join(":");
        let (x25519, mlkem) = (URL_SAFE_NO_PAD.encode([1; 32]), URL_SAFE_NO_PAD.encode([0; 1_184]));
        for settings in [
            json!({}),
            json!({"pinned_peer_cert_sha256": "aB".repeat(32)}),
            json!({"pinned_peer_cert_sha256": colons}),
            json!({"certificate_public_key_sha256": STANDARD.encode([1; 32])}),
            json!({"ech_config_list": STANDARD.encode([0, 2, 1, 1])}),
            json!({"ech_config_list": "example.com+https://1.1.1.1/dns-query"}),
            json!({"encryption": "none"}),
            json!({"encryption": format!("mlkem768x25519plus.native.0rtt.{x25519}")}),
            json!({"encryption": format!("mlkem768x25519plus.xorpub.1rtt.100-111-1111.75-0-111.{x25519}.{mlkem}")}),
            json!({"mldsa65_verify": URL_SAFE_NO_PAD.encode([1; 1_952]), "spider_x": "/a?b=c"}),
            json!({"ports": "1000-2000,3000", "hop_interval": 30, "up_mbps": 20, "down_mbps": 100}),
            json!({"obfs": "salamander", "obfs_password": "abcd"}),
            json!({"congestion_control": "bbr", "udp_relay_mode": "quic"}),
            json!({"xhttp_extra": {"xPaddingBytes": "100-1000", "scMaxEachPostBytes": 1000, "noGRPCHeader": true,
                "headers": {"X": "y"}, "xmux": {"maxConcurrency": "16-32", "hKeepAlivePeriod": -1},
                "downloadSettings": {"address": "d.example", "port": 443, "network": "xhttp"}}}),
            json!({"finalmask": {"tcp": [{"type": "fragment", "settings": {"packets": "tlshello", "length": "1-3"}}], "quicParams": {}}}),
        ] {
            assert!(wrong(settings.clone()).is_empty(), "{settings}");
        }
    }

    #[test]
    fn values_that_no_core_takes_are_named() {
        for (field, values) in [
            ("pinned_peer_cert_sha256", vec![json!("foo"), json!("aa"), json!("zz".repeat(32)), json!(":".repeat(64))]),
            ("certificate_public_key_sha256", vec![json!("foo"), json!("aa".repeat(32))]),
            ("ech_config_list", vec![json!("foo"), json!("AAAA"), json!("ftp://a"), json!("https://")]),
            (
                "encryption",
                vec![
                    json!("foo"),
                    json!("mlkem768x25519plus.native.0rtt"),
                    json!("mlkem768x25519plus.foo.0rtt.AAAA"),
                    json!(format!("mlkem768x25519plus.native.0rtt.100-1-2.{}", URL_SAFE_NO_PAD.encode([1; 32]))),
                    json!(format!("mlkem768x25519plus.native.0rtt.50-111-1111.{}", URL_SAFE_NO_PAD.encode([1; 32]))),
                ],
            ),
            ("mldsa65_verify", vec![json!("foo"), json!("AAAA")]),
            ("spider_x", vec![json!("a"), json!("/a b")]),
            (
                "ports",
                vec![
                    json!("x"),
                    json!("0"),
                    json!("2-1"),
                    json!("1-70000"),
                    json!("1,"),
                    json!("+5"),
                    json!("1 - 2"),
                    json!(vec!["1"; 29].join(",")),
                ],
            ),
            ("hop_interval", vec![json!(-1), json!(4), json!(100_000)]),
            ("obfs", vec![json!("foo")]),
            ("up_mbps", vec![json!(-1)]),
            ("down_mbps", vec![json!(-1)]),
            ("congestion_control", vec![json!("foo")]),
            ("udp_relay_mode", vec![json!("foo")]),
            (
                "xhttp_extra",
                vec![
                    json!({"xPaddingBytes": "x"}),
                    json!({"noGRPCHeader": "yes"}),
                    json!({"headers": {"a": 1}}),
                    json!({"xmux": {"maxConcurrency": 1, "maxConnections": 1}}),
                    json!({"downloadSettings": {"port": 443}}),
                    json!({"downloadSettings": {"address": "a", "port": 0}}),
                ],
            ),
            (
                "finalmask",
                vec![
                    json!({"foo": 1}),
                    json!({"tcp": {}}),
                    json!({"tcp": [{"type": "fragment", "settings": {}}]}),
                    json!({"tcp": [{"type": "fragment", "settings": {"packets": "foo", "length": "1"}}]}),
                    json!({"udp": [{"type": "foo"}]}),
                ],
            ),
        ] {
            for value in values {
                let named = wrong(json!({field: value, "obfs_password": "abcd"}));
                assert_eq!(named, [field], "{value}");
            }
        }
        assert_eq!(wrong(json!({"obfs_password": "abc"})), ["obfs_password"]);
        assert_eq!(wrong(json!({"obfs": "salamander"})), ["obfs_password"]);
        assert_eq!(wrong(json!({"obfs": "salamander", "obfs_password": "abc"})), ["obfs_password"]);
    }
}
