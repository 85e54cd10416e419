//! Memory for request bodies: a bound for all that are being received or worked on together, and one per caller.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::caller::{Caller, Rank};
use super::shares::{Share, Shares};

/// Bytes for bodies of signed-in admins: sixteen of the largest at once.
const SIGNED_IN: usize = 64 << 20;
/// Bytes for bodies of strangers: five hundred sign-ins at once.
const STRANGERS: usize = 8 << 20;
/// Bytes are taken in blocks of this size, which also covers what a request costs beside its body.
const BLOCK: usize = 4 << 10;
/// Longest wait for bytes; meanwhile the client's data waits in the kernel's buffers.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The bounds of all callers.
#[derive(Debug)]
pub struct BodyMemory {
    signed_in: ByteBudget,
    strangers: ByteBudget,
}

#[derive(Debug)]
struct ByteBudget {
    free: Semaphore,
    shares: Shares,
    max_wait: Duration,
}

/// The bytes of one request, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a ByteBudget,
    shares: Vec<Share<'a>>,
    permits: Option<SemaphorePermit<'a>>,
    reserved: usize,
}

/// There was no memory for a body within the time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

impl Default for BodyMemory {
    fn default() -> Self {
        Self { signed_in: ByteBudget::new(SIGNED_IN), strangers: ByteBudget::new(STRANGERS) }
    }
}

impl BodyMemory {
    /// Starts to count a request of that caller.
    pub(super) fn reservation(&self, caller: &Caller) -> Reservation<'_> {
        match caller.rank {
            Rank::Stranger => self.strangers.reservation(caller),
            Rank::Admin | Rank::Configurer => self.signed_in.reservation(caller),
        }
    }
}

impl ByteBudget {
    fn new(bytes: usize) -> Self {
        Self { free: Semaphore::new(bytes), shares: Shares::of(bytes / 4), max_wait: MAX_WAIT }
    }

    fn reservation(&self, caller: &Caller) -> Reservation<'_> {
        let shares = caller.subjects().map(|subject| self.shares.share(subject)).collect();
        Reservation { budget: self, shares, permits: None, reserved: 0 }
    }
}

impl Reservation<'_> {
    /// Makes sure that at least `bytes` are reserved. Waits up to a second for them.
    pub(super) async fn reach(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if bytes <= self.reserved {
            return Ok(());
        }
        let missing = (bytes - self.reserved).next_multiple_of(BLOCK);
        let units = u32::try_from(missing).map_err(|_| OutOfMemory)?;
        let due = Instant::now() + self.budget.max_wait;
        for share in &mut self.shares {
            timeout_at(due, share.take(units)).await.map_err(|_| OutOfMemory)?;
        }
        let permits = timeout_at(due, self.budget.free.acquire_many(units)).await;
        let permits = permits.map_err(|_| OutOfMemory)?.map_err(|_| OutOfMemory)?;
        match &mut self.permits {
            Some(all) => all.merge(permits),
            none => *none = Some(permits),
        }
        self.reserved += missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_caller_gets_a_quarter_and_all_together_the_whole() {
        let budget = ByteBudget { max_wait: Duration::from_millis(10), ..ByteBudget::new(16 * BLOCK) };
        let mut held = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let caller = Caller::admin(name, false);
            let mut reservation = budget.reservation(&caller);
            assert_eq!(reservation.reach(4 * BLOCK).await, Ok(()));
            assert_eq!(budget.reservation(&caller).reach(1).await, Err(OutOfMemory), "more than its quarter");
            held.push(reservation);
        }
        let next = Caller::admin("e", false);
        assert_eq!(budget.reservation(&next).reach(1).await, Err(OutOfMemory), "more than all");
        held.pop();
        assert_eq!(budget.reservation(&next).reach(1).await, Ok(()));
    }

    #[tokio::test]
    async fn reservation_grows_in_blocks() {
        let budget = ByteBudget::new(16 * BLOCK);
        let mut reservation = budget.reservation(&Caller::admin("a", false));
        for bytes in [1, 2, BLOCK, BLOCK + 1] {
            reservation.reach(bytes).await.expect("free bytes");
        }
        assert_eq!(budget.free.available_permits(), 14 * BLOCK);
        drop(reservation);
        assert_eq!(budget.free.available_permits(), 16 * BLOCK);
    }
}
