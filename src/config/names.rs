//! Every name that Sarban reads from its environment: with its default and what it means.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name in the environment and in `.env`.
    pub name: &'static str,
    /// A second name for the same; read when the first is not set.
    pub alias: Option<&'static str>,
    /// The value when it is not set; empty: none.
    pub default: &'static str,
    /// What it is for, in one line.
    pub meaning: &'static str,
    /// A secret: its value is never printed, and `NAME_FILE` names a file to read it from.
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, alias: None, default, meaning, secret: false }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, alias: None, default, meaning, secret: true }
}

const fn either(alias: &'static str, setting: Setting) -> Setting {
    Setting { alias: Some(alias), ..setting }
}

/// All of them, by section.
pub const SETTINGS: &[Setting] = &[
    // Listening and answering.
    plain("UVICORN_HOST", "0.0.0.0", "address to listen on"),
    plain("UVICORN_PORT", "8000", "port to listen on"),
    plain("UVICORN_UDS", "", "Unix socket to listen on instead of an address and a port"),
    plain("UVICORN_SSL_CERTFILE", "", "certificate chain (PEM); together with UVICORN_SSL_KEYFILE"),
    plain("UVICORN_SSL_KEYFILE", "", "private key (PEM); together with UVICORN_SSL_CERTFILE"),
    plain("DASHBOARD_PATH", "/dashboard/", "path of the dashboard"),
    plain("DOCS", "false", "serve the API's documentation"),
    plain("TRUSTED_PROXIES", "127.0.0.0/8,::1", "networks whose X-Forwarded headers are believed"),
    plain("CORS_ALLOWED_ORIGINS", "*", "origins whose pages may call the API"),
    secret("METRICS_TOKEN", "", "bearer token of /metrics; without it only this machine may read them"),
    plain(
        "MAX_REQUESTS_AT_ONCE",
        "",
        "further ones wait up to a second, then get 503; not set: 8 x (worker threads + database connections)",
    ),
    plain("SARBAN_READ_ONLY", "false", "refuse every change"),
    // Threads.
    plain("UVICORN_WORKERS", "", "worker threads; not set: min(2 x cores + 1, 8), and 1 on one core"),
    plain("DEBUG", "false", "one worker thread, whatever else is set"),
    // Database.
    either(
        "DATABASE_URL",
        secret("SQLALCHEMY_DATABASE_URL", "sqlite:///db.sqlite3", "the database, SQLite or PostgreSQL"),
    ),
    plain(
        "SQLALCHEMY_CONNECTION_POOL_SIZE",
        "10",
        "database connections of this process; on SQLite at most two a core, on one core three",
    ),
    plain("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "-1", "connections beyond the pool; below zero: none"),
    plain("DATABASE_STATEMENT_CACHE", "100", "prepared statements per connection; 0 behind pgbouncer"),
    secret("DATABASE_DIRECT_URL", "", "the database past pgbouncer, for migrations and the lease"),
    // Redis.
    secret("REDIS_URL", "", "Redis of the cluster; not set: one box"),
    plain("REDIS_CLUSTER", "false", "REDIS_URL names nodes of a Redis Cluster"),
    // This host among others.
    plain("CLUSTER_NAME", "sarban", "prefix of every key in Redis"),
    plain("INSTANCE_NAME", "", "label of this host; not set: its host name"),
    plain("DATA_DIR", ".", "folder of the usage spool; in a container a volume"),
    plain("SHUTDOWN_GRACE_SECONDS", "8", "time to finish what is begun after SIGTERM"),
    // The scheduler's lease.
    plain("LEASE_TTL_SECONDS", "10", "how long a crashed leader keeps the others waiting"),
    plain("LEASE_RENEW_SECONDS", "", "time between renewals; not set: a fifth of LEASE_TTL_SECONDS"),
    // Tasks.
    plain("TASKS_RECORD_USER_USAGES_INTERVAL", "30", "seconds between two collections of usage"),
    plain("TASKS_REVIEW_USERS_INTERVAL", "30", "seconds between two reviews of the users"),
    plain("TASKS_EXPIRE_DAYS_REACHED_INTERVAL", "30", "seconds between two searches for users about to expire"),
    plain("TASKS_RESET_USER_DATA_USAGE", "3600", "seconds between two resets of periodic limits"),
    plain("DISABLE_RECORDING_NODE_USAGE", "false", "do not keep the nodes' hourly usage"),
    plain("USAGE_HOURLY_RETENTION_DAYS", "60", "days to keep hourly usage; 0: for ever"),
    // Signing in, and who asks too often.
    plain("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "1440", "lifetime of an admin's token; 0: it does not end"),
    plain("AUTH_GENERATION_ALGORITHM", "xxh128", "how a user's secret is made of the key: xxh128 or plain"),
    plain("LOGIN_ATTEMPTS_PER_MINUTE", "10", "wrong passwords per address and per name; 0: no limit"),
    plain("SUBSCRIPTION_MISSES_PER_MINUTE", "60", "wrong subscription links per address; 0: no limit"),
    // Subscriptions.
    plain("SUBSCRIPTION_URL_PREFIX", "", "what subscription links begin with; * becomes 16 random hex digits"),
    plain("CUSTOM_TEMPLATES_DIRECTORY", "", "folder of templates that replace the built-in ones"),
    plain("HOME_PAGE_TEMPLATE", "home/index.html", "template of the home page"),
    plain("SUBSCRIPTION_PAGE_TEMPLATE", "subscription/index.html", "template of a user's page"),
    plain("CLASH_SUBSCRIPTION_TEMPLATE", "clash/default.yml", "template of Clash configurations"),
    plain("SINGBOX_SUBSCRIPTION_TEMPLATE", "singbox/default.json", "template of sing-box configurations"),
    plain("XRAY_SUBSCRIPTION_TEMPLATE", "xray/default.json", "template of Xray configurations"),
    // Notifications.
    secret("TELEGRAM_API_TOKEN", "", "token of the Telegram bot"),
    plain("TELEGRAM_API_URL", "https://api.telegram.org", "where the Bot API is"),
    plain("TELEGRAM_ADMIN_ID", "", "Telegram ids of the admins, separated by commas"),
    plain("TELEGRAM_LOGGER_CHANNEL_ID", "", "Telegram channel of the log"),
    secret("TELEGRAM_PROXY_URL", "", "proxy on the way to Telegram"),
    secret("WEBHOOK_ADDRESS", "", "address that notifications are posted to"),
    secret("WEBHOOK_SECRET", "", "sent along as x-webhook-secret, and key of x-webhook-signature"),
    plain("RECURRENT_NOTIFICATIONS_TIMEOUT", "180", "seconds between two attempts to deliver"),
    plain("NUMBER_OF_RECURRENT_NOTIFICATIONS", "3", "attempts to deliver, then it is a dead letter"),
    plain("NOTIFY_REACHED_USAGE_PERCENT", "80", "percent of the data limit that is worth a notification"),
    plain("NOTIFY_DAYS_LEFT", "3", "days before the end that are worth a notification"),
    // Moving in.
    secret("SARBAN_IMPORT_FROM", "", "the old panel's database for `sarban import`, instead of --from"),
    // Logs.
    plain("LOG_LEVEL", "info", "off, error, warn, info, debug or trace"),
    plain("LOG_FORMAT", "text", "text or json"),
    // Admins from the environment.
    plain("SUDO_USERNAME", "", "name for `sarban admin import-from-env`"),
    secret("SUDO_PASSWORD", "", "password for `sarban admin import-from-env`"),
    either(
        "MARZBAN_ADMIN_PASSWORD",
        secret("SARBAN_ADMIN_PASSWORD", "", "password for `sarban admin create` and `update` without a terminal"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_for_two_things() {
        let mut names: Vec<&str> = SETTINGS.iter().flat_map(|it| [Some(it.name), it.alias]).flatten().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
