//! What is common to all routes: request ids, redirects, cross-origin headers, errors, admission.

use std::collections::BTreeSet;

use reqwest::Method;
use sarban::store::Db;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant};

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::on_both_engines;

on_both_engines!(
    response_carries_the_valid_request_id_or_a_new_one,
    trailing_slash_redirects_to_the_path_without_it,
    unknown_path_is_404_and_unknown_method_is_405,
    head_is_answered_like_get_without_the_body,
    cross_origin_request_gets_headers_also_on_errors_and_preflights,
    body_that_is_not_json_is_refused_with_its_position_or_key,
    read_only_panel_serves_reads_and_sign_in_and_refuses_writes,
    overloaded_panel_refuses_all_but_exempt_routes_and_recovers_at_once,
    home_page_and_dashboard_are_served_at_their_paths,
    files_of_the_dashboard_are_stored_by_browsers_for_good_only_under_their_own_version,
);

async fn response_carries_the_valid_request_id_or_a_new_one(db: Db) {
    let panel = TestPanel::start(db).await;
    let answer = send(panel.request(Method::GET, "/nope")).await;
    assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
    let request = panel.request(Method::GET, "/api/admins").header("x-request-id", "my-id_1");
    assert_eq!(send(request).await.header("x-request-id"), Some("my-id_1"));
    let request = panel.request(Method::GET, "/api/admins").header("x-request-id", "two words");
    assert_eq!(send(request).await.header("x-request-id").map(str::len), Some(36));
}

async fn trailing_slash_redirects_to_the_path_without_it(db: Db) {
    let panel = TestPanel::start(db).await;
    let answer = send(panel.request(Method::POST, "/api/admins/token/")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, Some("/api/admins/token")));
    let request = panel.request(Method::GET, "/api/admins/?page=1&size=2");
    let answer = send(request.header("x-forwarded-prefix", "/my/panel")).await;
    assert_eq!(answer.header("location"), Some("/my/panel/api/admins?page=1&size=2"));
    let answer = send(panel.request(Method::GET, "/api/admins/a%2Fb/")).await;
    assert_eq!(answer.header("location"), Some("/api/admins/a%2Fb"));
    send(panel.request(Method::GET, "/api/nope/")).await.refused(404);
}

async fn unknown_path_is_404_and_unknown_method_is_405(db: Db) {
    let panel = TestPanel::start(db).await;
    for path in ["/nope", "/api", "/api/nope", "/API/admins", "/api/admins/a/b/c"] {
        send(panel.request(Method::GET, path)).await.refused(404);
    }
    let answer = send(panel.request(Method::PATCH, "/api/admins/alice")).await;
    answer.refused(405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT, DELETE"));
    send(panel.request(Method::OPTIONS, "/api/admins")).await.refused(405);
    assert_eq!(send(panel.request(Method::HEAD, "/api/users/ann/reset")).await.status.as_u16(), 405, "no GET");
}

async fn head_is_answered_like_get_without_the_body(db: Db) {
    let panel = TestPanel::start(db).await;
    let token = panel.token_of("root");
    for (path, status) in [
        ("/", 200),
        ("/dashboard/", 200),
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/metrics", 200),
        ("/api/admins", 200),
        ("/api/admins/", 307),
        ("/api/admins/nobody", 404),
        ("/nope", 404),
    ] {
        let ask = |method| send(panel.request(method, path).bearer_auth(&token));
        let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!((get.status.as_u16(), head.status.as_u16()), (status, status), "{path}");
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(names(&head), names(&get), "{path}");
        for name in ["content-type", "location", "cache-control", "content-security-policy"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        // Metrics and health change from one request to the next.
        if !matches!(path, "/metrics" | "/health/ready") {
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        }
    }
    // On the wire, because clients drop the body of an answer to HEAD.
    let mut connection = TcpStream::connect(panel.address()).await.expect("a connection");
    connection.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
}

async fn cross_origin_request_gets_headers_also_on_errors_and_preflights(db: Db) {
    let panel = TestPanel::start(db).await;
    let origin = "https://a.example";
    let refused = send(panel.request(Method::GET, "/api/admins/current").header("origin", origin)).await;
    refused.refused(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert_eq!(refused.header("access-control-allow-credentials"), Some("true"));
    let request = panel.request(Method::GET, "/nope").header("origin", origin).header("cookie", "a=b");
    let named = send(request).await;
    assert_eq!((named.header("access-control-allow-origin"), named.header("vary")), (Some(origin), Some("Origin")));
    let request = panel.request(Method::OPTIONS, "/api/admins").header("origin", origin);
    let request = request.header("access-control-request-method", "DELETE");
    let preflight = send(request.header("access-control-request-headers", "authorization,x-foo")).await;
    assert_eq!(preflight.status.as_u16(), 200);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization,x-foo"));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    let plain = send(panel.request(Method::GET, "/nope")).await;
    assert_eq!(plain.header("access-control-allow-origin"), None);
}

async fn body_that_is_not_json_is_refused_with_its_position_or_key(db: Db) {
    let panel = TestPanel::start(db).await;
    let token = panel.token_of("root");
    let post = |content_type: &'static str, body: &'static [u8]| {
        let request = panel.request(Method::POST, "/api/admins").bearer_auth(&token);
        send(request.header("content-type", content_type).body(body))
    };
    post("application/json", br#"{"name": "#).await.wrong_fields(&["9"]);
    post("application/json", b"").await.wrong_fields(&["body"]);
    post("application/json", b"null").await.wrong_fields(&["body"]);
    post("application/json", b"[]").await.wrong_fields(&["body"]);
    post("text/plain", b"{}").await.wrong_fields(&["body"]);
    post("application/json", &[b'"', 0xff, b'"']).await.refused(400);
}

async fn read_only_panel_serves_reads_and_sign_in_and_refuses_writes(db: Db) {
    let panel = TestPanel::start_with(db, &[("SARBAN_READ_ONLY", "true")]).await;
    panel.get("root", "/api/admins").await.ok();
    panel.put("root", "/api/admins/root", serde_json::json!({})).await.refused(503);
    let login = [("username", "root"), ("password", "rootpass")];
    send(panel.request(Method::POST, "/api/admins/token").form(&login)).await.ok();
}

/// The only permit is held by a request whose body has not arrived yet.
async fn overloaded_panel_refuses_all_but_exempt_routes_and_recovers_at_once(db: Db) {
    let panel = TestPanel::start_with(db, &[("MAX_REQUESTS_AT_ONCE", "1")]).await;
    let mut holding = TcpStream::connect(panel.address()).await.expect("a connection");
    let head = format!(
        "POST /api/services HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{",
        panel.token_of("root")
    );
    holding.write_all(head.as_bytes()).await.expect("sent");
    let until = Instant::now() + Duration::from_secs(30);
    let refused = loop {
        let answer = panel.get("root", "/api/services").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < until, "the permit is never taken");
    };
    refused.refused(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(send(panel.request(Method::GET, path)).await.status, 200, "{path}");
    }
    panel.get("root", "/api/nodes/999/xray/stats").await.refused(404);
    let login = [("username", "root"), ("password", "rootpass")];
    send(panel.request(Method::POST, "/api/admins/token").form(&login)).await.ok();
    let waiting = panel.get("root", "/api/services");
    let finishing = async {
        holding.write_all(b"}").await.expect("sent");
        let mut answer = String::new();
        holding.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let (waited, answer) = tokio::join!(waiting, finishing);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    waited.ok();
    panel.get("root", "/api/services").await.ok();
}

async fn home_page_and_dashboard_are_served_at_their_paths(db: Db) {
    let panel = TestPanel::start_with(db, &[("DASHBOARD_PATH", "/board/of/mine")]).await;
    let html = Some("text/html; charset=utf-8");
    let get = |path| send(panel.request(Method::GET, path));
    for path in ["/", "/board/of/mine/"] {
        let page = get(path).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, html), "{path}");
    }
    let page = get("/board/of/mine/").await.ok();
    assert!(page.as_str().expect("a page").contains(r#"content="../../../""#), "{page}: the root of the API");
    let redirect = get("/board/of/mine?a=b").await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (307, Some("/board/of/mine/?a=b")));
    get("/board/of/mine/x.js").await.refused(404);
    get("/dashboard/").await.refused(404);
    get("/dashboard/app.js").await.refused(404);
    send(panel.request(Method::POST, "/")).await.refused(405);
}

async fn files_of_the_dashboard_are_stored_by_browsers_for_good_only_under_their_own_version(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in sarban::dashboard::names() {
        let version = sarban::dashboard::file(name).expect(name).version;
        let path = format!("/dashboard/{name}");
        let get = |query: String| send(panel.request(Method::GET, &format!("{path}{query}")));
        for (query, caching) in [
            (format!("?v={version}"), "public, max-age=31536000, immutable"),
            ("?v=0123456789ab".to_owned(), "no-store"),
            (String::new(), "no-cache"),
        ] {
            let file = get(query.clone()).await;
            assert_eq!((file.status.as_u16(), file.header("cache-control")), (200, Some(caching)), "{path}{query}");
            assert_eq!(file.header("content-encoding"), Some("gzip"), "{path}");
        }
        let tag = format!("\"{version}\"");
        assert_eq!(get(String::new()).await.header("etag"), Some(tag.as_str()), "{path}");
        let again =
            send(panel.request(Method::GET, &path).header("if-none-match", format!("W/{tag}, \"other\""))).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (304, Some(tag.as_str())), "{path}");
    }
}
