//! What subscriptions depend on and what is found out once, at the start: the operator's templates and the panel's own
//! address.

use std::net::UdpSocket;

use super::templates;
use crate::actions::subscriptions::RenderContext;
use crate::config::Settings;
use crate::config::auth::AuthGeneration;
use crate::domain::credentials::KeyDerivation;

/// Finds it out.
pub fn find(settings: &Settings) -> anyhow::Result<RenderContext> {
    let derivation = match settings.auth.generation {
        AuthGeneration::Xxh128 => KeyDerivation::Xxh128,
        AuthGeneration::Plain => KeyDerivation::Plain,
    };
    let templates = templates::read(&settings.subscription)?;
    Ok(RenderContext { derivation, templates, server_ip: own_address().unwrap_or_else(|| "127.0.0.1".to_owned()) })
}

/// The address from which this host would reach the internet. Nothing is sent: to connect a UDP socket is to ask the
/// routing table.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("8.8.8.8:53").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}
