//! A file into which a back-up is written slowly, because its test wants to do something meanwhile.

use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

/// Once this many bytes were written, the back-up has read a part of a large spool.
pub const PAUSE_AT: usize = 1 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// The file, in memory.
pub struct Paused {
    pub bytes: Vec<u8>,
    reached: Option<mpsc::Sender<()>>,
    go_on: mpsc::Receiver<()>,
}

/// The test's side of it.
pub struct Pause {
    reached: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

/// The back-up goes on once this is dropped.
pub struct GoOn {
    _sender: mpsc::Sender<()>,
}

impl Paused {
    pub fn new() -> (Self, Pause) {
        let ((reached, is_reached), (go, go_on)) = (mpsc::channel(), mpsc::channel());
        let file = Self { bytes: Vec::new(), reached: Some(reached), go_on };
        (file, Pause { reached: is_reached, go_on: go })
    }
}

impl Pause {
    /// Waits until the back-up stands still.
    pub async fn reached(self) -> GoOn {
        let Self { reached, go_on } = self;
        let wait = move || reached.recv_timeout(LIMIT);
        tokio::task::spawn_blocking(wait).await.expect("no panic").expect("the spool is being read");
        GoOn { _sender: go_on }
    }
}

impl Write for Paused {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() >= PAUSE_AT
            && let Some(reached) = self.reached.take()
        {
            reached.send(()).map_err(io::Error::other)?;
            // An error says that the other side is dropped.
            let _ = self.go_on.recv_timeout(LIMIT);
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
