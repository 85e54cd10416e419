//! Requests that a back-up in a bucket makes, as a server that notes them down sees them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use sarban::backup::Place;
use sarban::config::backup::S3Settings;
use sarban::config::secret::Secret;
use sarban::domain::moment::Moment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SIZE: usize = 20 << 20;
const LISTING: &str = "<ListBucketResult><Contents><Key>panel/sarban-2026-11-30T00-53-20Z.backup</Key>\
    <LastModified>2026-11-30T00:53:20.000Z</LastModified><ETag>\"one\"</ETag><Size>20971520</Size></Contents>\
    <CommonPrefixes><Prefix>panel/photos/</Prefix></CommonPrefixes></ListBucketResult>";

/// Heads of requests, in small letters.
type Heads = Arc<Mutex<Vec<String>>>;

/// Answers as a bucket with one back-up.
async fn serve(listener: TcpListener, heads: Heads) {
    while let Ok((stream, _)) = listener.accept().await {
        let heads = heads.clone();
        tokio::spawn(async move { answer(stream, &heads).await });
    }
}

async fn answer(mut stream: TcpStream, heads: &Heads) -> std::io::Result<()> {
    let mut pending = Vec::new();
    loop {
        while !pending.ends_with(b"\r\n\r\n") {
            pending.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&std::mem::take(&mut pending)).to_lowercase();
        heads.lock().expect("no panic").push(head.clone());
        let range = head.split_once("range: bytes=").and_then(|(_, rest)| {
            let (first, last) = rest.lines().next()?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let common = "etag: \"one\"\r\nlast-modified: Mon, 30 Nov 2026 00:53:20 GMT\r\n";
        let answer = match range {
            _ if head.contains("list-type=2") => {
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{LISTING}", LISTING.len())
            }
            Some((first, last)) => {
                let length = last + 1 - first;
                format!(
                    "HTTP/1.1 206 Partial Content\r\n{common}content-range: bytes {first}-{last}/{SIZE}\r\n\
                     content-length: {length}\r\n\r\n{}",
                    "x".repeat(length)
                )
            }
            // A HEAD, or the whole object at once.
            None => format!("HTTP/1.1 200 OK\r\n{common}content-length: {SIZE}\r\n\r\n"),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn place(endpoint: String) -> Place {
    let settings = S3Settings {
        access_key_id: Some("id".to_owned()),
        secret_access_key: Some(Secret::new("secret")),
        session_token: None,
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint),
    };
    Place::parse("s3://bucket/panel", &settings).expect("a place")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_object_is_read_in_blocks_and_only_its_folder_is_listed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
    let heads = Heads::default();
    tokio::spawn(serve(listener, heads.clone()));
    let place = place(endpoint);
    let (_, mut reader) = place.open().await.expect("the newest");
    let read = tokio::task::spawn_blocking(move || std::io::copy(&mut reader, &mut std::io::sink())).await;
    assert_eq!(read.expect("no panic").expect("the object"), SIZE as u64);

    let heads = heads.lock().expect("no panic");
    assert!(heads[0].contains("delimiter=%2f") && heads[0].contains("prefix=panel%2f"), "{}", heads[0]);
    assert!(heads[1].starts_with("head "), "{}", heads[1]);
    assert!(heads.len() >= 5, "{heads:?}");
    for head in &heads[2..] {
        assert!(head.contains("range: bytes=") && head.contains("if-match: \"one\""), "one long request: {head}");
    }
}

/// Answers as a bucket that has completed an upload and forgotten it: to the first attempt, whose answer was lost.
async fn answer_upload(mut stream: TcpStream, size_there: usize) -> std::io::Result<()> {
    let mut pending = Vec::new();
    loop {
        while !pending.ends_with(b"\r\n\r\n") {
            pending.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&std::mem::take(&mut pending)).to_lowercase();
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
        let answer = |status: &str, body: &str| {
            format!("HTTP/1.1 {status}\r\netag: \"one\"\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        };
        let answer = match head.split_once(' ') {
            Some(("post", rest)) if rest.contains("uploads") => answer(
                "200 OK",
                "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
            ),
            Some(("post", _)) => answer("404 Not Found", "<Error><Code>NoSuchUpload</Code></Error>"),
            Some(("head", _)) => format!(
                "HTTP/1.1 200 OK\r\netag: \"one\"\r\nlast-modified: Mon, 30 Nov 2026 00:53:20 GMT\r\n\
                 content-length: {size_there}\r\n\r\n"
            ),
            _ => answer("200 OK", ""),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_whose_confirmation_was_lost_is_made_if_all_of_it_is_there() {
    for (size_there, is_made) in [(3, true), (2, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_upload(stream, size_there));
            }
        });
        let now = Moment::from_micros(1_796_000_000_000_000);
        let mut upload = place(endpoint).begin(now, false).await.expect("an upload");
        upload.write_all(b"all").expect("less than a part");
        let made = upload.finish().await;
        match &made {
            Ok((address, bytes)) => assert!(is_made && *bytes == 3 && address.ends_with("Z.backup"), "{made:?}"),
            Err(error) => assert!(!is_made, "{error}"),
        }
    }
}
