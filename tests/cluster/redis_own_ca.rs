//! A Redis Cluster and Sentinels over TLS, with the certificate of an own authority.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sarban::store::Engine;

use super::redis_kinds::{cli, keys_are, panel, sign_in_wrongly};
use crate::support::database::{Content, with_database};
use crate::support::ports::free_port;
use crate::support::servers::{Redis, Server};

/// Writes the certificate of an authority, and that of a server at localhost and 127.0.0.1 with its key.
fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new([]).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).expect("parameters").signed_by(&key, &authority);
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    write("ca.pem", authority.pem());
    write("server.pem", server.expect("a certificate").pem());
    write("server.key", key.serialize_pem());
}

/// The options of a Redis or a Sentinel that also listens with TLS.
fn tls_options(folder: &Path, port: u16) -> Vec<(&'static str, String)> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        ("tls-port", port.to_string()),
        ("tls-cert-file", file("server.pem")),
        ("tls-key-file", file("server.key")),
        ("tls-ca-cert-file", file("ca.pem")),
        ("tls-auth-clients", "no".to_owned()),
    ]
}

async fn redis(folder: &Path, port: u16, tls: u16, more: &[&str]) -> Redis {
    let options = tls_options(folder, tls).into_iter().flat_map(|(name, value)| [format!("--{name}"), value]);
    let options: Vec<String> = options.chain(more.iter().map(|&it| it.to_owned())).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Redis::start_with(folder.join("redis"), None, port, &options).await.expect("a Redis")
}

#[test]
fn panel_on_a_redis_cluster_with_an_own_authority_leads() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        certificates(folder.path());
        // A node also listens on its port + 10000.
        let (plain, tls) = (free_port(), 16_000 + free_port() % 6_000);
        let more = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1"];
        let _node = redis(folder.path(), plain, tls, &more).await;
        assert_eq!(cli(plain, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
        let ca = folder.path().join("ca.pem").display().to_string();
        let more = vec![("REDIS_CLUSTER", "true".to_owned()), ("REDIS_CA_FILE", ca)];
        let mut panel = panel(&test, folder.path(), format!("rediss://localhost:{tls}"), more).await;
        keys_are(plain, &[], 3).await;
        sign_in_wrongly(&panel).await;
        assert!(panel.stop().await.success());
    });
}

#[test]
fn panel_behind_a_sentinel_with_an_own_authority_leads() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        certificates(folder.path());
        let (plain, tls, sentinel) = (free_port(), free_port(), free_port());
        let _master = redis(folder.path(), plain, tls, &["--tls-replication", "yes"]).await;
        let own = folder.path().join("sentinel");
        fs::create_dir(&own).expect("a folder");
        let options = tls_options(folder.path(), sentinel).into_iter().map(|(name, value)| format!("{name} {value}\n"));
        let text = options.collect::<String>()
            + &format!("port 0\nbind 127.0.0.1\ndir {}\ntls-replication yes\n", own.display())
            + &format!("sentinel monitor main 127.0.0.1 {tls} 1\n");
        let settings = own.join("sentinel.conf");
        fs::write(&settings, text).expect("a file");
        let arguments = [settings.display().to_string()];
        let _sentinel = Server::start("redis-sentinel", &arguments, &own, &own.with_extension("log"), None);
        let ca = folder.path().join("ca.pem").display().to_string();
        let url = format!("rediss+sentinel://localhost:{sentinel}/main/0");
        let mut panel = panel(&test, folder.path(), url, vec![("REDIS_CA_FILE", ca)]).await;
        keys_are(plain, &[], 3).await;
        sign_in_wrongly(&panel).await;
        assert!(panel.stop().await.success());
    });
}
