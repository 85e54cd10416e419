//! The memory of usage replies, a limit over all nodes together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a permit; a reply takes at least one.
const UNIT: usize = 64 * 1024;
/// Permits: 128 MiB, which is the usage of four million users.
const UNITS: usize = 2_048;

/// The memory that usage replies may take. Clones share it.
#[derive(Clone, Debug)]
pub struct ReplyMemory(Arc<Semaphore>);

/// Memory of a reply. To be held as long as its entries exist.
#[derive(Debug)]
pub struct ReplyPermit(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Default for ReplyMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNITS)))
    }
}

impl ReplyMemory {
    /// Waits until this many bytes are free. A reply that needs more than there are gets all of them. It waits in the
    /// node meanwhile: HTTP/2 lets a node send no more than the panel reads.
    pub async fn acquire(&self, bytes: usize) -> ReplyPermit {
        let units = bytes.div_ceil(UNIT).clamp(1, UNITS);
        let permit = self.0.clone().acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX)).await;
        // The semaphore is never closed.
        ReplyPermit(permit.ok())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn replies_wait_for_each_other() {
        let memory = ReplyMemory::default();
        let large = memory.acquire(usize::MAX).await;
        let mut small = Box::pin(memory.acquire(1));
        assert!((&mut small).now_or_never().is_none(), "all of the memory is in use");
        drop(large);
        drop(small.await);
        assert_eq!(memory.0.available_permits(), UNITS);
    }
}
