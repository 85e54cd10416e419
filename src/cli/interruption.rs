//! A command that is interrupted while it writes something large ends in order, so that nothing of it is left.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::foundation::is_ignored;

/// Waits for SIGINT, SIGTERM or SIGHUP, which do not end the process from the call on. Those that the parent ignores, as `nohup`
/// does, stay ignored.
pub(super) fn interruption() -> impl Future<Output = ()> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let heeded = kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value()));
    // A signal that can't be received ends the process as ever.
    let mut signals: Vec<Signal> = heeded.filter_map(|kind| signal(kind).ok()).collect();
    poll_fn(move |context| match signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}
