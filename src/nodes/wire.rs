//! The fields of an encoded message, read one after the other. Nothing is built from them, so that a message of many empty
//! or unknown fields takes no more memory than its bytes.

/// A field begins, and its content follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub number: u32,
    /// The content is bytes: a text or a message.
    pub is_bytes: bool,
    /// Bytes before the content.
    pub start: usize,
    /// Bytes of the content.
    pub length: usize,
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the beginning of a field. `None`: the bytes end before the content.
pub(super) fn field(bytes: &[u8]) -> Result<Option<Field>, Malformed> {
    let Some((key, start)) = varint(bytes)? else { return Ok(None) };
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let rest = bytes.get(start..).unwrap_or_default();
    let (is_bytes, start, length) = match key & 7 {
        _ if number == 0 => return Err(Malformed),
        0 => match varint(rest)? {
            Some((_, length)) => (false, start, length),
            None => return Ok(None),
        },
        1 => (false, start, 8),
        2 => match varint(rest)? {
            Some((length, more)) => (true, start + more, usize::try_from(length).map_err(|_| Malformed)?),
            None => return Ok(None),
        },
        5 => (false, start, 4),
        _ => return Err(Malformed),
    };
    Ok(Some(Field { number, is_bytes, start, length }))
}

/// Iterates over the texts and messages of a whole message, by number of their fields. Other fields are left out.
pub(super) fn contents(message: &[u8]) -> impl Iterator<Item = Result<(u32, &[u8]), Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            match next_field(&mut rest) {
                Ok((Field { number, is_bytes: true, .. }, content)) => return Some(Ok((number, content))),
                Ok(_) => {}
                Err(malformed) => {
                    rest = &[];
                    return Some(Err(malformed));
                }
            }
        }
        None
    })
}

/// Reads the first field and its content, and moves on behind them.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<(Field, &'a [u8]), Malformed> {
    let found = field(rest)?.ok_or(Malformed)?;
    let end = found.start.checked_add(found.length).ok_or(Malformed)?;
    let content = rest.get(found.start..end).ok_or(Malformed)?;
    *rest = &rest[end..];
    Ok((found, content))
}

/// Reads a number of variable length, and the bytes that it takes. `None`: the bytes end before it does.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::nodes::proto::{Backend, BackendStats};

    #[test]
    fn contents_are_read_and_other_fields_are_left_out() {
        let backend = Backend { name: "n".into(), r#type: Some("t".repeat(200)), ..Backend::default() };
        let mut bytes = backend.encode_to_vec();
        // Unknown fields: 9 of four bytes, 10 of eight bytes, 11 a number.
        bytes.extend([9 << 3 | 5, 1, 2, 3, 4, 10 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8, 11 << 3, 0x80, 1]);
        bytes.extend(Backend { version: Some("v".into()), ..Backend::default() }.encode_to_vec());
        let read: Vec<_> = contents(&bytes).map(Result::unwrap).collect();
        assert_eq!(read, [(1, &b"n"[..]), (2, "t".repeat(200).as_bytes()), (3, &b"v"[..])]);
        assert_eq!(contents(&BackendStats { running: true }.encode_to_vec()).count(), 0);
        for cut in 1..bytes.len() {
            // Ends, well or with an error.
            assert!(contents(&bytes[..cut]).count() <= 4, "{cut}");
        }
    }

    #[test]
    fn malformed_fields_are_refused() {
        for bytes in [
            &[0x0a, 5, 1][..],
            &[0x0b, 0],
            &[0x0c],
            &[0, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(contents(bytes).last(), Some(Err(Malformed)), "{bytes:?}");
        }
        assert_eq!(field(&[0xff; 11]), Err(Malformed));
        assert_eq!(field(&[0x0a]), Ok(None));
        assert_eq!(field(&[0x0a, 3]), Ok(Some(Field { number: 1, is_bytes: true, start: 2, length: 3 })));
    }
}
