//! The web page that browsers get for a subscription: how the account stands, and the link for apps.

use poem::{Body, Response};

use crate::domain::host_template::readable_bytes;
use crate::domain::moment::Moment;
use crate::domain::user_document::UserDocument;

/// The page of a user.
pub(super) fn response(user: &UserDocument) -> Response {
    Response::builder().content_type("text/html; charset=utf-8").body(Body::from_string(page(user)))
}

fn page(user: &UserDocument) -> String {
    let name = escaped(&user.username);
    let link = escaped(&user.subscription_url);
    let state = if user.is_active { "active" } else { "not active" };
    let used = readable_bytes(user.used_traffic);
    let limit = user.data_limit.map_or_else(|| "∞".to_owned(), readable_bytes);
    let end = user.expire_date.map_or_else(|| "∞".to_owned(), Moment::naive_iso);
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{name}</title>
<style>
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }}
dt {{ opacity: .7 }}
dd {{ margin: 0 0 1rem; overflow-wrap: anywhere }}
</style>
</head>
<body>
<h1>{name}</h1>
<dl>
<dt>Account</dt><dd>{state}</dd>
<dt>Traffic</dt><dd>{used} / {limit}</dd>
<dt>Ends</dt><dd>{end}</dd>
<dt>Link for apps</dt><dd><a href="{link}">{link}</a></dd>
</dl>
</body>
</html>
"#
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_the_page() {
        assert_eq!(escaped(r#"<a href="x">'&"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }
}
