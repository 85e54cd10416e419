//! Values that the old panel starts with and this one can't use, and their replacements, so that they keep no panel from
//! starting.

use super::http::BasePath;
use super::names::default_of;
use super::notify::{PROXIES, WEB};
use super::numbers;
use super::values::{elements, is_url};

/// The settings of the old panel.
pub const OLD_SETTINGS: [&str; 37] = [
    "UVICORN_HOST",
    "UVICORN_PORT",
    "UVICORN_UDS",
    "UVICORN_SSL_CERTFILE",
    "UVICORN_SSL_KEYFILE",
    "DASHBOARD_PATH",
    "DOCS",
    "DEBUG",
    "SQLALCHEMY_DATABASE_URL",
    "SQLALCHEMY_CONNECTION_POOL_SIZE",
    "SQLALCHEMY_CONNECTION_MAX_OVERFLOW",
    "TASKS_RECORD_USER_USAGES_INTERVAL",
    "TASKS_REVIEW_USERS_INTERVAL",
    "TASKS_EXPIRE_DAYS_REACHED_INTERVAL",
    "TASKS_RESET_USER_DATA_USAGE",
    "DISABLE_RECORDING_NODE_USAGE",
    "JWT_ACCESS_TOKEN_EXPIRE_MINUTES",
    "AUTH_GENERATION_ALGORITHM",
    "SUBSCRIPTION_URL_PREFIX",
    "CUSTOM_TEMPLATES_DIRECTORY",
    "HOME_PAGE_TEMPLATE",
    "SUBSCRIPTION_PAGE_TEMPLATE",
    "CLASH_SUBSCRIPTION_TEMPLATE",
    "SINGBOX_SUBSCRIPTION_TEMPLATE",
    "XRAY_SUBSCRIPTION_TEMPLATE",
    "TELEGRAM_API_TOKEN",
    "TELEGRAM_ADMIN_ID",
    "TELEGRAM_LOGGER_CHANNEL_ID",
    "TELEGRAM_PROXY_URL",
    "WEBHOOK_ADDRESS",
    "WEBHOOK_SECRET",
    "RECURRENT_NOTIFICATIONS_TIMEOUT",
    "NUMBER_OF_RECURRENT_NOTIFICATIONS",
    "NOTIFY_REACHED_USAGE_PERCENT",
    "NOTIFY_DAYS_LEFT",
    "SUDO_USERNAME",
    "SUDO_PASSWORD",
];

/// A replacement of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instead {
    /// Another value; none: the setting counts as not set.
    pub text: Option<String>,
    /// Continues a sentence that begins with the setting's name, if the meaning is another.
    pub warning: Option<String>,
}

/// Returns the replacement of a value that only the old panel takes; none for any other text.
pub(super) fn instead(setting: &str, text: &str) -> Option<Instead> {
    let used = |text: String, warning: Option<String>| Some(Instead { text: Some(text), warning });
    match setting {
        "DASHBOARD_PATH" if text.parse::<BasePath>().is_err() => {
            let default = default_of(setting);
            let warning = format!("must be a path such as /dashboard/; {default} is used in place of {text:?}");
            used(default.to_owned(), Some(warning))
        }
        // There it means "any free port", which nobody could find.
        "UVICORN_PORT" if numbers::digits(text).is_some_and(|digits| digits.parse() == Ok(0)) => {
            let default = default_of(setting);
            used(default.to_owned(), Some(format!("must be from 1 to 65535; {default} is used in place of 0")))
        }
        "TELEGRAM_ADMIN_ID" => {
            let ids: Vec<&str> = elements(text).filter(|id| id.parse::<i64>().is_ok()).collect();
            if ids.len() == elements(text).count() {
                return None;
            }
            let warning = "must be a list of Telegram ids such as 1234567,7654321; what is no number is left out";
            Some(Instead { text: Some(ids.join(",")).filter(|ids| !ids.is_empty()), warning: Some(warning.to_owned()) })
        }
        // As HTTP libraries take it.
        "TELEGRAM_PROXY_URL" if !text.contains("://") && is_url(&format!("http://{text}"), &PROXIES) => {
            used(format!("http://{text}"), None)
        }
        "TELEGRAM_PROXY_URL" if !is_url(text.trim(), &PROXIES) => {
            let warning = "must be the address of a proxy such as socks5://host:1080 or http://host:8080; no message is sent \
                           to Telegram";
            used(text.to_owned(), Some(warning.to_owned()))
        }
        "WEBHOOK_ADDRESS" if !is_url(text.trim(), &WEB) => Some(Instead {
            text: None,
            warning: Some("must be a URL such as https://host/path; no webhook is called".to_owned()),
        }),
        _ => {
            let (number, warning) = numbers::replaced(setting, text)?;
            used(number.to_string(), warning)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::names::SETTINGS;

    #[test]
    fn old_settings_are_settings() {
        for name in OLD_SETTINGS {
            assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name}");
        }
    }

    #[test]
    fn odd_values_are_replaced_and_others_are_not() {
        let of = |setting, text| instead(setting, text).map(|it| (it.text, it.warning.is_some()));
        let used = |text: &str, warned| Some((Some(text.to_owned()), warned));
        for text in ["/", "dashboard", "/a b/", "/{x}", "/api", "/sub/mine/", "/docs"] {
            assert_eq!(of("DASHBOARD_PATH", text), used("/dashboard/", true), "{text}");
        }
        assert_eq!(of("DASHBOARD_PATH", "/board"), None);
        assert_eq!(of("UVICORN_PORT", "0"), used("8000", true));
        assert_eq!(of("UVICORN_PORT", "70000"), None);
        assert_eq!(of("TELEGRAM_ADMIN_ID", "1, -2"), None);
        assert_eq!(of("TELEGRAM_ADMIN_ID", "1, me,,3"), used("1,3", true));
        assert_eq!(of("TELEGRAM_ADMIN_ID", "@me"), Some((None, true)));
        assert_eq!(of("TELEGRAM_PROXY_URL", "proxy:1080"), used("http://proxy:1080", false));
        assert_eq!(of("TELEGRAM_PROXY_URL", "u:p@proxy:1080"), used("http://u:p@proxy:1080", false));
        assert_eq!(of("TELEGRAM_PROXY_URL", "socks5://proxy"), None);
        assert_eq!(of("TELEGRAM_PROXY_URL", "socks://proxy"), used("socks://proxy", true));
        assert_eq!(of("WEBHOOK_ADDRESS", "host/path"), Some((None, true)));
        assert_eq!(of("WEBHOOK_ADDRESS", "https://host/path"), None);
        assert_eq!(of("NOTIFY_DAYS_LEFT", "-1"), used("0", true));
    }
}
