//! `sarban healthcheck`: requests `/health/live` from the panel on this machine, for container probes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{output, unverified_tls};
use crate::config::Settings;

/// Time limit for connection and response. A panel that works responds within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Bytes that are read of the response: enough for the status line.
const STATUS_LINE: u64 = 64;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let response = tokio::time::timeout(TIMEOUT, request(settings));
    let status = response
        .await
        .with_context(|| format!("the panel did not respond within {} s", TIMEOUT.as_secs()))?
        .context("could not connect to the panel")?;
    match status.as_str() {
        "200" => Ok(output::line("alive")?),
        status => bail!("the panel responded with status {status} instead of 200"),
    }
}

/// Connects to the panel, and returns the status of the response.
async fn request(settings: &Settings) -> anyhow::Result<String> {
    if let Some(path) = &settings.http.uds {
        let stream = UnixStream::connect(path).await.with_context(|| format!("socket {}", path.display()))?;
        return request_over(stream, settings.tls.is_some()).await;
    }
    let (host, port) = (reachable(&settings.http.host), settings.http.port);
    let stream = TcpStream::connect((host.as_str(), port)).await.with_context(|| format!("{host} port {port}"))?;
    request_over(stream, settings.tls.is_some()).await
}

async fn request_over(stream: impl AsyncRead + AsyncWrite + Unpin, tls: bool) -> anyhow::Result<String> {
    if !tls {
        return status(stream).await;
    }
    let config = unverified_tls::client_config(Arc::new(aws_lc_rs::default_provider()))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?;
    status(stream).await
}

async fn status(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    stream.write_all(REQUEST).await?;
    stream.flush().await?;
    let mut response = Vec::new();
    stream.take(STATUS_LINE).read_to_end(&mut response).await?;
    let response = String::from_utf8_lossy(&response);
    let mut words = response.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => Ok(status.to_owned()),
        _ => bail!("the response is not HTTP; check UVICORN_PORT and UVICORN_SSL_CERTFILE"),
    }
}

/// Returns an address to connect to: the loopback address if the panel listens on all addresses.
fn reachable(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn status_of(answer: &'static str) -> anyhow::Result<String> {
        let (panel, client) = duplex(1024);
        let (mut from, mut to) = tokio::io::split(panel);
        let served = tokio::spawn(async move {
            let mut request = vec![0; REQUEST.len()];
            from.read_exact(&mut request).await.expect("the request");
            to.write_all(answer.as_bytes()).await.expect("written");
            to.shutdown().await.expect("ended");
            request
        });
        let status = status(client).await;
        assert!(served.await.expect("a request").starts_with(b"GET /health/live HTTP/1.1\r\n"));
        status
    }

    #[tokio::test]
    async fn status_is_read_only_from_http_responses() {
        assert_eq!(status_of("HTTP/1.1 200 OK\r\n\r\n").await.expect("a status"), "200");
        assert_eq!(status_of("HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n").await.expect("a status"), "503");
        assert!(status_of("SSH-2.0-x\r\n").await.is_err());
        assert!(status_of("").await.is_err());
    }

    #[test]
    fn unspecified_address_is_reached_by_loopback() {
        for (host, address) in [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("panel", "panel")] {
            assert_eq!(reachable(host), address);
        }
    }
}
