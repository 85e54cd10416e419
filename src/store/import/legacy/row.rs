//! A row of the old database: a text or NULL for each column.

/// A row.
#[derive(Clone, Debug)]
pub struct OldRow {
    columns: &'static [&'static str],
    cells: Vec<Option<String>>,
}

impl OldRow {
    /// Creates a row from the bytes of each cell, in the order of the columns. Bytes that are not UTF-8 become U+FFFD.
    pub(super) fn new(columns: &'static [&'static str], cells: impl Iterator<Item = Option<Vec<u8>>>) -> Self {
        let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Self { columns, cells: cells.map(|cell| cell.map(text)).collect() }
    }

    /// Returns the text of a column; `None` for NULL.
    pub fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| *name == column);
        debug_assert!(at.is_some(), "{column} is not among {:?}", self.columns);
        self.cells.get(at?)?.as_deref()
    }
}
