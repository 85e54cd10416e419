//! One old row being read: texts become values, and whatever is not as it should be is noted and never stops the rest.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::findings::Findings;
use crate::domain::moment::Moment;
use crate::store::import::legacy::OldRow;

/// A row of an old table, and where to note what is wrong with it.
pub(super) struct Reading<'a> {
    row: &'a OldRow,
    table: &'static str,
    keys: &'a [&'a str],
    findings: &'a mut Findings,
}

impl<'a> Reading<'a> {
    /// `keys`: the columns that tell this row from others, for whoever looks for it.
    pub(super) const fn new(
        row: &'a OldRow,
        table: &'static str,
        keys: &'a [&'a str],
        findings: &'a mut Findings,
    ) -> Self {
        Self { row, table, keys, findings }
    }

    fn key(&self) -> String {
        let key: Vec<&str> = self.keys.iter().map(|column| self.row.cell(column).unwrap_or("NULL")).collect();
        key.join("/")
    }

    /// Notes that the row can't be copied.
    pub(super) fn left_out<T>(&mut self, reason: impl Into<String>) -> Option<T> {
        self.findings.left_out(self.table, self.key(), reason);
        None
    }

    /// Notes that something in the row is not as it was.
    pub(super) fn changed(&mut self, reason: impl Into<String>) {
        self.findings.changed(self.table, self.key(), reason);
    }

    /// A text, without the NULs that PostgreSQL can't hold.
    pub(super) fn text(&mut self, column: &str) -> Option<String> {
        let text = self.row.cell(column)?;
        if text.contains('\u{FFFD}') {
            self.changed(format!("{column} was not UTF-8: what can't be read of it is shown as \u{FFFD}"));
        }
        if !text.contains('\0') {
            return Some(text.to_owned());
        }
        self.changed(format!("{column} had NUL characters: they are gone"));
        Some(text.replace('\0', ""))
    }

    /// A whole number. One that does not fit 64 bits becomes the nearest that does, and what is no number is nothing.
    pub(super) fn integer(&mut self, column: &str) -> Option<i64> {
        let text = self.row.cell(column)?.trim();
        if let Ok(number) = text.parse::<i64>() {
            return Some(number);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                // Conversions of floats saturate.
                #[allow(clippy::cast_possible_truncation)]
                let whole = number as i64;
                self.changed(format!("{column} was no whole number of 64 bits: it is the nearest one"));
                Some(whole)
            }
            _ => {
                self.changed(format!("{column} was no number: it is empty"));
                None
            }
        }
    }

    /// A number of bytes: at least 0, and far enough from 64 bits that sums fit.
    pub(super) fn bytes(&mut self, column: &str, most: i64) -> i64 {
        let bytes = self.integer(column).unwrap_or(0);
        if !(0..=most).contains(&bytes) {
            self.changed(format!("{column} was not from 0 to {most} bytes: it is the nearest"));
        }
        bytes.clamp(0, most)
    }

    /// A truth; unless it is said, `unless_said`.
    pub(super) fn truth(&mut self, column: &str, unless_said: bool) -> bool {
        match self.row.cell(column).map(str::trim) {
            None => unless_said,
            Some("1" | "true" | "t") => true,
            Some("0" | "false" | "f") => false,
            Some(_) => {
                self.changed(format!("{column} was neither true nor false: it is {unless_said}"));
                unless_said
            }
        }
    }

    /// A moment, if it can be read.
    pub(super) fn time(&self, column: &str) -> Option<Moment> {
        self.row.cell(column).and_then(Moment::parse)
    }

    /// A moment, in microseconds. What is no time is nothing.
    pub(super) fn moment(&mut self, column: &str) -> Option<i64> {
        let moment = self.time(column);
        if moment.is_none() && self.row.cell(column).is_some() {
            self.changed(format!("{column} was no time: it is empty"));
        }
        moment.map(Moment::micros)
    }

    /// One word of a list; an unknown one is noted, and `otherwise` stands for it.
    pub(super) fn word<T>(
        &mut self,
        column: &str,
        known: impl FnOnce(&str) -> Option<T>,
        otherwise: T,
        word: &str,
    ) -> T {
        let Some(text) = self.row.cell(column) else { return otherwise };
        known(text).unwrap_or_else(|| {
            self.changed(format!("{column} had an unknown word: it is {word:?}"));
            otherwise
        })
    }

    /// A JSON document. The old panel wrote `null` where others write NULL.
    pub(super) fn json<T: DeserializeOwned>(&mut self, column: &str) -> Option<T> {
        let text = self.row.cell(column)?;
        let document = match serde_json::from_str::<Value>(text) {
            Ok(Value::Null) => return None,
            Ok(document) => serde_json::from_value(without_nuls(document)).ok(),
            Err(_) => None,
        };
        if document.is_none() {
            self.changed(format!("{column} was not what it should be: it is empty"));
        }
        document
    }
}

/// PostgreSQL can't hold NUL characters in JSON either.
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
