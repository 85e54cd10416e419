//! Damaged and cut files, and wrong keys, are errors that say where and why; the database stays empty.

use std::fs;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use sarban::backup::{BackupError, CreateOptions, Identities};
use sarban::config::backup::parse_recipient;
use sarban::store::Db;
use tempfile::tempdir;

use super::filled::filled_in;
use super::{back_up, restore_bytes, restore_with, sqlite_in, with_secrets};
use crate::support::database::{number, on_both_engines};

on_both_engines!(empty damaged_file_leaves_the_database_empty);

/// Positions over the whole file, its first and its last byte included.
fn positions(length: usize) -> impl Iterator<Item = usize> {
    const COUNT: usize = 6;
    (0..=COUNT).map(move |step| step * (length - 1) / COUNT)
}

async fn filled_sqlite() -> (tempfile::TempDir, Db) {
    let folder = tempdir().expect("a folder");
    let source = filled_in(folder.path()).await;
    (folder, source)
}

async fn damaged_file_leaves_the_database_empty(db: Db) {
    let (folder, source) = filled_sqlite().await;
    let (_, bytes) = back_up(&source, with_secrets()).await;
    for position in positions(bytes.len()) {
        let mut bad = bytes.clone();
        bad[position] ^= 4;
        let error = restore_bytes(&db, folder.path(), &bad).await.expect_err("damage is found");
        let named =
            matches!(&error, BackupError::Damaged { part, .. } | BackupError::CutShort { part } if !part.is_empty());
        assert!(named || position < 20, "byte {position}: {error}");
        let cut = restore_bytes(&db, folder.path(), &bytes[..position]).await.expect_err("a cut is found");
        assert!(matches!(&cut, BackupError::CutShort { part } if !part.is_empty()), "{position} bytes: {cut}");
    }
    let middle = restore_bytes(&db, folder.path(), &bytes[..bytes.len() / 2]).await.expect_err("cut").to_string();
    assert!(middle.contains("it ends in the table "), "{middle}");
    let other =
        restore_bytes(&db, folder.path(), b"PGDMP and more of it").await.expect_err("another program's").to_string();
    assert!(other.contains("not a back-up of Sarban"), "{other}");
    let newer = restore_bytes(&db, folder.path(), b"sarban back-up 2\n...").await.expect_err("newer").to_string();
    assert!(newer.contains("format 2") && newer.contains("update Sarban"), "{newer}");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 0);
    // After all of that it can be restored into.
    restore_bytes(&db, folder.path(), &bytes).await.expect("the good file");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 3);
    source.close().await;
}

#[tokio::test]
async fn encrypted_back_up_opens_with_its_keys_only() {
    let (folder, source) = filled_sqlite().await;
    let (first, second, stranger) = (Identity::generate(), Identity::generate(), Identity::generate());
    let recipients = [&first, &second].map(|key| parse_recipient(&key.to_public().to_string()).expect("a recipient"));
    let options = CreateOptions { recipients: recipients.to_vec(), ..CreateOptions::default() };
    let (manifest, bytes) = back_up(&source, options).await;
    assert!(!bytes.windows(6).any(|it| it == b"sarban"), "nothing is readable");

    let file = folder.path().join("keys.txt");
    let keys = |key: &Identity| {
        let text =
            format!("# created: today\n# public key: {}\n{}\n", key.to_public(), key.to_string().expose_secret());
        fs::write(&file, text).expect("a file of keys");
        Identities::read(&file).expect("keys")
    };
    for key in [&first, &second] {
        let into = tempdir().expect("a folder");
        let db = sqlite_in(into.path()).await;
        assert_eq!(restore_with(&db, into.path(), &bytes, keys(key)).await.expect("restored"), manifest);
        db.close().await;
    }
    let into = tempdir().expect("a folder");
    let db = sqlite_in(into.path()).await;
    let wrong = restore_with(&db, into.path(), &bytes, keys(&stranger)).await.expect_err("another key").to_string();
    assert!(wrong.contains("none of the keys of --age-identity opens the back-up"), "{wrong}");
    let none = restore_bytes(&db, into.path(), &bytes).await.expect_err("no key").to_string();
    assert!(none.contains("is encrypted; give the file with its key"), "{none}");
    for position in positions(bytes.len()) {
        let mut bad = bytes.clone();
        bad[position] ^= 4;
        restore_with(&db, into.path(), &bad, keys(&first)).await.expect_err("damage is found");
        restore_with(&db, into.path(), &bytes[..position], keys(&first)).await.expect_err("a cut is found");
    }
    db.close().await;
    source.close().await;
}

#[test]
fn keys_are_checked_before_anything_else() {
    let wrong = parse_recipient("age1wrong").expect_err("no recipient");
    assert!(wrong.contains("begins with age1"), "{wrong}");
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("keys");
    fs::write(&file, "# empty\n").expect("a file");
    let error = Identities::read(&file).expect_err("no key").to_string();
    assert!(error.ends_with("has no key of age"), "{error}");
    fs::write(&file, "AGE-SECRET-KEY-1WRONG\n").expect("a file");
    let error = Identities::read(&file).expect_err("a wrong key").to_string();
    assert!(error.contains("no key of age"), "{error}");
}
