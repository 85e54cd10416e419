//! Output of commands. A reader that closes its end of the pipe is not an error.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::foundation::is_steering;

/// Prints a line, or several, to stdout.
pub(super) fn line(text: impl Display) -> io::Result<()> {
    write_line(io::stdout().lock(), text)
}

/// Prints a remark to stderr, so that a pipe or a file gets only the result.
pub(super) fn note(text: impl Display) -> io::Result<()> {
    write_line(io::stderr().lock(), text)
}

fn write_line(mut stream: impl Write, text: impl Display) -> io::Result<()> {
    match writeln!(stream, "{text}") {
        // `sarban … | head -1` closes the pipe after the first line.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(value)?)?)
}

/// Returns an empty table.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Prints a table without rules, so that `awk` can read it.
pub(super) fn print(mut table: Table) -> io::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(table.trim_fmt())
}

/// Replaces characters that could steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(is_steering, "\u{FFFD}")
}

/// A number with its noun: `1 seal`, `2 seals`.
pub(super) fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Converts bytes to whole MiB, rounded down.
pub(super) const fn whole_mib(bytes: u64) -> u64 {
    bytes / 1_048_576
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(plain("\u{1b}[2Jسارا"), "\u{FFFD}[2Jسارا");
    }
}
