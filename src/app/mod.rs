//! Wiring: builds everything, and owns start and stop.

use crate::config::Settings;
use crate::domain::workers::Workers;

/// Runs the panel until it is told to stop.
pub async fn serve(settings: Settings, workers: Workers, no_migrate: bool) -> anyhow::Result<()> {
    anyhow::bail!("{} is not wired yet ({workers}, no_migrate {no_migrate})", settings.instance.name)
}
