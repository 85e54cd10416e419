//! Opens the panel for a command, and closes it.

use anyhow::Context;

use super::database;
use crate::actions::Panel;
use crate::clock::Clock;
use crate::cluster::panel_redis::PanelRedis;
use crate::cluster::wakeup_relay;
use crate::config::Settings;
use crate::domain::audit::{Actor, Origin};

/// Opens the panel's database for use cases.
pub(super) async fn open(settings: &Settings) -> anyhow::Result<Panel> {
    let panel = Panel::new(database::open_migrated(settings).await?, Clock::real());
    Ok(panel.on_behalf_of(Origin::of(Actor::Command)))
}

/// Closes the panel. If the command has changed something, the running panels are woken over Redis first; without Redis
/// they show the change after a second.
pub(super) async fn close(panel: Panel, settings: &Settings) {
    if panel.changes.any()
        && let Err(error) = wake_panels(&panel, settings).await
    {
        tracing::debug!("could not wake the running panels: {error:#}");
    }
    panel.db.close().await;
}

async fn wake_panels(panel: &Panel, settings: &Settings) -> anyhow::Result<()> {
    let Some(redis) = &settings.redis else { return Ok(()) };
    let redis = PanelRedis::new(redis, settings.instance.cluster.as_str(), panel.clock.clone())
        .with_context(|| format!("{} can't be used", settings.sources.of("REDIS_URL")))?;
    wakeup_relay::publish_once(panel.changes.wakeup(), &redis).await.context("could not publish")
}
