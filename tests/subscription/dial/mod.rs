//! Every kind of connection, dialled on this machine: real servers, and real clients with what the panel wrote for them.
//! The bytes reach the right inbound with the user's credentials, and a megabyte comes back unchanged.

mod cases;
mod clients;
mod inbounds;
mod more;
mod process;
mod servers;
mod traffic;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sarban::subscription::formats::{CLASH_META, LINKS, SING_BOX, XRAY};

use crate::subscription::literal::rendered_for;
use crate::subscription::referees::{MIHOMO, SING_BOXES, XRAYS};

use cases::Case;
use clients::Running;
pub use clients::links_read_by_mihomo;
use servers::Servers;
use traffic::Target;

/// Dials at the same time.
const DIALS: usize = 6;

/// Connections that a client can't do, as the start of its name, the start of the case's name and a part of it.
const IMPOSSIBLE: [(&str, &str, &str); 12] = [
    // A wrapper without a protocol.
    ("", "wrapper", ""),
    // The client sends the headers of a WebSocket, which sing-box refuses.
    ("Xray 26.10", "singbox", "httpupgrade"),
    // Mihomo scrambles mKCP as servers before Xray 26 do; Xray as those of today.
    ("Mihomo", "xray-vmess-kcp-none", "none"),
    ("Mihomo", "xray-vmess-kcp-none", "noise"),
    ("Xray", "xray-vmess-kcp-none", "old"),
    // Mihomo's reader of links has no HTTPUpgrade, no mKCP and no WireGuard.
    ("links", "", "httpupgrade"),
    ("links", "", "kcp"),
    ("links", "xray-wireguard", ""),
    // Its gRPC does not escape what Xray escapes.
    ("Mihomo", "xray", "grpc-tls-slash"),
    ("Mihomo", "xray", "grpc-tls-space"),
    ("links", "xray", "grpc-tls-s"),
    // In a link nothing says that the server has the key exchange of current versions, and Mihomo takes it for older.
    ("links", "", "reality"),
];

fn is_impossible(client: &str, case: &str) -> bool {
    let matches = |part: &str| part.is_empty() || case.contains(part) && (part != "none" || case.ends_with("none"));
    IMPOSSIBLE.iter().any(|(of, start, part)| client.starts_with(of) && case.starts_with(start) && matches(part))
}

/// Dials every case that the client has an outbound for and can do, and returns the failures.
fn dialled(client: usize, name: &str, running: &Running, cases: &[Case], servers: &Servers) -> Vec<String> {
    let (failed, next) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
    let numbered =
        cases.iter().enumerate().filter_map(|(number, case)| Some((number, case, *running.ports.get(&case.name)?)));
    let numbered = numbered.filter(|(_, case, _)| !is_impossible(name, &case.name));
    let numbered: Vec<(usize, &Case, u16)> = numbered.collect();
    let dial = |number: usize, case: &Case, port: u16| {
        let destination = traffic::destination(client, number);
        // Hysteria 2 of this version loses the packets that servers of sing-box return.
        let loses = name.starts_with("Xray 26.7") && case.name.starts_with("singbox-hysteria2");
        let has_packets = case.carries_packets() && !loses;
        let packets = || if has_packets { traffic::echoed(port, destination) } else { Ok(()) };
        traffic::fetched(port, destination).and_then(|()| packets())
    };
    std::thread::scope(|scope| {
        for _ in 0..DIALS {
            scope.spawn(|| {
                while let Some((number, case, port)) = numbered.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if dial(*number, case, *port).is_err() {
                        failed.lock().unwrap().insert(*number);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let (mut failures, mut again, logs) = (Vec::new(), Vec::new(), servers.logs());
    for (number, case, port) in numbered {
        let destination = traffic::destination(client, number);
        if !failed.contains(&number) && logs.show(case, destination).is_ok() {
            continue;
        }
        // Once more by itself: sing-box's Trojan needs its whole header in one packet, which is not always so, and Xray
        // leaves lines out of its log when it has many to write.
        again.push(case.name.as_str());
        let alone = || dial(number, case, port).and_then(|()| servers.show(case, destination));
        if let Err(error) = alone().or_else(|_| alone()).or_else(|_| alone()) {
            failures.push(format!("{}: {error}\n{}", case.name, running.lines(destination)));
        }
    }
    println!("{name}: {} dials needed another try: {again:?}", again.len());
    failures
}

#[test]
fn everything_that_is_written_carries_data() {
    let target = Target::start();
    let mut cases = cases::all();
    cases.extend(more::all());
    let servers = Servers::start(&mut cases, target.port);
    let rows: Vec<_> = cases.iter().enumerate().map(|(at, case)| case.row(at, &cases)).collect();
    let (mut failures, mut clients) = (Vec::new(), 0);
    let mut untried: BTreeSet<String> = cases.iter().map(|case| case.name.clone()).collect();
    let mut run = |client: &str, running: Running| {
        let problems = dialled(clients, client, &running, &cases, &servers);
        failures.extend(problems.into_iter().map(|problem| format!("{client}: {problem}")));
        untried.retain(|name| !running.ports.contains_key(name) || is_impossible(client, name));
        clients += 1;
    };
    for (version, package) in [XRAYS[0], XRAYS[2]] {
        let rendered = rendered_for(&XRAY, rows.clone(), &format!("Xray/{version}"));
        run(&format!("Xray {version}"), clients::xray(package, &rendered.body, &servers));
    }
    for version in SING_BOXES {
        let rendered = rendered_for(&SING_BOX, rows.clone(), &format!("sing-box {version}"));
        run(&format!("sing-box {version}"), clients::sing_box(version, &rendered.body, &servers));
    }
    let rendered = rendered_for(&CLASH_META, rows.clone(), &format!("mihomo/{MIHOMO}"));
    let mihomo = clients::mihomo(&rendered.body, &servers);
    let names: Vec<String> = mihomo.ports.keys().cloned().collect();
    run("Mihomo", mihomo);
    // An independent reader of links.
    let links = rendered_for(&LINKS, rows, &format!("mihomo/{MIHOMO}"));
    let is_written = |name: &String| {
        let number = cases.iter().position(|case| case.name == *name);
        !links.left_out.iter().any(|left| usize::try_from(left.host.0).ok() == number)
    };
    let names = names.into_iter().filter(is_written).collect();
    run("links in Mihomo", clients::mihomo_links(&links.body, names, &servers));
    let unused = servers.relayed.iter().filter(|(_, passed)| passed.load(Ordering::Relaxed) == 0);
    failures.extend(unused.map(|(name, _)| format!("{name}: no connection took the way of downloads")));
    failures.extend(untried.iter().filter(|name| !name.starts_with("wrapper")).map(|name| format!("{name}: untried")));
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
