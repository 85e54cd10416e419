//! What the programs refuse, host by host.

use std::fmt::Write as _;

use sarban::subscription::Format;
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{CLASH, CLASH_META, LINKS, SING_BOX, XRAY};
use serde_json::{Value, json};

use crate::subscription::dial::links_read_by_mihomo;
use crate::subscription::literal::rendered_for;
use crate::subscription::parse;
use crate::subscription::referees::{self, MIHOMO, SING_BOXES, XRAYS, Xray};

/// Refusals that are looked up in one document; the rest is most often the same fault.
const MOST: usize = 20;

/// Renders the hosts for every program of every age, and describes each host whose document is refused.
pub fn refusals(rows: &[HostRow]) -> Vec<String> {
    let mut found = Vec::new();
    for (version, package) in XRAYS {
        let (agent, xray) = (format!("Xray/{version}"), Xray::new(package));
        let accepts = |document: &str| xray_accepts(&xray, document);
        judge(&XRAY, &agent, rows, &accepts, &mut found);
    }
    for version in SING_BOXES {
        let accepts = |document: &str| sing_box_accepts(version, document);
        judge(&SING_BOX, &format!("sing-box {version}"), rows, &accepts, &mut found);
    }
    for format in [&CLASH, &CLASH_META] {
        let agent = format!("mihomo/{MIHOMO}");
        judge(format, &agent, rows, &|document| referees::mihomo(document), &mut found);
    }
    let accepts = |document: &str| links_are_read(document);
    judge(&LINKS, "", rows, &accepts, &mut found);
    found
}

fn judge(
    format: &Format,
    agent: &str,
    rows: &[HostRow],
    accepts: &dyn Fn(&str) -> Result<(), String>,
    found: &mut Vec<String>,
) {
    let refused = |rows: &[HostRow]| accepts(&rendered_for(format, rows.to_vec(), agent).body).err();
    let mut parts = vec![rows];
    let mut described = 0;
    while let Some(part) = parts.pop()
        && described < MOST
    {
        let Some(error) = refused(part) else { continue };
        match part {
            [one] => {
                let body = rendered_for(format, part.to_vec(), agent).body;
                let body = if format.client_type == "xray" { outbounds(&body).to_string() } else { body };
                let error = error.lines().last().unwrap_or_default();
                let mut text = format!("{} for {agent:?}: {error}\n", format.client_type);
                let mut spec = serde_json::to_value(&one.host.spec).unwrap();
                remove_nulls(&mut spec);
                let inbound = one.inbound.as_ref().map(|inbound| (&inbound.protocol, &inbound.config));
                let _ = write!(text, "  host {spec}\n  inbound {inbound:?}\n  written {body}");
                found.push(text);
                described += 1;
            }
            several => {
                let (left, right) = several.split_at(several.len() / 2);
                // Hosts that are refused only together, such as two with one name, have no half that is.
                if refused(left).is_none() && refused(right).is_none() {
                    let names: Vec<&str> = several.iter().map(|row| row.host.spec.remark.as_str()).collect();
                    found.push(format!("{} for {agent:?}: {error}\n  together {names:?}", format.client_type));
                    described += 1;
                }
                parts.extend([left, right]);
            }
        }
    }
}

fn remove_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, value| !value.is_null());
        members.values_mut().for_each(remove_nulls);
    }
}

/// The first outbounds of all configurations, with the ones that each dials through.
fn outbounds(document: &str) -> Value {
    let configurations: Vec<Value> = serde_json::from_str(document).unwrap();
    let named = |(at, configuration): (usize, &Value)| {
        let mut outbounds: Vec<Value> = serde_json::from_value(configuration["outbounds"].clone()).unwrap();
        // The last two are the template's.
        outbounds.retain(|outbound| at == 0 || !matches!(outbound["tag"].as_str(), Some("direct" | "block")));
        for outbound in &mut outbounds {
            outbound["tag"] = format!("{at} {}", outbound["tag"].as_str().unwrap()).into();
            if let Some(through) = outbound.pointer_mut("/streamSettings/sockopt/dialerProxy") {
                *through = format!("{at} {}", through.as_str().unwrap()).into();
            }
        }
        outbounds
    };
    configurations.iter().enumerate().flat_map(named).collect()
}

fn xray_accepts(xray: &Xray, document: &str) -> Result<(), String> {
    let document = json!({"log": {"loglevel": "warning"}, "outbounds": outbounds(document)});
    if xray.starts(&document) { Ok(()) } else { Err("does not start".to_owned()) }
}

fn sing_box_accepts(version: &str, document: &str) -> Result<(), String> {
    let document = referees::checkable(serde_json::from_str(document).map_err(|error| error.to_string())?);
    referees::sing_box_runs(version, &document)
}

/// Each line is a link in plain ASCII that reads back, and Mihomo finds a server in as many as it should.
fn links_are_read(document: &str) -> Result<(), String> {
    let lines: Vec<&str> = document.lines().filter(|line| !line.is_empty()).collect();
    for line in &lines {
        if !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("letters that a link can't have".to_owned());
        }
        let link = parse::link(line);
        let port = if link["scheme"] == "vmess" { &link["parts"]["port"] } else { &link["port"] };
        if port.as_str().is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(format!("no port: {link}"));
        }
    }
    // Its reader has no WireGuard.
    let expected = lines.iter().filter(|line| !line.starts_with("wireguard:")).count();
    let read = if expected == 0 { 0 } else { links_read_by_mihomo(document) };
    if read == expected { Ok(()) } else { Err(format!("Mihomo reads {read} of {expected} links")) }
}
