//! What commands print: to a reader that may have gone away, without a panic.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Prints a line, or several.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        // `sarban … | head -1`: the reader has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Tells something beside the result: on stderr, so that a pipe or a file gets the result alone.
pub(super) fn note(text: impl std::fmt::Display) -> io::Result<()> {
    match writeln!(io::stderr().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Prints JSON for another program.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(value)?)?)
}

/// A table to be filled.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Prints a table without lines, which `awk` can read too.
pub(super) fn print(mut table: Table) -> io::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(table.trim_fmt())
}

/// A name for a terminal: control characters could move its cursor or worse.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{FFFD}")
}

/// A number of bytes as people read it.
#[allow(clippy::cast_precision_loss)]
pub(super) fn bytes(count: i64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut number = count as f64;
    let mut unit = 0;
    while number.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{number:.2} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_people_read_them() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1_610_612_736, "1.50 GiB"), (i64::MAX, "8.00 EiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_name_can_not_steer_the_terminal() {
        assert_eq!(plain("\u{1b}[2Jسارا"), "\u{FFFD}[2Jسارا");
    }
}
