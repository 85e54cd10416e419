//! What `serve` will complain of, found without starting a panel.

use super::{listener, templates};
use crate::cli::Problems;
use crate::config::Settings;

/// Reads the files that the settings name, as `serve` does.
pub fn preflight(settings: &Settings) -> Problems {
    let mut problems = Problems::default();
    let (_, found) = templates::read(&settings.subscription);
    for problem in found {
        let list = if problem.is_unused { &mut problems.refused } else { &mut problems.warnings };
        list.push(problem.sentence);
    }
    if let Some(Err(error)) = settings.tls.as_ref().map(listener::server_config) {
        problems.refused.push(format!("{error:#}"));
    }
    problems
}
