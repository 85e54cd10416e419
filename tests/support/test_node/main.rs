//! A node for demos, load and chaos: serves the node protocol on a port, and a control port that makes it misbehave.
#![allow(missing_docs, clippy::expect_used, reason = "a program for tests")]

#[path = "mod.rs"]
mod test_node;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use test_node::{Fixture, Options, TestNode, control};

#[derive(Parser)]
#[command(name = "test_node", about = "A fake node: speaks the node protocol and counts bytes")]
struct Arguments {
    /// Users and inbounds to serve: a JSON file with `nodes`; without it a small set of inbounds of its own.
    #[arg(long)]
    nodes: Option<PathBuf>,
    /// Which of the file's nodes.
    #[arg(long, default_value = "local")]
    name: String,
    /// Where to serve; the file's address unless given.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where to be controlled: one JSON command per line.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// TLS with a fresh certificate, also where the file says nothing of it.
    #[arg(long)]
    tls: bool,
    /// The only client certificate that is taken (PEM).
    #[arg(long, requires = "tls")]
    client_certificate: Option<PathBuf>,
    /// Bytes that every user moves in a second.
    #[arg(long, default_value_t = 0)]
    bytes_per_second: u64,
    /// Answer every SyncUsers stream at its end, which nodes in the field do not.
    #[arg(long)]
    acknowledge: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let fixture = match &arguments.nodes {
        Some(path) => Fixture::read(path, &arguments.name)?,
        None => Fixture::built_in(),
    };
    let client_certificate = arguments.client_certificate.map(std::fs::read_to_string).transpose()?;
    let node = TestNode::start(Options {
        listen: arguments.listen.unwrap_or(fixture.listen),
        tls: arguments.tls || fixture.tls,
        backends: fixture.backends,
        client_certificate,
        bytes_per_second: arguments.bytes_per_second,
        acknowledge: arguments.acknowledge,
        certificate: None,
        hangs_up: false,
    })
    .await?;
    println!("serving on {}", node.address());
    if let Some(address) = arguments.control {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("controlled on {}", listener.local_addr()?);
        tokio::spawn(control::serve(listener, node.controls()));
    }
    Ok(tokio::signal::ctrl_c().await?)
}
