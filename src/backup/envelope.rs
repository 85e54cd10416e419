//! The outermost layer of a back-up: plain, or a file of age.

use std::io::{self, BufWriter, Read, Write};

use age::DecryptError;
use age::stream::StreamWriter;
use age::x25519::Recipient;

use super::age_keys::Identities;
use super::blocks::{MAGIC, MAGIC_OF_ANY};
use super::error::BackupError;

/// The beginning of a file of age.
const AGE: &[u8] = b"age-encryption.org/";

/// Where blocks are written to.
pub(super) enum Sealing<W: Write> {
    Plain(BufWriter<W>),
    Encrypted(Box<StreamWriter<BufWriter<W>>>),
}

impl<W: Write> Sealing<W> {
    /// Encrypts to the recipients, if there are any.
    pub(super) fn new(out: W, recipients: &[Recipient]) -> io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 20, out);
        if recipients.is_empty() {
            return Ok(Self::Plain(out));
        }
        let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        Ok(Self::Encrypted(Box::new(encryptor.wrap_output(out)?)))
    }

    pub(super) fn finish(self) -> io::Result<W> {
        let out = match self {
            Self::Plain(out) => out,
            Self::Encrypted(stream) => stream.finish()?,
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// Opens a back-up, and returns what follows its first line.
pub(super) fn open(
    mut from: impl Read + Send + 'static,
    keys: &Identities,
) -> Result<Box<dyn Read + Send>, BackupError> {
    let mut first = [0; AGE.len()];
    let read = read_up_to(&mut from, &mut first).map_err(BackupError::io("could not read the back-up"))?;
    let whole = io::Cursor::new(first[..read].to_vec()).chain(from);
    if first[..read] != *AGE {
        return behind_first_line(whole);
    }
    if keys.is_empty() {
        let missing = "the back-up is encrypted; give the file with its key as --age-identity FILE";
        return Err(BackupError::Key(missing.to_owned()));
    }
    let decryptor = age::Decryptor::new_buffered(io::BufReader::with_capacity(1 << 20, whole)).map_err(of_age)?;
    behind_first_line(decryptor.decrypt(keys.all()).map_err(of_age)?)
}

fn behind_first_line(mut from: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, BackupError> {
    let mut line = [0; MAGIC.len()];
    let read = read_up_to(&mut from, &mut line).map_err(BackupError::io("could not read the back-up"))?;
    let line = &line[..read];
    if line == MAGIC {
        return Ok(Box::new(from));
    }
    match line.strip_prefix(MAGIC_OF_ANY) {
        Some([number @ b'2'..=b'9', ..]) => {
            Err(BackupError::Newer(format!("the back-up has the format {}, which is newer", char::from(*number))))
        }
        _ if read < MAGIC.len() => Err(BackupError::CutShort { part: "its first line".to_owned() }),
        _ => Err(BackupError::Unknown),
    }
}

fn of_age(error: DecryptError) -> BackupError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed => BackupError::Key(
            "none of the keys of --age-identity opens the back-up: it was encrypted to others".to_owned(),
        ),
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            BackupError::CutShort { part: "the header of age".to_owned() }
        }
        error => BackupError::damaged("the header of age", error),
    }
}

/// Reads until `buffer` is full or there is nothing more.
fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
