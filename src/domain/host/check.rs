//! Values of a host that no client program takes. The API refuses them; hosts that were stored or imported with them are left
//! out of subscriptions.

use std::net::IpAddr;

use ipnet::IpNet;
use uuid::Uuid;

use super::ciphers;
use super::problem::{Problem, problem};
use super::template::HostTemplate;
use super::text::NoiseKind;
use super::tuning::{MuxSettings, Noise, is_base64, is_header, is_range, is_xhttp_mode};
use super::{CoreSettings, HostSpec, is_fragment_length, is_fragment_packets};
use crate::domain::address;

/// The largest number of streams in a connection (Xray).
const MAX_STREAMS: i64 = 1_024;

/// Header types of transports, and the obfuscation of Hysteria 2.
const HEADER_TYPES: [&str; 9] =
    ["none", "http", "srtp", "utp", "wechat-video", "dtls", "wireguard", "dns", "salamander"];

impl HostSpec {
    /// All values that no client takes, each field at most once.
    pub fn problems(&self) -> Vec<Problem> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let one_of = |value: &str, known: &[&str]| value.is_empty() || known.contains(&value);
        let method = text(&self.shadowsocks_method);
        let is_tuic = self.protocol.as_deref() == Some("tuic");
        let checks = [
            ("port", self.port.is_none_or(|port| (1..=65_535).contains(&port)), "must be between 1 and 65535"),
            (
                "uuid",
                !is_tuic || self.uuid.as_deref().is_none_or(|uuid| Uuid::try_parse(uuid).is_ok()),
                "must be a UUID with this protocol",
            ),
            (
                "flow",
                one_of(&text(&self.flow), &["xtls-rprx-vision", "xtls-rprx-vision-udp443"]),
                "must be xtls-rprx-vision, xtls-rprx-vision-udp443 or empty",
            ),
            (
                "header_type",
                one_of(&text(&self.header_type), &HEADER_TYPES),
                "must be none, http, srtp, utp, wechat-video, dtls, wireguard, dns or salamander",
            ),
            (
                "sni",
                self.sni.as_deref().is_none_or(|names| names.split(',').all(is_server_name)),
                "must be names such as example.com, separated by commas",
            ),
            (
                "allowed_ips",
                self.allowed_ips.as_deref().is_none_or(|networks| networks.split(',').all(is_network)),
                "must be networks such as 10.0.0.0/8, separated by commas",
            ),
            ("mtu", self.mtu.is_none_or(|mtu| (0..=65_535).contains(&mtu)), "must be between 0 and 65535"),
            (
                "early_data",
                self.early_data.is_none_or(|bytes| (0..=i64::from(u16::MAX)).contains(&bytes)),
                "must be between 0 and 65535 bytes",
            ),
            (
                "shadowtls_version",
                self.shadowtls_version.is_none_or(|version| (0..=3).contains(&version)),
                "must be 1, 2 or 3",
            ),
            (
                "shadowsocks_method",
                method.is_empty() || ciphers::is_known(&method),
                "must be a cipher of Shadowsocks such as aes-256-gcm",
            ),
        ];
        let mut problems: Vec<Problem> = checks
            .into_iter()
            .filter(|(_, is_valid, _)| !is_valid)
            .map(|(field, _, message)| problem(field, message))
            .collect();
        problems.extend(self.address_problem());
        problems.extend(self.mux_settings.iter().flat_map(mux_problems));
        problems.extend(self.fragment_and_noise_problems());
        problems.extend(self.xhttp_problems());
        problems.extend(self.header_problem());
        problems.extend(self.core_settings.iter().flat_map(CoreSettings::problems));
        problems
    }

    /// An address with variables is checked when it is rendered.
    fn address_problem(&self) -> Option<Problem> {
        let template = HostTemplate::parse(&self.address).ok()?;
        let literal = template.literal()?.replace('*', "x");
        address::cleaned(&literal).err().map(|error| problem("address", &error.to_string()))
    }

    fn fragment_and_noise_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(fragment) = &self.fragment {
            if !is_fragment_packets(&fragment.packets) {
                problems.push(problem("packets", "must be tlshello, or a number or a range such as 1-3, from 1"));
            }
            if !is_fragment_length(&fragment.length) {
                problems.push(problem("length", "must be a number or a range such as 10-20, from 1"));
            }
            if !is_range(&fragment.interval) {
                problems.push(problem("interval", "must be a number or a range such as 1-5"));
            }
        }
        let wrong = self.noise.iter().flatten().find_map(noise_problem);
        problems.extend(wrong);
        problems
    }

    fn header_problem(&self) -> Option<Problem> {
        let mut headers = self.http_headers.iter().flatten();
        let wrong = headers.any(|(name, value)| !is_header(name, value));
        wrong.then(|| problem("http_headers", "must have names such as X-Name, and values in one line"))
    }

    fn xhttp_problems(&self) -> Vec<Problem> {
        let Some(settings) = &self.splithttp_settings else { return Vec::new() };
        let mut problems = Vec::new();
        if !settings.mode.as_deref().is_none_or(is_xhttp_mode) {
            problems.push(problem("mode", "must be auto, packet-up, stream-up or stream-one"));
        }
        if !settings.padding_bytes.as_deref().is_none_or(|bytes| bytes.is_empty() || is_fragment_length(bytes)) {
            problems.push(problem("padding_bytes", "must be a number or a range such as 100-1000, from 1"));
        }
        if let Some(xmux) = &settings.xmux {
            if xmux.has_both_limits() {
                problems.push(problem("max_connections", "must not be given together with max_concurrency"));
            }
            problems
                .extend(xmux.wrong_range().map(|field| problem(field, "must be a number or a range such as 600-900")));
        }
        problems
    }
}

/// A name or an IP address, with `*` for random letters; nothing between two commas is ignored.
fn is_server_name(text: &str) -> bool {
    let name = text.trim().replace('*', "x");
    name.is_empty() || address::cleaned(&name).is_ok()
}

fn is_network(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok()
}

fn mux_problems(mux: &MuxSettings) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !matches!(mux.protocol.as_str(), "" | "mux_cool" | "h2mux" | "yamux" | "smux") {
        problems.push(problem("protocol", "must be mux_cool, h2mux, yamux or smux"));
    }
    if let Some(settings) = &mux.mux_cool_settings {
        let is_number = |streams: &Option<i64>| streams.is_none_or(|streams| (-1..=MAX_STREAMS).contains(&streams));
        if !is_number(&settings.concurrency) {
            problems.push(problem("concurrency", "must be between -1 and 1024"));
        }
        if !is_number(&settings.xudp_concurrency) {
            problems.push(problem("xudp_concurrency", "must be between -1 and 1024"));
        }
        if !matches!(settings.xudp_proxy_443.as_deref(), None | Some("" | "reject" | "allow" | "skip")) {
            problems.push(problem("xudp_proxy_443", "must be reject, allow or skip"));
        }
    }
    if let Some(settings) = &mux.sing_box_mux_settings {
        let numbers = [
            ("max_connections", settings.max_connections),
            ("max_streams", settings.max_streams),
            ("min_streams", settings.min_streams),
        ];
        for (field, number) in numbers {
            if !number.is_none_or(|number| (0..=i64::from(u16::MAX)).contains(&number)) {
                problems.push(problem(field, "must be between 0 and 65535"));
            }
        }
    }
    problems
}

fn noise_problem(noise: &Noise) -> Option<Problem> {
    let message = match noise.kind {
        NoiseKind::Rand if !is_fragment_length(&noise.packet) => {
            "must be a number of bytes or a range such as 10-20, from 1"
        }
        NoiseKind::Base64 if !is_base64(&noise.packet) => "must be base64",
        _ => return None,
    };
    Some(problem("packet", message))
}

#[cfg(test)]
mod tests {
    use super::super::{MuxCoolSettings, SplitHttpSettings, XMuxSettings};
    use super::*;

    fn fields(change: impl FnOnce(&mut HostSpec)) -> Vec<&'static str> {
        let mut spec = HostSpec { address: "h.example".to_owned(), ..HostSpec::default() };
        change(&mut spec);
        spec.problems().iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn values_that_clients_take_are_no_problem() {
        assert!(fields(|_| {}).is_empty());
        for address in ["*.h.example", "{SERVER_IP}", " [2001:db8::7] ", "bücher.example", "{{"] {
            assert!(fields(|spec| spec.address = address.to_owned()).is_empty() || address == "{{", "{address}");
        }
        assert!(fields(|spec| spec.port = Some(65_535)).is_empty());
        assert!(fields(|spec| spec.flow = Some("xtls-rprx-vision-udp443".to_owned())).is_empty());
        assert!(fields(|spec| spec.flow = Some(String::new())).is_empty());
    }

    #[test]
    fn values_that_no_client_takes_are_named() {
        for port in [0, -1, 70_000] {
            assert_eq!(fields(|spec| spec.port = Some(port)), ["port"], "{port}");
        }
        for address in ["", "a b", "https://h.example", "h.example:443"] {
            assert_eq!(fields(|spec| spec.address = address.to_owned()), ["address"], "{address}");
        }
        for flow in ["none", "foo", "xtls-rprx-direct"] {
            assert_eq!(fields(|spec| spec.flow = Some(flow.to_owned())), ["flow"], "{flow}");
        }
        assert_eq!(fields(|spec| spec.mtu = Some(-1)), ["mtu"]);
        assert_eq!(fields(|spec| spec.early_data = Some(-1)), ["early_data"]);
        assert_eq!(fields(|spec| spec.shadowsocks_method = Some("foo".to_owned())), ["shadowsocks_method"]);
        let tuic =
            |uuid: &str| fields(|spec| (spec.protocol, spec.uuid) = (Some("tuic".to_owned()), Some(uuid.to_owned())));
        assert_eq!((tuic("foo"), tuic("5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11")), (vec!["uuid"], vec![]));
        let mux = |settings| MuxSettings {
            protocol: "foo".to_owned(),
            sing_box_mux_settings: None,
            mux_cool_settings: Some(settings),
        };
        let wrong = MuxCoolSettings {
            concurrency: Some(100_000),
            xudp_proxy_443: Some("foo".to_owned()),
            ..Default::default()
        };
        assert_eq!(fields(|spec| spec.mux_settings = Some(mux(wrong))), ["protocol", "concurrency", "xudp_proxy_443"]);
        let noise = |kind, packet: &str| Noise { kind, packet: packet.to_owned(), delay: "1".to_owned() };
        assert_eq!(fields(|spec| spec.noise = Some(vec![noise(NoiseKind::Rand, "x")])), ["packet"]);
        assert_eq!(fields(|spec| spec.noise = Some(vec![noise(NoiseKind::Base64, "!!")])), ["packet"]);
        let both = XMuxSettings {
            max_concurrency: Some("1".to_owned()),
            max_connections: Some("1-2".to_owned()),
            ..XMuxSettings::default()
        };
        let xhttp =
            SplitHttpSettings { mode: Some("foo".to_owned()), xmux: Some(both), ..SplitHttpSettings::default() };
        assert_eq!(fields(|spec| spec.splithttp_settings = Some(xhttp)), ["mode", "max_connections"]);
        let padding = |bytes: &str| {
            let settings = SplitHttpSettings { padding_bytes: Some(bytes.to_owned()), ..SplitHttpSettings::default() };
            fields(|spec| spec.splithttp_settings = Some(settings))
        };
        assert_eq!((padding("100-1000"), padding("0-100")), (vec![], vec!["padding_bytes"]));
        assert_eq!(fields(|spec| spec.noise = Some(vec![noise(NoiseKind::Rand, "0-5")])), ["packet"]);
    }

    #[test]
    fn lists_of_names_networks_and_headers_are_checked() {
        let sni = |names: &str| fields(|spec| spec.sni = Some(names.to_owned()));
        for names in ["", "s.example, *.t.example ,", "192.0.2.1,[2001:db8::1]", "bücher.example", "*"] {
            assert!(sni(names).is_empty(), "{names}");
        }
        for names in ["a b", "s.example:443", "https://s.example", "s.example,a\nb"] {
            assert_eq!(sni(names), ["sni"], "{names}");
        }
        let allowed = |networks: &str| fields(|spec| spec.allowed_ips = Some(networks.to_owned()));
        assert!(allowed("10.0.0.0/8, ::1").is_empty() && allowed("").is_empty());
        assert_eq!((allowed("10.0.0.1/40"), allowed("foo")), (vec!["allowed_ips"], vec!["allowed_ips"]));
        let header = |name: &str, value: &str| {
            let headers = [(name.to_owned(), value.to_owned())].into();
            fields(|spec| spec.http_headers = Some(headers))
        };
        assert!(header("X-A", "b; \"c\"").is_empty() && header("Host", "").is_empty());
        for (name, value) in [("x a", "b"), ("", "b"), ("X-A", "a\nb"), ("X:Y", "b"), ("ü", "b")] {
            assert_eq!(header(name, value), ["http_headers"], "{name}: {value}");
        }
        let kind = |kind: &str| fields(|spec| spec.header_type = Some(kind.to_owned()));
        assert_eq!((kind(""), kind("wechat-video"), kind("foo")), (vec![], vec![], vec!["header_type"]));
    }
}
