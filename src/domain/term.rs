//! A leader's term: its epoch, the deadline until which it is trusted, and its open fenced work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};

use super::ids::Epoch;
use super::moment::BootTime;

/// One term of leadership. Clones share one state: only the lease renewal moves the deadline.
#[derive(Clone, Debug)]
pub struct Term(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    epoch: Epoch,
    /// CLOCK_BOOTTIME microseconds; `i64::MIN` once the term has ended.
    deadline: AtomicI64,
    closing: AtomicBool,
    open: AtomicUsize,
}

/// A piece of fenced work in progress; a closing term waits for it.
#[derive(Debug)]
pub struct OpenWork(Term);

impl Term {
    /// A term that is trusted until `deadline`.
    pub fn new(epoch: Epoch, deadline: BootTime) -> Self {
        Self(Arc::new(Inner {
            epoch,
            deadline: AtomicI64::new(deadline.micros()),
            closing: AtomicBool::new(false),
            open: AtomicUsize::new(0),
        }))
    }

    /// The number of this term in the database.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// True while work may be started and messages sent. Check directly before each.
    pub fn is_alive(&self, now: BootTime) -> bool {
        now.micros() < self.0.deadline.load(SeqCst)
    }

    /// Microseconds until the deadline.
    pub fn remaining(&self, now: BootTime) -> i64 {
        self.0.deadline.load(SeqCst).saturating_sub(now.micros()).max(0)
    }

    /// Moves the deadline after a renewal. It never goes back, and an ended term stays ended.
    pub fn extend(&self, deadline: BootTime) {
        let _ = self.0.deadline.fetch_update(SeqCst, SeqCst, |old| {
            (old != i64::MIN && deadline.micros() > old).then_some(deadline.micros())
        });
    }

    /// Ends the term for the whole process, permanently.
    pub fn end(&self) {
        self.0.deadline.store(i64::MIN, SeqCst);
    }

    /// True after [`Term::end`]; a term whose deadline merely passed may still be renewed.
    pub fn has_ended(&self) -> bool {
        self.0.deadline.load(SeqCst) == i64::MIN
    }

    /// Closes the term: new fenced work is refused, open work may finish.
    pub fn close(&self) {
        self.0.closing.store(true, SeqCst);
    }

    /// Registers a piece of fenced work; `None` when the term is over or closing.
    pub fn begin_work(&self, now: BootTime) -> Option<OpenWork> {
        // Count first, then check: after `close` and `open_work() == 0` no work can begin.
        self.0.open.fetch_add(1, SeqCst);
        let work = OpenWork(self.clone());
        (self.is_alive(now) && !self.0.closing.load(SeqCst)).then_some(work)
    }

    /// The number of open pieces of fenced work.
    pub fn open_work(&self) -> usize {
        self.0.open.load(SeqCst)
    }
}

impl OpenWork {
    /// Registers a part of this work, also while the term is closing. `None` when the term is over.
    pub fn part(&self, now: BootTime) -> Option<Self> {
        self.0.0.open.fetch_add(1, SeqCst);
        let part = Self(self.0.clone());
        self.0.is_alive(now).then_some(part)
    }
}

impl Drop for OpenWork {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: i64) -> BootTime {
        BootTime::from_micros(micros)
    }

    #[test]
    fn deadline_only_moves_forward() {
        let term = Term::new(Epoch(1), at(10));
        term.extend(at(20));
        term.extend(at(15));
        assert!(term.is_alive(at(19)));
        assert!(!term.is_alive(at(20)));
    }

    #[test]
    fn late_renewal_does_not_revive_an_ended_term() {
        let term = Term::new(Epoch(1), at(10));
        term.end();
        term.extend(at(1_000));
        assert!(term.has_ended());
        assert!(!term.is_alive(at(0)));
    }

    #[test]
    fn closing_term_finishes_open_work_and_refuses_new_work() {
        let term = Term::new(Epoch(1), at(10));
        let work = term.begin_work(at(1)).expect("the term is alive");
        term.close();
        assert!(term.begin_work(at(1)).is_none());
        assert_eq!(term.open_work(), 1);
        drop(work);
        assert_eq!(term.open_work(), 0);
    }

    #[test]
    fn parts_of_open_work_begin_while_the_term_is_closing_but_not_after_its_end() {
        let term = Term::new(Epoch(1), at(10));
        let work = term.begin_work(at(1)).expect("the term is alive");
        term.close();
        drop(work.part(at(1)).expect("a part"));
        assert_eq!(term.open_work(), 1);
        assert!(work.part(at(10)).is_none());
        term.end();
        assert!(work.part(at(1)).is_none());
        assert_eq!(term.open_work(), 1);
    }
}
