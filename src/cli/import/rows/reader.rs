//! Reads typed values from the text cells of an old row. An invalid cell is reported and replaced, and never stops the
//! import.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::row_issues::RowIssues;
use crate::domain::moment::Moment;
use crate::store::import::legacy::OldRow;

/// A row of an old table, with the issues that its reading adds to.
pub(in crate::cli::import) struct RowReader<'a> {
    row: &'a OldRow,
    table: &'static str,
    keys: &'a [&'a str],
    issues: &'a mut RowIssues,
}

impl<'a> RowReader<'a> {
    /// `keys` are the columns that identify the row in the report.
    pub(in crate::cli::import) const fn new(
        row: &'a OldRow,
        table: &'static str,
        keys: &'a [&'a str],
        issues: &'a mut RowIssues,
    ) -> Self {
        Self { row, table, keys, issues }
    }

    fn key(&self) -> String {
        let key: Vec<&str> = self.keys.iter().map(|column| self.row.cell(column).unwrap_or("NULL")).collect();
        key.join("/")
    }

    /// Reports that the row can't be copied, and returns none.
    pub(in crate::cli::import) fn leave_out<T>(&mut self, reason: impl Into<String>) -> Option<T> {
        self.issues.add_left_out(self.table, self.key(), reason);
        None
    }

    /// Reports that a value of the row is replaced.
    pub(in crate::cli::import) fn changed(&mut self, reason: impl Into<String>) {
        self.issues.add_changed(self.table, self.key(), reason);
    }

    /// Reports that a value is copied as it is, and means something else in this panel.
    pub(super) fn means(&mut self, reason: impl Into<String>) {
        self.issues.add_meaning(self.table, self.key(), reason);
    }

    /// Reports something that the operator may want to do after the import.
    pub(super) fn advise(&mut self, text: impl Into<String>) {
        self.issues.add_advice(text);
    }

    /// Reads a text. NUL characters, which PostgreSQL can't store, are removed.
    pub(super) fn text(&mut self, column: &str) -> Option<String> {
        let text = self.row.cell(column)?;
        if text.contains('\u{FFFD}') {
            self.changed(format!("{column} is not UTF-8: invalid bytes replaced by \u{FFFD}"));
        }
        if !text.contains('\0') {
            return Some(text.to_owned());
        }
        self.changed(format!("{column} has NUL characters: removed"));
        Some(text.replace('\0', ""))
    }

    /// Reads a whole number. Other numbers are converted to the nearest 64-bit integer.
    pub(in crate::cli::import) fn integer(&mut self, column: &str) -> Option<i64> {
        let text = self.row.cell(column)?.trim();
        if let Ok(number) = text.parse::<i64>() {
            return Some(number);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.changed(format!("{column} is not a 64-bit integer: changed to the nearest one"));
                // The cast saturates.
                Some(number as i64)
            }
            _ => {
                self.changed(format!("{column} is not a number: cleared"));
                None
            }
        }
    }

    /// Reads a number of bytes, clamped to `0..=max`.
    pub(super) fn bytes(&mut self, column: &str, max: i64) -> i64 {
        let bytes = self.integer(column).unwrap_or(0);
        if !(0..=max).contains(&bytes) {
            self.changed(format!("{column} is not from 0 to {max} bytes: changed to the nearest value"));
        }
        bytes.clamp(0, max)
    }

    /// Reads a boolean.
    pub(super) fn boolean(&mut self, column: &str, default: bool) -> bool {
        match self.row.cell(column).map(str::trim) {
            None => default,
            Some("1" | "true" | "t") => true,
            Some("0" | "false" | "f") => false,
            Some(_) => {
                self.changed(format!("{column} is neither true nor false: set to {default}"));
                default
            }
        }
    }

    /// Reads a time; none if it is missing or invalid.
    pub(super) fn time(&self, column: &str) -> Option<Moment> {
        self.row.cell(column).and_then(Moment::parse)
    }

    /// Reads a time, and returns microseconds. An invalid time is cleared.
    pub(super) fn micros(&mut self, column: &str) -> Option<i64> {
        let moment = self.time(column);
        if moment.is_none() && self.row.cell(column).is_some() {
            self.changed(format!("{column} is not a time: cleared"));
        }
        moment.map(Moment::micros)
    }

    /// Reads a value of an enum. `default_text` is the text of `default`, for the report.
    pub(super) fn variant<T>(
        &mut self,
        column: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        default: T,
        default_text: &str,
    ) -> T {
        let Some(text) = self.row.cell(column) else { return default };
        parse(text).unwrap_or_else(|| {
            self.changed(format!("{column} has an unknown value: set to {default_text:?}"));
            default
        })
    }

    /// Reads a JSON document. Marzneshin writes `null` for a missing one.
    pub(super) fn json<T: DeserializeOwned>(&mut self, column: &str) -> Option<T> {
        let text = self.row.cell(column)?;
        let document = match serde_json::from_str::<Value>(text) {
            Ok(Value::Null) => return None,
            Ok(document) => serde_json::from_value(without_nuls(document)).ok(),
            Err(_) => None,
        };
        if document.is_none() {
            self.changed(format!("{column} is not a valid JSON document: cleared"));
        }
        document
    }
}

/// Removes NUL characters, which PostgreSQL can't store in JSON either.
fn without_nuls(document: Value) -> Value {
    match document {
        Value::String(text) => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.into_iter().map(without_nuls).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name.replace('\0', ""), without_nuls(value))).collect()
        }
        other => other,
    }
}
