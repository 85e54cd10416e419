//! What subscriptions depend on and what is found out once, at the start: the operator's templates and the panel's own
//! address.

use std::net::UdpSocket;
use std::path::Path;

use anyhow::Context;

use crate::actions::subscriptions::Surroundings;
use crate::config::Settings;
use crate::config::auth::AuthGeneration;
use crate::domain::credentials::KeyDerivation;
use crate::subscription::templates::{ClashTemplate, SingBoxTemplates, Templates, TemplatesError, XrayTemplate};

/// Finds it out. A template that is there and is wrong is an error; one that is not there is the built-in one.
pub fn find(settings: &Settings) -> anyhow::Result<Surroundings> {
    let mut templates = Templates::default();
    let subscription = &settings.subscription;
    if let Some(folder) = &subscription.templates {
        replace(&mut templates.xray, XrayTemplate::parse, &folder.join(&subscription.xray))?;
        replace(&mut templates.sing_box, SingBoxTemplates::parse, &folder.join(&subscription.singbox))?;
        replace(&mut templates.clash, ClashTemplate::parse, &folder.join(&subscription.clash))?;
    }
    let derivation = match settings.auth.generation {
        AuthGeneration::Xxh128 => KeyDerivation::Xxh128,
        AuthGeneration::Plain => KeyDerivation::Plain,
    };
    Ok(Surroundings { derivation, templates, server_ip: own_address().unwrap_or_else(|| "127.0.0.1".to_owned()) })
}

fn replace<T>(template: &mut T, parse: fn(&str) -> Result<T, TemplatesError>, path: &Path) -> anyhow::Result<()> {
    if path.is_file() {
        let wrong = || format!("the template {} can't be used", path.display());
        *template = parse(&std::fs::read_to_string(path).with_context(wrong)?).with_context(wrong)?;
    }
    Ok(())
}

/// The address from which this host would reach the internet. Nothing is sent: to connect a UDP socket is to ask the
/// routing table.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("8.8.8.8:53").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}
