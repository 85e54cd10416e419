//! The phases of `sarban serve`, a file each. Each phase has one method, which ends it and returns the next phase.

mod connected;
mod listening;
mod running;
mod stopping;
mod waiting;

pub(super) use listening::Listening;
