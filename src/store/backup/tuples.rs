//! Rows as bytes: a tuple is its number of values, then each value's length and bytes, as in PostgreSQL's binary COPY.

use serde_json::Value;

/// Length of a value that is NULL.
const NULL: i32 = -1;

/// Bytes that are no tuples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its rows are malformed")]
pub struct Malformed;

/// The tuples in a run of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tuples<'a>(&'a [u8]);

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Tuple<'a>(&'a [u8]);

/// The values of a row; `None` is NULL.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Tuples<'a> {
    /// Reads the tuples in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes behind the tuples read so far.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Reads the next tuple; `None` if its end is not among the bytes.
    pub(super) fn next_complete(&mut self) -> Result<Option<Tuple<'a>>, Malformed> {
        let Some((count, mut rest)) = self.0.split_first_chunk::<2>() else { return Ok(None) };
        let count = i16::from_be_bytes(*count);
        for _ in 0..usize::try_from(count).map_err(|_| Malformed)? {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            let length = match i32::from_be_bytes(*length) {
                NULL => 0,
                length => usize::try_from(length).map_err(|_| Malformed)?,
            };
            let Some(after) = after.get(length..) else { return Ok(None) };
            rest = after;
        }
        let (tuple, _) = self.0.split_at(self.0.len() - rest.len());
        self.0 = rest;
        Ok(Some(Tuple(tuple)))
    }
}

impl<'a> Iterator for Tuples<'a> {
    type Item = Result<Tuple<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.next_complete().and_then(|tuple| tuple.ok_or(Malformed));
        if next.is_err() {
            self.0 = &[];
        }
        Some(next)
    }
}

impl<'a> Tuple<'a> {
    /// Returns all bytes of the tuple.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Returns the number of values.
    pub fn count(&self) -> usize {
        self.0.first_chunk().map_or(0, |count| usize::try_from(i16::from_be_bytes(*count)).unwrap_or(0))
    }

    /// Returns the values.
    pub fn values(&self) -> Values<'a> {
        Values(self.0.get(2..).unwrap_or_default())
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return Some(None);
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(value))
    }
}

/// Begins a tuple of this many values.
pub(super) fn begin(rows: &mut Vec<u8>, count: usize) {
    rows.extend(i16::try_from(count).unwrap_or(i16::MAX).to_be_bytes());
}

/// Adds a value to the tuple that was begun last. A value of 2 GiB or more is none that a database stores.
pub(super) fn add(rows: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else { return rows.extend(NULL.to_be_bytes()) };
    rows.extend(i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
    rows.extend(value);
}

/// JSON in the form that is the same whichever engine stored it: sorted names, no white space, no negative zeros.
pub(super) fn canonical_json(text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(text)?;
    value.sort_all_objects();
    drop_signs_of_zeros(&mut value);
    serde_json::to_vec(&value)
}

/// PostgreSQL's numbers have no negative zero.
fn drop_signs_of_zeros(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => *value = Value::from(0.0),
        Value::Array(values) => values.iter_mut().for_each(drop_signs_of_zeros),
        Value::Object(values) => values.values_mut().for_each(drop_signs_of_zeros),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_added() {
        let mut rows = Vec::new();
        begin(&mut rows, 3);
        add(&mut rows, Some(b"one"));
        add(&mut rows, None);
        add(&mut rows, Some(b""));
        begin(&mut rows, 0);
        let tuples: Vec<Tuple<'_>> = Tuples::new(&rows).collect::<Result<_, _>>().expect("well-formed");
        let first: Vec<_> = tuples[0].values().collect();
        assert_eq!(first, [Some(&b"one"[..]), None, Some(&b""[..])]);
        assert_eq!((tuples.len(), tuples[0].count(), tuples[1].count()), (2, 3, 0));
    }

    #[test]
    fn cut_tuple_is_malformed() {
        let mut rows = Vec::new();
        begin(&mut rows, 1);
        add(&mut rows, Some(b"one"));
        for length in 1..rows.len() {
            let read: Result<Vec<_>, _> = Tuples::new(&rows[..length]).collect();
            assert_eq!(read.map(|tuples| tuples.len()), Err(Malformed), "{length} bytes");
        }
    }

    #[test]
    fn json_has_one_form() {
        let form = canonical_json(br#"{ "b": [1, {"d":null,"c":2.50}], "a": "x" }"#).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&form), r#"{"a":"x","b":[1,{"c":2.5,"d":null}]}"#);
        let zeros = canonical_json(br#"{"a": [-0, -0.0, 0.0, 0, -1]}"#).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&zeros), r#"{"a":[0.0,0.0,0.0,0,-1]}"#, "PostgreSQL has no other zeros");
    }

    /// A restored database is compared in this form with what was read.
    #[test]
    fn numbers_of_json_stay_the_same_however_often_they_are_read() {
        let mut bits = 1_u64;
        for _ in 0..20_000 {
            // Numbers of Knuth's MMIX generator.
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let once = canonical_json(format!("{number:e}").as_bytes()).expect("JSON");
                assert_eq!(once, canonical_json(&once).expect("JSON"), "{number:e}");
                assert_eq!(String::from_utf8_lossy(&once).parse(), Ok(number));
            }
        }
    }
}
