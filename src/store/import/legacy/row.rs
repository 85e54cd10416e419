//! A row of the old database: a text, or nothing, for each column.

/// One row.
#[derive(Clone, Debug)]
pub struct OldRow {
    columns: &'static [&'static str],
    cells: Vec<Option<String>>,
}

impl OldRow {
    /// From the bytes of each cell, in the order of the columns. What is not UTF-8 is shown as U+FFFD.
    pub(super) fn new(columns: &'static [&'static str], cells: impl Iterator<Item = Option<Vec<u8>>>) -> Self {
        let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Self { columns, cells: cells.map(|cell| cell.map(text)).collect() }
    }

    /// The text of a column; `None` where the database has NULL.
    pub fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| *name == column);
        debug_assert!(at.is_some(), "{column} is not among {:?}", self.columns);
        self.cells.get(at?)?.as_deref()
    }
}
