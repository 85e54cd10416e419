//! Back-ups in a bucket of a real S3 server (s3rver).

use std::fs;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use reqwest::Client;
use sarban::backup::{BackupError, CreateOptions, Identities, Place, Target, create, restore};
use sarban::config::backup::S3Settings;
use sarban::config::secret::Secret;
use sarban::domain::moment::{DAY, Moment, SECOND};
use sarban::store::Db;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::filled::fill;
use super::sqlite_in;
use crate::support;
use crate::support::database::on_both_engines;
use crate::support::ports::free_port;
use crate::support::servers::Server;

on_both_engines!(back_ups_in_a_bucket_are_listed_read_and_removed);

const NOW: Moment = Moment::from_micros(1_700_000_000 * SECOND);

/// A server with the bucket `backups`.
struct S3 {
    _server: Server,
    folder: TempDir,
    endpoint: String,
}

impl S3 {
    async fn start() -> Self {
        let script = support::programs().join("s3rver-3.7.1/node_modules/s3rver/bin/s3rver.js").display().to_string();
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let path = folder.path().join("objects");
        let arguments = [script, "-d".into(), path.display().to_string(), "-a".into(), "127.0.0.1".into(), "-p".into()];
        let arguments: Vec<String> =
            arguments.into_iter().chain([port.to_string(), "--configure-bucket".into(), "backups".into()]).collect();
        let log = folder.path().join("log");
        let server = Server::start(&support::node(), &arguments, folder.path(), &log, None).expect("s3rver starts");
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = Client::builder().no_proxy().build().expect("a client");
        let until = Instant::now() + Duration::from_secs(60);
        while client.get(&endpoint).send().await.is_err() {
            assert!(Instant::now() < until, "s3rver: {}", fs::read_to_string(&log).unwrap_or_default());
            sleep(Duration::from_millis(50)).await;
        }
        Self { _server: server, folder, endpoint }
    }

    async fn put(&self, path: &str) {
        let builder = AmazonS3Builder::new().with_bucket_name("backups").with_region("us-east-1");
        let builder = builder.with_access_key_id("S3RVER").with_secret_access_key("S3RVER").with_allow_http(true);
        let store = builder.with_endpoint(&self.endpoint).build().expect("a client");
        store.put(&path.into(), "named".into()).await.expect("an object");
    }

    fn place(&self, text: &str) -> Place {
        let settings = S3Settings {
            access_key_id: Some("S3RVER".to_owned()),
            secret_access_key: Some(Secret::new("S3RVER")),
            session_token: None,
            region: "us-east-1".to_owned(),
            endpoint: Some(self.endpoint.clone()),
        };
        Place::parse(text, &settings).expect("a place")
    }
}

async fn back_ups_in_a_bucket_are_listed_read_and_removed(db: Db) {
    fill(&db).await;
    let s3 = S3::start().await;
    let place = s3.place("s3://backups/panels/one");
    // Larger than a part, because it can't be compressed.
    let data_dir = s3.folder.path().join("data");
    fs::create_dir_all(data_dir.join("spool")).expect("a folder");
    let noise: Vec<u8> =
        (0..2_300_000_u64).flat_map(|it| it.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()).collect();
    fs::write(data_dir.join("spool/reply.log"), noise).expect("a spool file");
    let mut written = Vec::new();
    for day in 0..3 {
        let now = NOW.plus(day * DAY);
        let data_dir = (day == 2).then(|| data_dir.clone());
        let options = CreateOptions { data_dir, ..super::with_secrets() };
        let pending = place.begin(now, false).await.expect("an upload");
        let (manifest, pending) = create(&db, options, pending, now).await.expect("a back-up");
        let (address, bytes) = pending.finish().await.expect("complete");
        written.push((address, bytes, manifest));
    }
    // Of somebody who named it: it is neither the newest nor one of those that are removed.
    s3.put("panels/one/sarban-before-upgrade.backup").await;
    assert_eq!(written[0].0, "s3://backups/panels/one/sarban-2023-11-14T22-13-20Z.backup");
    assert!(written[2].1 > 17 << 20, "{} bytes are not more than a part", written[2].1);
    let made = &written[2].0;
    assert_eq!(s3.place("s3://backups/panels").remove_all_but(made, 1).await.expect("removed"), 0, "another folder");
    assert_eq!(place.remove_all_but(made, 2).await.expect("removed"), 1);
    let gone = s3.place(&written[0].0).open().await.map(|(address, _)| address);
    assert!(matches!(gone, Err(BackupError::S3 { .. })), "the oldest is still there: {gone:?}");

    // The newest of the folder, and one by its address.
    for (text, (address, _, manifest)) in [("s3://backups/panels/one/", &written[2]), (&written[1].0, &written[1])] {
        let (found, reader) = s3.place(text).open().await.expect("a back-up");
        assert_eq!(&found, address);
        let folder = tempfile::tempdir().expect("a folder");
        let into = sqlite_in(folder.path()).await;
        let target = Target { db: into.clone(), direct: into.clone(), data_dir: folder.path().into(), note: None };
        let restored = restore(&target, reader, Identities::default()).await.expect("restored");
        assert_eq!(&restored.manifest, manifest);
        into.close().await;
    }

    let refused =
        s3.place("s3://elsewhere/").begin(NOW, false).await.map(drop).expect_err("no such bucket").to_string();
    assert!(refused.starts_with("could not write s3://elsewhere/sarban-"), "{refused}");
    let none = s3.place("s3://backups/other").open().await.map(drop).expect_err("an empty folder").to_string();
    assert_eq!(none, "s3://backups/other has no back-up");
}
