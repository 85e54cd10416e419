//! Progress of the copy on stderr: a bar on a terminal, otherwise a line per million rows.

use std::io::{self, IsTerminal, Write};

/// Rows between two lines without a terminal.
const LINE_EVERY: i64 = 1_000_000;
/// Width of the bar in characters.
const WIDTH: i64 = 30;

/// A counter of rows that shows itself.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    total: i64,
    done: i64,
    line_at: i64,
}

impl Progress {
    /// A counter for `total` rows.
    pub(super) fn new(total: i64) -> Self {
        Self { terminal: io::stderr().is_terminal(), total, done: 0, line_at: LINE_EVERY }
    }

    /// Adds `rows` rows of a table.
    pub(super) fn advance(&mut self, table: &str, rows: usize) {
        self.done = self.done.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX)).min(self.total);
        if self.terminal {
            let filled = if self.total == 0 { WIDTH } else { self.done.saturating_mul(WIDTH) / self.total };
            let bar: String = (0..WIDTH).map(|at| if at < filled { '#' } else { '.' }).collect();
            show(&format!("\r[{bar}] {} of {} rows, {table}\u{1b}[K", self.done, self.total));
        } else if self.done >= self.line_at {
            self.line_at = self.done + LINE_EVERY;
            show(&format!("{} of {} rows, {table}\n", self.done, self.total));
        }
    }

    /// Removes the bar from the terminal.
    pub(super) fn clear(&self) {
        if self.terminal {
            show("\r\u{1b}[K");
        }
    }
}

/// Ignores errors: the copy goes on if its progress can't be shown.
fn show(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
