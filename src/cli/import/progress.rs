//! How far the copying is: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};

/// Rows between two lines where there is no terminal.
const LINE_EVERY: i64 = 1_000_000;
const WIDTH: i64 = 30;

/// Counts rows, on stderr: stdout is for the report.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    total: i64,
    done: i64,
    line_at: i64,
}

impl Progress {
    /// With so many rows ahead.
    pub(super) fn new(total: i64) -> Self {
        Self { terminal: io::stderr().is_terminal(), total, done: 0, line_at: LINE_EVERY }
    }

    /// So many more rows of a table are done.
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

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if self.terminal {
            show("\r\u{1b}[K");
        }
    }
}

/// Progress is for whoever looks; if nobody can, the work goes on.
fn show(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
