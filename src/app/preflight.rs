//! What `serve` will complain of, found without starting a panel: the functions that `serve` starts with are tried one by
//! one, and each says what it would say there.

use super::{background, database, listener, redis, server_certificate, templates};
use crate::cli::{Preflight, Problems};
use crate::clock::Clock;
use crate::config::{Settings, file_modes};

/// For the command line.
pub const PREFLIGHT: Preflight = Preflight { files, all: |settings| Box::pin(all(settings)) };

/// Collects the warnings of the settings, and reads the files that they name.
fn files(settings: &Settings) -> Problems {
    let mut problems = Problems { refused: settings.warnings.clone(), ..Problems::default() };
    let (_, found) = templates::read(&settings.subscription);
    for problem in found {
        let list = if problem.is_unused { &mut problems.refused } else { &mut problems.warnings };
        list.push(problem.sentence);
    }
    if let Some(Err(error)) = settings.tls.as_ref().map(server_certificate::read) {
        problems.refuse(&error);
    }
    problems
}

async fn all(settings: &Settings) -> Problems {
    let mut problems = files(settings);
    if let Err(error) = listener::probe(settings).await {
        // The old panel, or this one, may have the port until `serve` starts.
        if listener::is_in_use(&error) { problems.warn(&error) } else { problems.refuse(&error) }
    }
    if let Err(error) = database::probe(settings).await {
        problems.refuse(&error);
    }
    if !settings.http.read_only {
        match redis::access(settings, &Clock::real()) {
            Ok(Some(redis)) => {
                if let Err(error) = redis::probe(&redis).await {
                    problems.warn(&error);
                }
            }
            Ok(None) => {}
            Err(error) => problems.refuse(&error),
        }
        if let Err(error) = background::probe_spool(settings) {
            problems.refuse(&error);
        }
    }
    let open = if settings.http.read_only { file_modes::find(settings) } else { file_modes::left_open(settings) };
    problems.warnings.extend(open.iter().map(ToString::to_string));
    problems
}
