//! Checksums of what a copy's file has: SQLite's own checks do not find a flipped bit in a value.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a checksum.
const LENGTH: usize = 8;

/// Appends the checksum of these bytes.
#[must_use]
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Returns the bytes without their checksum; `None` if they are damaged.
pub fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (bytes, checksum) = bytes.split_last_chunk::<LENGTH>()?;
    (xxh3_64(bytes) == u64::from_le_bytes(*checksum)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipped_bit_is_found_wherever_it_is() {
        let whole = sealed(b"ann".to_vec());
        assert_eq!(unsealed(&whole), Some(&b"ann"[..]));
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unsealed(&damaged), None, "bit {bit}");
        }
        assert_eq!(unsealed(&whole[..7]), None);
    }
}
