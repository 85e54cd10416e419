//! The blocks of a back-up. Each is compressed by itself and begins with a digest over everything before its end, so that no
//! byte can change, and no block be missing or moved, unnoticed.

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// First line of a back-up that is not encrypted. The number is the format's.
pub(super) const MAGIC: &[u8] = b"sarban back-up 1\n";
/// The beginning of that line in every format.
pub(super) const MAGIC_OF_ANY: &[u8] = b"sarban back-up ";

/// Level of zstd at which writing is as fast as reading the tables.
const LEVEL: i32 = 3;
/// Most bytes of a block: a run of rows has 128 KiB (a megabyte in earlier back-ups), and its last row can be as large as a node's reply.
const MAX: u32 = 512 << 20;
/// Kind, length of the content, length of its compressed form; the digest follows.
const LENGTHS: usize = 1 + 4 + 4;

/// Kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BlockKind {
    Head = 1,
    Table = 2,
    Rows = 3,
    SpoolFile = 4,
    SpoolBytes = 5,
    End = 6,
}

impl BlockKind {
    const ALL: [Self; 6] = [Self::Head, Self::Table, Self::Rows, Self::SpoolFile, Self::SpoolBytes, Self::End];

    fn read(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Writes blocks.
pub(super) struct BlockWriter<W> {
    out: W,
    compressor: zstd::bulk::Compressor<'static>,
    digest: u64,
}

impl<W: Write> BlockWriter<W> {
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, compressor: zstd::bulk::Compressor::new(LEVEL)?, digest: 0 })
    }

    pub(super) fn write(&mut self, kind: BlockKind, content: &[u8]) -> io::Result<()> {
        let length = readable(content.len())?;
        let packed = self.compressor.compress(content)?;
        let lengths = lengths(kind as u8, length, readable(packed.len())?);
        self.digest = digest(self.digest, &lengths, &packed);
        self.out.write_all(&lengths)?;
        self.out.write_all(&self.digest.to_le_bytes())?;
        self.out.write_all(&packed)
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

/// Reads blocks.
pub(super) struct BlockReader<R> {
    from: R,
    decompressor: zstd::bulk::Decompressor<'static>,
    digest: u64,
}

/// Why a block could not be read.
#[derive(Debug)]
pub(super) enum BlockFault {
    /// There are no more bytes.
    CutShort,
    /// It is not as it was written.
    Damaged(&'static str),
    /// The bytes could not be read.
    Io(io::Error),
}

impl<R: Read> BlockReader<R> {
    /// Reads blocks behind the first line.
    pub(super) fn new(from: R) -> io::Result<Self> {
        Ok(Self { from, decompressor: zstd::bulk::Decompressor::new()?, digest: 0 })
    }

    pub(super) fn read(&mut self) -> Result<(BlockKind, Vec<u8>), BlockFault> {
        let (mut lengths, mut stored) = ([0; LENGTHS], [0; 8]);
        self.from.read_exact(&mut lengths)?;
        self.from.read_exact(&mut stored)?;
        let [kind, content_length @ .., _, _, _, _] = lengths;
        let [_, _, _, _, _, packed_length @ ..] = lengths;
        let (length, packed_length) = (u32::from_le_bytes(content_length), u32::from_le_bytes(packed_length));
        if length > MAX || packed_length > MAX {
            return Err(BlockFault::Damaged("a length is impossible"));
        }
        let mut packed = Vec::new();
        self.from.by_ref().take(u64::from(packed_length)).read_to_end(&mut packed)?;
        if packed.len() < packed_length as usize {
            return Err(BlockFault::CutShort);
        }
        self.digest = digest(self.digest, &lengths, &packed);
        if self.digest.to_le_bytes() != stored {
            return Err(BlockFault::Damaged("a digest does not match"));
        }
        let kind = BlockKind::read(kind).ok_or(BlockFault::Damaged("a block is of no known kind"))?;
        let content = self.decompressor.decompress(&packed, length as usize)?;
        if content.len() == length as usize {
            Ok((kind, content))
        } else {
            Err(BlockFault::Damaged("a block is short"))
        }
    }

    /// Fails if there are bytes behind the last block.
    pub(super) fn expect_end(&mut self) -> Result<(), BlockFault> {
        match self.from.read(&mut [0; 1])? {
            0 => Ok(()),
            _ => Err(BlockFault::Damaged("there are bytes behind it")),
        }
    }
}

impl From<io::Error> for BlockFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutShort,
            _ => Self::Io(error),
        }
    }
}

/// Fails for a length that [`BlockReader`] refuses: such a back-up could not be restored.
fn readable(length: usize) -> io::Result<u32> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "a block is too large");
    u32::try_from(length).ok().filter(|length| *length <= MAX).ok_or_else(too_large)
}

fn lengths(kind: u8, content: u32, packed: u32) -> [u8; LENGTHS] {
    let ([a, b, c, d], [e, f, g, h]) = (content.to_le_bytes(), packed.to_le_bytes());
    [kind, a, b, c, d, e, f, g, h]
}

fn digest(before: u64, lengths: &[u8; LENGTHS], packed: &[u8]) -> u64 {
    xxh3_64_with_seed(packed, xxh3_64_with_seed(lengths, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = BlockWriter::new(Vec::new()).expect("a writer");
        for (kind, content) in [(BlockKind::Head, &b"head"[..]), (BlockKind::Rows, &[7; 3_000]), (BlockKind::End, b"")]
        {
            writer.write(kind, content).expect("written");
        }
        writer.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(BlockKind, usize)>, BlockFault> {
        let mut reader = BlockReader::new(bytes)?;
        let mut found = Vec::new();
        while found.last().is_none_or(|(kind, _)| *kind != BlockKind::End) {
            let (kind, content) = reader.read()?;
            found.push((kind, content.len()));
        }
        reader.expect_end()?;
        Ok(found)
    }

    #[test]
    fn blocks_are_read_as_written() {
        let blocks = read(&written()[MAGIC.len()..]).expect("readable");
        assert_eq!(blocks, [(BlockKind::Head, 4), (BlockKind::Rows, 3_000), (BlockKind::End, 0)]);
    }

    #[test]
    fn length_that_is_written_can_be_read() {
        assert!(readable(MAX as usize).is_ok() && readable(MAX as usize + 1).is_err() && readable(1 << 33).is_err());
    }

    #[test]
    fn flipped_bit_anywhere_is_a_fault() {
        let good = &written()[MAGIC.len()..];
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_and_every_addition_is_a_fault() {
        let good = &written()[MAGIC.len()..];
        for length in 0..good.len() {
            assert!(matches!(read(&good[..length]), Err(BlockFault::CutShort)), "{length} bytes");
        }
        assert!(matches!(read(&[good, b"x"].concat()), Err(BlockFault::Damaged(_))));
    }
}
