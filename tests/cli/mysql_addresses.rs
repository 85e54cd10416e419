//! Addresses of MySQL as people write them: sockets, certificate authorities, passwords with any letter.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::raw_sql;

use super::mariadb::MariaDb;
use super::{Output, WorkDir};

/// Writes the certificate of an authority, and that of a server at `name` with its key.
fn certificates(folder: &Path, ca: &str, name: &str) {
    let mut authority = CertificateParams::new([]).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new([name.to_owned()]).expect("parameters").signed_by(&key, &authority);
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("a file");
    write(ca, authority.pem());
    write(&format!("{ca}.server"), server.expect("a certificate").pem());
    write(&format!("{ca}.key"), key.serialize_pem());
}

fn dry_run(dir: &WorkDir, from: &str) -> Output {
    dir.run(&["import", "--dry-run"], &[("SARBAN_IMPORT_FROM", from)])
}

/// Asserts that the server was reached: its database is empty.
#[track_caller]
fn reaches(dir: &WorkDir, from: &str) {
    let error = dry_run(dir, from).expect_failure(2);
    assert!(error.contains("not a Marzneshin database"), "{from}: {error}");
}

#[track_caller]
fn fails(dir: &WorkDir, from: &str, code: i32, part: &str) {
    let error = dry_run(dir, from).expect_failure(code);
    assert!(
        error.contains(part) && error.contains("SARBAN_IMPORT_FROM") && !error.contains("p/w#1"),
        "{from}: {error}"
    );
}

#[tokio::test]
async fn sockets_authorities_and_passwords_work_as_in_python() {
    let dir = WorkDir::new();
    let folder = dir.0.path();
    certificates(folder, "ca.pem", "localhost");
    certificates(folder, "other.pem", "localhost");
    let file = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
    let tls = [file("ssl-ca", "ca.pem"), file("ssl-cert", "ca.pem.server"), file("ssl-key", "ca.pem.key")];
    let server = MariaDb::start_with(folder, &tls).await;
    raw_sql(
        "CREATE DATABASE panel; CREATE USER u IDENTIFIED BY 'p/w#1?'; GRANT ALL ON panel.* TO u;
         CREATE USER tls IDENTIFIED BY 'p' REQUIRE SSL; GRANT ALL ON panel.* TO tls;
         INSTALL SONAME 'auth_ed25519'; CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('p')",
    )
    .execute(&mut server.connect("").await)
    .await
    .expect("a user");

    let (socket, port) = (server.socket.display(), server.port);
    reaches(&dir, &format!("mysql+pymysql://u:p/w#1?@/panel?unix_socket={socket}"));
    reaches(&dir, &format!("MySQL+PyMySQL://u:p%2Fw%231%3F@localhost/panel?charset=utf8mb4&unix_socket={socket}"));
    reaches(&dir, &format!("mariadb+aiomysql://u:p/w#1?@127.0.0.1:{port}/panel"));

    let login = format!("mysql+pymysql://tls:p@localhost:{port}/panel");
    reaches(&dir, &login);
    reaches(&dir, &format!("{login}?ssl_ca=ca.pem"));
    reaches(&dir, &format!("mysql://tls:p@127.0.0.1:{port}/panel?ssl_ca=ca.pem&ssl_check_hostname=false"));
    fails(&dir, &format!("{login}?ssl_ca=other.pem"), 1, "certificate");
    fails(&dir, &format!("mysql://tls:p@127.0.0.1:{port}/panel?ssl_ca=ca.pem"), 1, "certificate");
    fails(&dir, &format!("{login}?ssl_disabled=true"), 1, "Access denied");
    fails(&dir, &format!("{login}?ssl_capath=/etc/ssl"), 2, "\"ssl_capath\"");
    fails(&dir, &format!("{login}?ssl_ca=missing.pem"), 2, "\"missing.pem\"");
    fails(&dir, &format!("mysql://ed:p@localhost:{port}/panel"), 1, "create a user with mysql_native_password");
    fails(&dir, &format!("mysql://u:p/w#1?@x@localhost:{port}/panel"), 2, "percent-encode");
}

#[test]
fn password_that_needs_tls_is_an_error_with_a_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = thread::spawn(move || without_tls(listener.accept().expect("a client").0));
    let from = format!("mysql://u:p@127.0.0.1:{port}/panel");
    fails(&WorkDir::new(), &from, 1, "turn TLS on in the server");
    server.join().expect("the dialogue of MySQL 8");
}

/// Asks for a password as MySQL 8 does without TLS.
fn without_tls(mut client: TcpStream) {
    let mut hello = b"\x0a8.4.0\0\x01\0\0\0saltsalt\0".to_vec();
    // Protocol of version 4.1, authentication plugins; no TLS.
    hello.extend(0xa20b_u16.to_le_bytes());
    hello.extend(b"\x2d\x02\0");
    hello.extend(0x0008_u16.to_le_bytes());
    hello.push(21);
    hello.extend([0; 10]);
    hello.extend(b"saltsaltsalt\0caching_sha2_password\0");
    send(&mut client, 0, &hello);
    assert!(!receive(&mut client).is_empty(), "an answer with the user's name");
    // The password is not in the server's cache.
    send(&mut client, 2, b"\x01\x04");
    assert_eq!(receive(&mut client), [2], "a request for the public key");
    send(&mut client, 4, b"\x01-----BEGIN PUBLIC KEY-----");
}

fn send(client: &mut TcpStream, sequence: u8, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("short").to_le_bytes();
    let packet = [&length[..3], &[sequence], body].concat();
    client.write_all(&packet).expect("a client");
}

fn receive(client: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    client.read_exact(&mut header).expect("a packet");
    let mut body = vec![0; usize::from(header[0]) + 256 * usize::from(header[1])];
    client.read_exact(&mut body).expect("a body");
    body
}
