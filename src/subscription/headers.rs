//! The response headers of a subscription, which apps show beside the entries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::programs::Program;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::{Expiry, User};

use super::client::Client;
use super::percent;

/// Names and values of the headers; the values are ASCII. `url` is the URL of the request.
pub fn headers(
    user: &User,
    settings: &SubscriptionSettings,
    url: &str,
    client: Client<'_>,
) -> [(&'static str, String); 6] {
    [
        ("content-disposition", attachment(user.username.as_deref().unwrap_or_default())),
        ("profile-web-page-url", ascii(url)),
        ("support-url", ascii(&settings.support_link)),
        ("profile-title", format!("base64:{}", STANDARD.encode(&settings.profile_title))),
        ("profile-update-interval", settings.update_interval.to_string()),
        ("subscription-userinfo", user_info(user, client)),
    ]
}

/// Used traffic, limit and expiry of a user. Some programs take `expire=0` for a date in 1970, others need it to show
/// anything.
fn user_info(user: &User, client: Client<'_>) -> String {
    let (used, limit) = (user.used_traffic, user.data_limit.unwrap_or(0));
    let traffic = format!("upload=0; download={used}; total={limit}");
    match user.expiry {
        Expiry::FixedDate(at) => format!("{traffic}; expire={}", at.seconds()),
        Expiry::Never | Expiry::StartOnFirstUse { .. } if client.program().is_some_and(Program::needs_expiry) => {
            format!("{traffic}; expire=0")
        }
        Expiry::Never | Expiry::StartOnFirstUse { .. } => traffic,
    }
}

/// A user's name may have letters of any alphabet. Programs that can't read `filename*` get the ASCII characters of it.
fn attachment(name: &str) -> String {
    let stays = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    let plain: String = name.chars().filter(stays).collect();
    if plain == name {
        return format!("attachment; filename=\"{name}\"");
    }
    let plain = if plain.is_empty() { "subscription" } else { &plain };
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", percent::encoded(name))
}

/// Percent-encodes the characters of a link that a header cannot carry or that some apps cannot read.
pub fn ascii(link: &str) -> String {
    let stays = |letter: char| letter.is_ascii_graphic() || letter == ' ';
    if link.chars().all(stays) {
        return link.to_owned();
    }
    let mut safe = String::with_capacity(link.len());
    for letter in link.chars() {
        if stays(letter) {
            safe.push(letter);
        } else {
            safe.extend(percent::encoded(letter.encode_utf8(&mut [0; 4])));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_outside_printable_ascii_are_encoded() {
        assert_eq!(ascii("https://t.me/x?a=b&c=%20#d"), "https://t.me/x?a=b&c=%20#d");
        assert_eq!(ascii("t.me/é\r\nx: y"), "t.me/%C3%A9%0D%0Ax: y");
        assert_eq!(attachment("ann_1"), "attachment; filename=\"ann_1\"");
        let encoded = "filename*=UTF-8''%D8%A2%D9%86";
        assert_eq!(attachment("آن"), format!("attachment; filename=\"subscription\"; {encoded}"));
        assert_eq!(attachment("آن_7"), format!("attachment; filename=\"_7\"; {encoded}_7"));
    }
}
