//! Back-ups in a bucket of S3, or of a server that speaks its protocol. An object is there once its upload is complete.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions,
};
use tokio::runtime::Handle;

use super::error::BackupError;
use super::names::{is_file_of_back_up, is_name, too_many};
use crate::config::backup::S3Settings;

/// Bytes of a part, and of a block that is read: S3 allows 10,000 parts of 5 MiB or more, so 80 GiB.
const PART: usize = 8 << 20;
/// Time limit of the upload of a part, and of the silence of a server: a line of 0.6 Mbit/s is fast enough.
const PATIENCE: Duration = Duration::from_secs(120);
/// Added to an error without keys: that of the role names an address that nobody has set.
const NO_KEYS: &str = " (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, so this machine's role is used; set both if it \
                       has none)";

/// A folder in a bucket, or one object.
#[derive(Clone)]
pub struct S3Place {
    store: Arc<AmazonS3>,
    bucket: String,
    path: Path,
    /// No keys are set: the machine's role is asked for some.
    is_keyless: bool,
}

/// An object that is being uploaded. Dropped before [`PendingObject::finish`], it is abandoned.
pub struct PendingObject {
    runtime: Handle,
    store: Arc<AmazonS3>,
    path: Path,
    upload: Option<Box<dyn MultipartUpload>>,
    shown: String,
    part: Vec<u8>,
    bytes: u64,
}

/// An object that is being read, block by block: a restore may take hours, and no request lasts so long.
pub struct ObjectReader {
    runtime: Handle,
    store: Arc<AmazonS3>,
    path: Path,
    /// Of the object as it was opened; it may be replaced meanwhile.
    etag: Option<String>,
    size: u64,
    read: u64,
    rest: Bytes,
}

impl S3Place {
    /// Reads `bucket/prefix`, which follows `s3://`.
    pub(super) fn parse(text: &str, settings: &S3Settings) -> Result<Self, BackupError> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        if bucket.is_empty() {
            return Err(BackupError::Refused("an address of S3 must have the form s3://bucket/prefix".to_owned()));
        }
        if settings.access_key_id.is_some() != settings.secret_access_key.is_some() {
            let half = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both or none";
            return Err(BackupError::Refused(half.to_owned()));
        }
        let is_keyless = settings.access_key_id.is_none();
        let mut builder = AmazonS3Builder::new().with_client_options(client_options());
        builder = builder.with_bucket_name(bucket).with_region(&settings.region);
        if let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
        }
        if let Some(token) = &settings.session_token {
            builder = builder.with_token(token.expose());
        }
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_allow_http(true);
        }
        let store = builder.build().map_err(failed("could not prepare the connection to S3"))?;
        let path = Path::parse(prefix.trim_matches('/'));
        let path = path.map_err(|error| BackupError::Refused(format!("s3://{text} is no place of S3: {error}")))?;
        Ok(Self { store: Arc::new(store), bucket: bucket.to_owned(), path, is_keyless })
    }

    fn shown(&self, path: &Path) -> String {
        format!("s3://{}/{path}", self.bucket)
    }

    /// An error of the server; of the machine's role, too, if there are no keys.
    fn failed(&self, during: impl Into<String>) -> impl FnOnce(object_store::Error) -> BackupError {
        let mut during = during.into();
        if self.is_keyless {
            during.push_str(NO_KEYS);
        }
        failed(during)
    }

    /// Begins an upload.
    pub(super) async fn begin(&self, name: &str) -> Result<PendingObject, BackupError> {
        let path = self.path.clone().join(name);
        let shown = self.shown(&path);
        let begun = self.store.put_multipart_opts(&path, PutMultipartOptions::default()).await;
        let upload = Some(begun.map_err(self.failed(format!("could not write {shown}")))?);
        let (runtime, store) = (Handle::current(), self.store.clone());
        Ok(PendingObject { runtime, store, path, upload, shown, part: Vec::new(), bytes: 0 })
    }

    /// Opens the object, or the newest below it.
    pub(super) async fn open(&self) -> Result<(String, ObjectReader), BackupError> {
        let is_object = self.path.filename().is_some_and(is_file_of_back_up);
        let path = if is_object { self.path.clone() } else { self.newest().await? };
        let shown = self.shown(&path);
        let opened = self.store.head(&path).await.map_err(self.failed(format!("could not open {shown}")))?;
        let (runtime, store) = (Handle::current(), self.store.clone());
        let (etag, size) = (opened.e_tag, opened.size);
        Ok((shown, ObjectReader { runtime, store, path, etag, size, read: 0, rest: Bytes::new() }))
    }

    /// Returns the address of the newest back-up in the folder.
    pub(super) async fn newest_address(&self) -> Result<String, BackupError> {
        Ok(self.shown(&self.newest().await?))
    }

    async fn newest(&self) -> Result<Path, BackupError> {
        let missing = || BackupError::Refused(format!("{} has no back-up", self.shown(&self.path)));
        self.names().await?.pop().ok_or_else(missing)
    }

    /// The back-ups in the folder, the oldest first.
    async fn names(&self) -> Result<Vec<Path>, BackupError> {
        // Only this folder: those below it may have millions of objects of others.
        let found = self.store.list_with_delimiter(Some(&self.path)).await;
        let found = found.map_err(self.failed(format!("could not list {}", self.shown(&self.path))))?;
        let mut paths: Vec<Path> = found.objects.into_iter().map(|object| object.location).collect();
        paths.retain(|path| path.filename().is_some_and(is_name));
        paths.sort_unstable();
        Ok(paths)
    }

    /// Removes the back-ups but the one that was just made and the newest others.
    pub(super) async fn remove_all_but(&self, made: &str, keep: usize) -> Result<usize, BackupError> {
        let old = too_many(self.names().await?, |path| path.filename().unwrap_or_default(), made, keep);
        for path in &old {
            let removed = self.store.delete(path).await;
            removed.map_err(self.failed(format!("could not remove {}", self.shown(path))))?;
        }
        Ok(old.len())
    }
}

impl PendingObject {
    /// Completes the upload. Returns the address and the size.
    pub(super) async fn finish(mut self) -> Result<(String, u64), BackupError> {
        let shown = std::mem::take(&mut self.shown);
        let during = || failed(format!("could not write {shown}"));
        if let Some(upload) = &mut self.upload {
            if !self.part.is_empty() {
                upload.put_part(std::mem::take(&mut self.part).into()).await.map_err(during())?;
            }
            let completed = upload.complete().await;
            match completed {
                // The answer to an attempt was lost, and a server forgets uploads that are complete.
                Err(object_store::Error::NotFound { .. }) if is_there(&self.store, &self.path, self.bytes).await => {}
                completed => drop(completed.map_err(during())?),
            }
        }
        self.upload = None;
        let bytes = self.bytes;
        Ok((shown, bytes))
    }
}

/// True if there is an object of this size.
async fn is_there(store: &AmazonS3, path: &Path, bytes: u64) -> bool {
    store.head(path).await.is_ok_and(|found| found.size == bytes)
}

impl Write for PendingObject {
    /// Blocks until a full part is uploaded: for a thread that may.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend(bytes);
        self.bytes += bytes.len() as u64;
        if self.part.len() >= PART
            && let Some(upload) = &mut self.upload
        {
            let part = std::mem::take(&mut self.part);
            self.runtime.block_on(upload.put_part(part.into())).map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PendingObject {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // Parts of an upload that is not aborted cost money until the bucket's rules remove them.
            self.runtime.spawn(async move { upload.abort().await });
        }
    }
}

impl Read for ObjectReader {
    /// Blocks until there are bytes: for a thread that may.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.read < self.size {
            let block = self.read..self.size.min(self.read + PART as u64);
            let options = GetOptions {
                range: Some(GetRange::Bounded(block.clone())),
                if_match: self.etag.clone(),
                ..GetOptions::default()
            };
            let store = &self.store;
            let bytes = async { store.get_opts(&self.path, options).await?.bytes().await };
            self.rest = self.runtime.block_on(bytes).map_err(io::Error::other)?;
            self.read = block.end;
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

impl std::fmt::Debug for S3Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown(&self.path))
    }
}

/// The library's own limit of 30 s holds for a request with its whole body.
fn client_options() -> ClientOptions {
    let connect = Duration::from_secs(10);
    ClientOptions::new().with_timeout_disabled().with_read_timeout(PATIENCE).with_connect_timeout(connect)
}

fn failed(during: impl Into<String>) -> impl FnOnce(object_store::Error) -> BackupError {
    move |source| BackupError::S3 { during: during.into(), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use object_store::ClientConfigKey;

    use super::*;
    use crate::config::secret::Secret;

    #[test]
    fn error_without_keys_names_the_variables() {
        let text = |settings: &S3Settings| {
            let place = S3Place::parse("bucket/daily", settings).expect("a place");
            let source = Box::from("no answer of 169.254.169.254");
            place.failed("could not list it")(object_store::Error::Generic { store: "S3", source }).to_string()
        };
        let keyless = text(&S3Settings::default());
        assert!(keyless.contains("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"), "{keyless}");
        let keys = S3Settings {
            access_key_id: Some("id".to_owned()),
            secret_access_key: Some(Secret::new("secret")),
            ..S3Settings::default()
        };
        assert_eq!(text(&keys), "could not list it");
    }

    #[test]
    fn slow_line_has_time_for_a_part() {
        let options = client_options();
        assert_eq!(options.get_config_value(&ClientConfigKey::Timeout), None, "of a request with its body");
        let limit = options.get_config_value(&ClientConfigKey::ReadTimeout);
        assert_eq!(limit.as_deref(), Some("2m"));
        let bits_per_second = PART as u64 * 8 / PATIENCE.as_secs();
        assert!(bits_per_second < 1_000_000, "a line of 1 Mbit/s is too slow: {bits_per_second}");
    }
}
