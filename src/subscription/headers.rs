//! The response headers of a subscription, which apps show beside the entries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::{Expiry, User};

use super::percent;

/// Names and values of the headers; the values are ASCII. `url` is the URL of the request.
pub fn headers(user: &User, settings: &SubscriptionSettings, url: &str) -> [(&'static str, String); 6] {
    let expire = match user.expiry {
        Expiry::FixedDate(at) => at.seconds(),
        Expiry::Never | Expiry::StartOnFirstUse { .. } => 0,
    };
    let (used, limit) = (user.used_traffic, user.data_limit.unwrap_or(0));
    [
        ("content-disposition", attachment(user.username.as_deref().unwrap_or_default())),
        ("profile-web-page-url", ascii(url)),
        ("support-url", ascii(&settings.support_link)),
        ("profile-title", format!("base64:{}", STANDARD.encode(&settings.profile_title))),
        ("profile-update-interval", settings.update_interval.to_string()),
        ("subscription-userinfo", format!("upload=0; download={used}; total={limit}; expire={expire}")),
    ]
}

/// A user's name may have letters of any alphabet.
fn attachment(name: &str) -> String {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        format!("attachment; filename=\"{name}\"")
    } else {
        format!("attachment; filename*=UTF-8''{}", percent::encoded(name))
    }
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
        assert_eq!(attachment("آن"), "attachment; filename*=UTF-8''%D8%A2%D9%86");
    }
}
