//! A node's report of its engines and inbounds, read within bounds: what exceeds them makes the node unhealthy, and nothing
//! of the report is written.

use super::node_error::NodeError;
use super::wire;
use crate::domain::ids::NodeId;
use crate::foundation::excerpt;
use crate::store::nodes::offers::{OfferedBackend, OfferedInbound};
use crate::store::nodes::sync_state::{FirstSeen, Offer};

/// Bytes of a report: far above any real one, and little for the panel.
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;
const MOST_ENGINES: usize = 32;
const MOST_INBOUNDS: usize = 1_000;
/// Bytes of an engine's name, type and version.
const MOST_NAME: usize = 256;
const MOST_TAG: usize = 256;
const MOST_PROTOCOL: usize = 64;
const MOST_CONFIG: usize = 64 * 1024;
/// Characters of a refused text that the reason shows.
const SHOWN: usize = 60;

/// A node's report.
#[derive(Debug)]
pub(super) struct Report {
    /// Engines and inbounds, without inbounds whose config names no protocol.
    pub offer: Offer,
    /// The tags of the inbounds of each engine, without the same ones.
    pub tags_by_engine: Vec<Vec<String>>,
}

/// Reads an encoded `BackendsResponse`.
pub(super) fn read(node: NodeId, reply: &[u8], first_seen: Option<FirstSeen>) -> Result<Report, NodeError> {
    let offer = Offer { first_seen, ..Offer::default() };
    let mut reading = Reading { report: Report { offer, tags_by_engine: Vec::new() }, without_protocol: Vec::new() };
    for content in wire::contents(reply) {
        if let (1, engine) = content.map_err(malformed)? {
            reading.read_engine(engine)?;
        }
    }
    let Reading { report, without_protocol } = reading;
    if let Some(first) = without_protocol.first() {
        tracing::warn!(
            node = node.0,
            tag = excerpt(first, SHOWN),
            inbounds = without_protocol.len(),
            "the node offers inbounds whose config names no protocol; they are ignored"
        );
    }
    Ok(report)
}

/// A report as far as it was read.
struct Reading {
    report: Report,
    /// Tags of inbounds that are left out.
    without_protocol: Vec<String>,
}

impl Reading {
    fn read_engine(&mut self, engine: &[u8]) -> Result<(), NodeError> {
        if self.report.offer.backends.len() == MOST_ENGINES {
            return Err(refused(format!("more than {MOST_ENGINES} engines")));
        }
        let mut backend = OfferedBackend { name: String::new(), backend_type: String::new(), version: None };
        let mut backend_type = None;
        self.report.tags_by_engine.push(Vec::new());
        for content in wire::contents(engine) {
            match content.map_err(malformed)? {
                (1, name) => backend.name = text("the name of an engine", name, MOST_NAME)?,
                (2, kind) => backend_type = Some(text("the type of an engine", kind, MOST_NAME)?),
                (3, version) => backend.version = Some(text("the version of an engine", version, MOST_NAME)?),
                (4, inbound) => self.read_inbound(inbound)?,
                _ => {}
            }
        }
        backend.backend_type = backend_type.unwrap_or_else(|| backend.name.clone());
        self.report.offer.backends.push(backend);
        Ok(())
    }

    fn read_inbound(&mut self, inbound: &[u8]) -> Result<(), NodeError> {
        if self.report.offer.inbounds.len() + self.without_protocol.len() == MOST_INBOUNDS {
            return Err(refused(format!("more than {MOST_INBOUNDS} inbounds")));
        }
        let (mut tag, mut config) = (String::new(), String::new());
        for content in wire::contents(inbound) {
            match content.map_err(malformed)? {
                (1, bytes) => tag = text("the tag of an inbound", bytes, MOST_TAG)?,
                (2, bytes) => config = text("the configuration of an inbound", bytes, MOST_CONFIG)?,
                _ => {}
            }
        }
        match protocol(&config) {
            Some(protocol) => {
                let protocol = text("the protocol of an inbound", protocol.as_bytes(), MOST_PROTOCOL)?;
                self.report.tags_by_engine.last_mut().into_iter().for_each(|tags| tags.push(tag.clone()));
                self.report.offer.inbounds.push(OfferedInbound { tag, protocol, config });
            }
            None => self.without_protocol.push(tag),
        }
        Ok(())
    }
}

fn protocol(config: &str) -> Option<String> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    config.get("protocol")?.as_str().map(str::to_owned)
}

fn text(what: &str, bytes: &[u8], most: usize) -> Result<String, NodeError> {
    let shown = || excerpt(&String::from_utf8_lossy(bytes), SHOWN);
    if bytes.len() > most {
        let length = bytes.len();
        return Err(refused(format!("{what} has {length} bytes, and {most} are accepted: {}", shown())));
    }
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        Ok(_) => Err(refused(format!("{what} contains a NUL character: {}", shown()))),
        Err(_) => Err(refused(format!("{what} is not UTF-8: {}", shown()))),
    }
}

fn malformed(_: wire::Malformed) -> NodeError {
    refused("a message that is not in the node protocol's format".to_owned())
}

const fn refused(reason: String) -> NodeError {
    NodeError::Report { reason }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::nodes::proto::{Backend, BackendsResponse, Inbound};

    fn inbound(tag: &str, config: &str) -> Inbound {
        Inbound { tag: tag.into(), config: Some(config.into()) }
    }

    fn of(backends: Vec<Backend>) -> Result<Offer, String> {
        let reply = BackendsResponse { backends }.encode_to_vec();
        read(NodeId(1), &reply, None).map(|report| report.offer).map_err(|error| error.to_string())
    }

    fn engine(inbounds: Vec<Inbound>) -> Backend {
        Backend { name: "xray".into(), inbounds, ..Backend::default() }
    }

    const VLESS: &str = r#"{"protocol":"vless"}"#;

    #[test]
    fn inbound_without_protocol_is_left_out() {
        let bare = Inbound { tag: "bare".into(), config: None };
        let offer = of(vec![engine(vec![inbound("good", VLESS), bare, inbound("broken", "{")])]).unwrap();
        assert_eq!(offer.inbounds.len(), 1);
        assert_eq!((offer.inbounds[0].tag.as_str(), offer.inbounds[0].protocol.as_str()), ("good", "vless"));
        assert_eq!(offer.inbounds[0].config, VLESS);
        assert_eq!(offer.backends[0].backend_type, "xray", "the type defaults to the engine's name");
        let typed = Backend { r#type: Some("t".into()), version: Some("1".into()), ..engine(vec![]) };
        let offer = of(vec![typed]).unwrap();
        assert_eq!((offer.backends[0].backend_type.as_str(), offer.backends[0].version.as_deref()), ("t", Some("1")));
    }

    #[test]
    fn report_beyond_its_bounds_is_refused_with_the_reason() {
        let many = |count: usize| (0..count).map(|n| inbound(&format!("tag{n}"), VLESS)).collect::<Vec<_>>();
        assert_eq!(of(vec![engine(many(600)), engine(many(400))]).unwrap().inbounds.len(), MOST_INBOUNDS);
        let long = "x".repeat(1 << 20);
        let config = format!(r#"{{"protocol":"vless","path":"{}"}}"#, "x".repeat(MOST_CONFIG));
        let cases = [
            (vec![engine(many(600)), engine(many(401))], "more than 1000 inbounds"),
            (vec![Backend::default(); 33], "more than 32 engines"),
            (
                vec![engine(vec![inbound(&long, VLESS)])],
                "the tag of an inbound has 1048576 bytes, and 256 are accepted: xxx",
            ),
            (vec![engine(vec![inbound("a\0b", VLESS)])], r"the tag of an inbound contains a NUL character: a\u{0}b"),
            (vec![engine(vec![inbound("a", &config)])], "the configuration of an inbound has"),
            (
                vec![engine(vec![inbound("a", "{\"protocol\":\"a\\u0000\"}")])],
                "the protocol of an inbound contains a NUL",
            ),
            (vec![Backend { name: long.clone(), ..Backend::default() }], "the name of an engine has"),
            (vec![Backend { version: Some("\0".into()), ..engine(vec![]) }], "the version of an engine contains a NUL"),
        ];
        for (backends, reason) in cases {
            let error = of(backends).unwrap_err();
            assert!(error.contains(reason), "{error}: not {reason}");
            assert!(error.len() < 400, "{error}");
        }
        for bytes in [&[0x0a, 5, 1][..], &[0x0a, 4, 0x0a, 2, 0xff, 0xfe]] {
            assert!(read(NodeId(1), bytes, None).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn empty_entries_are_counted_and_not_built() {
        let engines = [0x0a, 0].repeat(MOST_BYTES / 2);
        let inbounds = [&[0x0a, 0x80, 0x80, 0x80, 1][..], &[0x22, 0].repeat(1 << 20)].concat();
        for (reply, reason) in [(engines, "more than 32 engines"), (inbounds, "more than 1000 inbounds")] {
            assert!(read(NodeId(1), &reply, None).unwrap_err().to_string().contains(reason));
        }
    }
}
