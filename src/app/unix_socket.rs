//! Binds the panel's Unix socket (`UVICORN_UDS`).

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Context;
use rustix::io::Errno;
use tokio::net::UnixStream;

/// Binds a Unix socket. An existing socket file without a listener is left over from a crash and is replaced.
pub(super) async fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    must_be_free(path).await?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| not_replaced(path));
        }
        _ => {}
    }
    bind_path(path, path)
}

/// Binds a name beside the socket for a moment. The socket file of a panel that has ended stays.
pub(super) async fn probe(path: &Path) -> anyhow::Result<()> {
    must_be_free(path).await?;
    if path.is_dir() {
        return Err(io::Error::from(Errno::ISDIR)).with_context(|| not_replaced(path));
    }
    let beside = path.with_file_name(format!(".sarban-{}", std::process::id()));
    drop(bind_path(path, &beside)?);
    std::fs::remove_file(beside).with_context(|| not_replaced(path))
}

async fn must_be_free(path: &Path) -> anyhow::Result<()> {
    if UnixStream::connect(path).await.is_err() {
        return Ok(());
    }
    let in_use = io::Error::from(io::ErrorKind::AddrInUse);
    Err(in_use).with_context(|| format!("another program listens on {}; check UVICORN_UDS", path.display()))
}

fn not_replaced(path: &Path) -> String {
    format!("could not replace {}; check UVICORN_UDS", path.display())
}

/// Binds `name`, which is `path` or stands for it.
fn bind_path(path: &Path, name: &Path) -> anyhow::Result<UnixListener> {
    UnixListener::bind(name).with_context(|| format!("could not listen on {}; check UVICORN_UDS", path.display()))
}
