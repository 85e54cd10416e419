//! `sarban healthcheck`: asks the panel of this host whether it is alive, for a container's probe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{any_certificate, output};
use crate::config::Settings;

/// A panel that turns answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Enough for the first line of an answer.
const FIRST_LINE: u64 = 64;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let asked = tokio::time::timeout(PATIENCE, ask(settings));
    let status = asked.await.context("the panel does not answer")?.context("the panel can't be asked")?;
    match status.as_str() {
        "200" => Ok(output::line("alive")?),
        status => bail!("the panel answers {status} and not 200"),
    }
}

/// The status of the answer.
async fn ask(settings: &Settings) -> anyhow::Result<String> {
    if let Some(path) = &settings.http.uds {
        let stream = UnixStream::connect(path).await.with_context(|| format!("socket {}", path.display()))?;
        return ask_through(stream, settings.tls.is_some()).await;
    }
    let (host, port) = (reachable(&settings.http.host), settings.http.port);
    let stream = TcpStream::connect((host.as_str(), port)).await.with_context(|| format!("{host} port {port}"))?;
    ask_through(stream, settings.tls.is_some()).await
}

async fn ask_through(stream: impl AsyncRead + AsyncWrite + Unpin, tls: bool) -> anyhow::Result<String> {
    if !tls {
        return status(stream).await;
    }
    let config = any_certificate::client_config(Arc::new(aws_lc_rs::default_provider()))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?;
    status(stream).await
}

async fn status(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    stream.write_all(REQUEST).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(FIRST_LINE).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let mut words = answer.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => Ok(status.to_owned()),
        _ => bail!("what answers there is not a panel"),
    }
}

/// An address to connect to, where the panel listens on all of them.
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
    async fn reads_the_status_of_whatever_answers() {
        assert_eq!(status_of("HTTP/1.1 200 OK\r\n\r\n").await.expect("a status"), "200");
        assert_eq!(status_of("HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n").await.expect("a status"), "503");
        assert!(status_of("SSH-2.0-x\r\n").await.is_err());
        assert!(status_of("").await.is_err());
    }

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        for (host, address) in [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("panel", "panel")] {
            assert_eq!(reachable(host), address);
        }
    }
}
