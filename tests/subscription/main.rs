//! Subscriptions from outside: what comes out for given users and hosts, in every format.

mod compare;
mod contract;
mod literal;
mod parse;
mod properties;
mod rows;
mod snapshots;
