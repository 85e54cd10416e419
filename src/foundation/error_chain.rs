//! An error together with its sources, for people and for the log.

use std::error::Error;

/// The error and its sources, outermost first, on one line: `PING failed: connection refused`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The error as `tracing` wants it to log its sources too: `tracing::warn!(error = with_sources(&error), "…")`.
pub fn with_sources<E: Error + 'static>(error: &E) -> &(dyn Error + 'static) {
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not read the file")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_is_the_error_and_its_sources() {
        let error = Outer(std::io::Error::other("disk full"));
        assert_eq!(chain(&error), "could not read the file: disk full");
        assert_eq!(chain(&std::io::Error::other("disk full")), "disk full");
    }
}
