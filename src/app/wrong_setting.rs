//! Faults of a start that last until somebody corrects a setting, or what it names. The process ends with exit code 2 as for every wrong
//! setting, so that a service manager leaves it ended; other faults may pass by themselves, and it is started again.

use std::io::{self, ErrorKind};

use rustls::pki_types::pem;

use crate::config::SettingsErrors;

/// Makes the error one of a wrong setting, with the same text, unless what the system said may pass by itself.
pub(super) fn wrong_setting(error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    // Without an error of the system, it is the content of a file.
    let may_pass = system_said(&error).is_some_and(|kind| !lasts(kind));
    if may_pass { error } else { SettingsErrors::found_later(format!("{error:#}")).into() }
}

/// Returns what the system said, if the error comes from there.
pub(super) fn system_said(error: &anyhow::Error) -> Option<ErrorKind> {
    error.chain().find_map(|error| match error.downcast_ref() {
        Some(pem::Error::Io(said)) => Some(said.kind()),
        _ => error.downcast_ref().map(io::Error::kind),
    })
}

/// An address that is in use, or not there yet, may be free, or there, a second later; so may memory and descriptors. A path that is
/// wrong, or that the user may not use, stays so.
const fn lasts(kind: ErrorKind) -> bool {
    use ErrorKind::{
        InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        ReadOnlyFilesystem,
    };
    matches!(
        kind,
        NotFound
            | PermissionDenied
            | NotADirectory
            | IsADirectory
            | ReadOnlyFilesystem
            | InvalidFilename
            | InvalidInput
            | InvalidData
    )
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn only_faults_that_last_are_wrong_settings() {
        let of =
            |kind: ErrorKind| Err::<(), _>(io::Error::from(kind)).context("could not read x; check X").unwrap_err();
        for (error, is_wrong) in [
            (of(ErrorKind::NotFound), true),
            (of(ErrorKind::PermissionDenied), true),
            (of(ErrorKind::ReadOnlyFilesystem), true),
            (of(ErrorKind::AddrInUse), false),
            (of(ErrorKind::AddrNotAvailable), false),
            (of(ErrorKind::OutOfMemory), false),
            (anyhow::Error::from(pem::Error::Io(ErrorKind::NotFound.into())), true),
            (anyhow::Error::from(pem::Error::Io(ErrorKind::TimedOut.into())), false),
            (pem::Error::NoItemsFound.into(), true),
            (anyhow!("the key does not belong to the certificate"), true),
        ] {
            let text = format!("{error:#}");
            let found = wrong_setting(error);
            assert_eq!(found.is::<SettingsErrors>(), is_wrong, "{text}");
            assert_eq!(format!("{found:#}"), text);
        }
    }
}
