//! A node for demos, load and chaos tests: serves the node protocol on one port, and fault commands on another.
#![allow(missing_docs, clippy::expect_used, reason = "a program for tests")]

#[path = "mod.rs"]
mod test_node;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use test_node::{Fixture, Options, Program, TestNode, control};

#[derive(Parser)]
#[command(name = "test_node", about = "A fake node: speaks the node protocol and counts bytes")]
struct Arguments {
    /// JSON file with `nodes` and their inbounds; without it, a small built-in set of inbounds.
    #[arg(long)]
    nodes: Option<PathBuf>,
    /// Name of the node in the file.
    #[arg(long, default_value = "local")]
    name: String,
    /// Address to serve on; by default the address in the file.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address of the control port: one JSON command per line.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Serve TLS with a new certificate, even if the file does not require TLS.
    #[arg(long)]
    tls: bool,
    /// The only accepted client certificate (PEM).
    #[arg(long, requires = "tls")]
    client_certificate: Option<PathBuf>,
    /// Bytes per second and user.
    #[arg(long, default_value_t = 0)]
    bytes_per_second: u64,
    /// Answer every SyncUsers stream at its end, unlike nodes in the field.
    #[arg(long)]
    acknowledge: bool,
    /// Run this Xray, or the one in the folder of its Python package, as the engine. It runs from the first restart on.
    #[arg(long)]
    xray: Option<PathBuf>,
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
        engine: arguments.xray.map(Program::Xray),
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
