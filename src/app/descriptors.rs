//! The process's limit of file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewer than this many are worth a warning: half of them are for connections.
const FEW: u64 = 1_024;

/// Raises the soft limit to the hard one: service managers start processes with a soft limit of a thousand.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "could not raise the limit of file descriptors");
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < FEW) {
        tracing::warn!(limit, "the process may open few files; half of the limit is for connections (ulimit -n)");
    }
}
