//! Each reply of a node is in the spool of a back-up, or in its tables, whenever the panel stores it.

use std::path::Path;

use sarban::backup::{CreateOptions, create};
use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::Moment;
use sarban::domain::usage::UsageReply;
use sarban::nodes::spool::{FOLDER, Spool, orphans};
use sarban::store::Db;
use sarban::store::usage::batches;
use tempfile::tempdir;
use uuid::Uuid;

use super::paused::{PAUSE_AT, Paused};
use super::{restore_bytes, sqlite_in};
use crate::support::database::{number, on_both_engines};

on_both_engines!(replies_that_are_stored_during_a_back_up_are_in_it);

const NOW: Moment = Moment::from_micros(1_796_000_000_000_000);

/// A reply that can't be compressed.
fn reply(n: u64) -> UsageReply {
    let noise = |user: u64| (user + n * 1_000_000).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
    let user = |user: u64| UserId(i64::try_from(noise(user)).expect("40 bits"));
    UsageReply::new(NodeId(3), NOW, 1.0, (0..100_000).map(|it| (user(it), noise(it + 500_000))))
}

fn id(n: u64) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) + u128::from(n))
}

async fn replies_that_are_stored_during_a_back_up_are_in_it(db: Db) {
    let (from, into) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    let mut spool = Spool::create(&from.path().join(FOLDER), Uuid::from_u128(1)).expect("a spool");
    for n in 0..12 {
        spool.append(id(n), &reply(n)).expect("written");
    }
    assert!(spool.len() > 8 * PAUSE_AT as u64, "{} bytes fit into the buffers", spool.len());
    let options = CreateOptions { data_dir: Some(from.path().to_owned()), ..CreateOptions::default() };
    let (out, pause) = Paused::new();
    let stored = async {
        let go = pause.reached().await;
        // As the panel does it when the database answers again.
        for n in 0..12 {
            batches::stage(&db, id(n), &reply(n)).await.expect("stored");
            spool.remove(id(n)).expect("dropped");
        }
        drop(go);
    };
    let (made, ()) = tokio::join!(create(&db, options, out, NOW), stored);
    let (_, out) = made.expect("a back-up");

    let restored = sqlite_in(into.path()).await;
    restore_bytes(&restored, into.path(), &out.bytes).await.expect("restored");
    let in_tables = number(&restored, "SELECT COUNT(*) FROM usage_batch").await;
    restored.close().await;
    assert_eq!((in_tables, spooled(into.path())), (0, (0..12).map(id).collect()), "the snapshot is older");
}

fn spooled(data_dir: &Path) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for mut orphan in orphans(&data_dir.join(FOLDER)).expect("the spool") {
        while let Some(reply) = orphan.next_reply(NOW).expect("it reads") {
            ids.push(reply.id);
        }
    }
    ids
}
