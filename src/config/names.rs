//! The table of all settings: name, default, meaning.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name in the environment and in `.env`.
    pub name: &'static str,
    /// A second name, which is read when the first is not set.
    pub alias: Option<&'static str>,
    /// The value of a setting that is not set; empty: none.
    pub default: &'static str,
    /// One line of help; docs/settings.md has more.
    pub meaning: &'static str,
    /// True for a secret: the value is never printed, and `NAME_FILE` can name a file that contains it.
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, alias: None, default, meaning, secret: false }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, alias: None, default, meaning, secret: true }
}

const fn with_alias(alias: &'static str, setting: Setting) -> Setting {
    Setting { alias: Some(alias), ..setting }
}

/// All settings, by section.
pub const SETTINGS: &[Setting] = &[
    // HTTP server.
    plain("UVICORN_HOST", "0.0.0.0", "address to listen on"),
    plain("UVICORN_PORT", "8000", "port to listen on"),
    plain("UVICORN_UDS", "", "Unix socket to listen on, in place of address and port"),
    plain(
        "UVICORN_SSL_CERTFILE",
        "",
        "certificate chain (PEM) for HTTPS, and the key, unless UVICORN_SSL_KEYFILE is set",
    ),
    plain("UVICORN_SSL_KEYFILE", "", "private key (PEM) for HTTPS; needs UVICORN_SSL_CERTFILE"),
    plain("DASHBOARD_PATH", "/dashboard/", "path of the dashboard"),
    plain("DOCS", "false", "serves the API documentation"),
    plain("TRUSTED_PROXIES", "127.0.0.0/8,::1", "networks whose X-Forwarded headers are believed"),
    plain("CORS_ALLOWED_ORIGINS", "*", "origins whose pages may call the API from a browser"),
    secret("METRICS_TOKEN", "", "bearer token for /metrics; not set: only this machine may read metrics"),
    plain(
        "MAX_REQUESTS_AT_ONCE",
        "",
        "requests worked on at once; more wait up to one second, then get 503; not set: 8 x (worker threads + \
         database connections)",
    ),
    plain("SARBAN_READ_ONLY", "false", "the panel answers reads and subscriptions, writes nothing and runs no task"),
    // Threads.
    plain("UVICORN_WORKERS", "", "worker threads; not set: min(2 x cores + 1, 8), and 1 on a single core"),
    plain("DEBUG", "false", "one worker thread, whatever UVICORN_WORKERS says"),
    // Database.
    with_alias(
        "DATABASE_URL",
        secret("SQLALCHEMY_DATABASE_URL", "sqlite:///db.sqlite3", "address of the database, SQLite or PostgreSQL"),
    ),
    plain(
        "SQLALCHEMY_CONNECTION_POOL_SIZE",
        "10",
        "database connections of this process; SQLite: capped at two per core, three on a single core",
    ),
    plain("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "-1", "connections beyond the pool size; negative: none"),
    plain("DATABASE_STATEMENT_CACHE", "100", "prepared statements per connection; 0 behind pgbouncer before 1.21"),
    secret("DATABASE_DIRECT_URL", "", "address of PostgreSQL itself behind pgbouncer, for migrations and the lease"),
    // Redis.
    secret("REDIS_URL", "", "address of Redis; not set: one machine"),
    plain(
        "REDIS_CA_FILE",
        "",
        "certificates (PEM) of the authority that signed Redis's, or Redis's own; not set: the system's",
    ),
    plain("REDIS_CLUSTER", "false", "REDIS_URL names nodes of a Redis Cluster"),
    plain("REDIS_POOL_SIZE", "8", "connections for rate limits and wake-ups; the lease has three more of its own"),
    plain("REDIS_TIMEOUT_SECONDS", "0.25", "time limit of a command over these connections, 0.01 to 60"),
    // This process among others.
    plain("CLUSTER_NAME", "sarban", "prefix of all keys in Redis; the same for all panels of one database"),
    plain("INSTANCE_NAME", "", "label of this process; not set: the host name"),
    plain("DATA_DIR", ".", "folder of the usage spool; in a container a volume"),
    plain(
        "SHUTDOWN_GRACE_SECONDS",
        "8",
        "after SIGTERM, time to finish requests and calls to nodes, and to hand over the lease",
    ),
    // Lease of the scheduler.
    plain("LEASE_TTL_SECONDS", "10", "lifetime of the lease: how long tasks stop after the leader crashes"),
    plain("LEASE_RENEW_SECONDS", "", "time between renewals of the lease; not set: a fifth of LEASE_TTL_SECONDS"),
    // Tasks.
    plain("TASKS_RECORD_USER_USAGES_INTERVAL", "30", "seconds between two collections of traffic from the nodes"),
    plain("TASKS_REVIEW_USERS_INTERVAL", "30", "seconds between two checks of the users"),
    plain("TASKS_EXPIRE_DAYS_REACHED_INTERVAL", "30", "seconds between two searches for users who expire soon"),
    plain("TASKS_RESET_USER_DATA_USAGE", "3600", "seconds between two runs of the periodic resets of used traffic"),
    plain("DISABLE_RECORDING_NODE_USAGE", "false", "does not store the nodes' hourly traffic"),
    plain("USAGE_HOURLY_RETENTION_DAYS", "60", "days until hourly traffic is summed up into daily traffic; 0: never"),
    plain("AUDIT_RETENTION_DAYS", "365", "days until entries of the audit log are deleted; 0: never"),
    plain(
        "AUDIT_READS",
        "false",
        "enters reads of users' keys and links, of nodes' configurations and of the Telegram bot's token into the audit log",
    ),
    plain(
        "NODE_HEALING_INTERVAL_SECONDS",
        "3600",
        "a node that keeps refusing its users has its engines restarted, at most once in this time; 0: never",
    ),
    // Back-ups.
    plain("BACKUP_TO", "", "folder, or s3://bucket/prefix, that back-ups are written to; not set: none are scheduled"),
    plain("BACKUP_PERIOD_HOURS", "24", "hours between two back-ups"),
    plain("BACKUP_KEEP", "14", "back-ups that stay in BACKUP_TO; 0: all"),
    plain("BACKUP_AGE_RECIPIENT", "", "recipients of age that back-ups are encrypted to, separated by commas"),
    plain("BACKUP_WITH_SECRETS", "false", "back-ups have the secret that signs tokens and the key of the certificate"),
    plain("BACKUP_S3_ENDPOINT", "", "address of the S3 server; not set: Amazon's"),
    plain("AWS_ACCESS_KEY_ID", "", "key for back-ups in S3; not set: the role of the machine at Amazon"),
    secret("AWS_SECRET_ACCESS_KEY", "", "secret of the key for S3"),
    secret("AWS_SESSION_TOKEN", "", "token of a temporary key for S3"),
    with_alias("AWS_DEFAULT_REGION", plain("AWS_REGION", "us-east-1", "region of the bucket")),
    // Sign-in and rate limits.
    plain("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "1440", "lifetime of an admin's token; 0: it does not expire"),
    plain("AUTH_GENERATION_ALGORITHM", "xxh128", "how credentials are derived from a user's key: xxh128 or plain"),
    plain(
        "LOGIN_ATTEMPTS_PER_MINUTE",
        "10",
        "wrong passwords per client address, and per admin name from addresses that never signed in as that admin; 0: no limit",
    ),
    plain("SUBSCRIPTION_MISSES_PER_MINUTE", "60", "wrong subscription links per client address; 0: no limit"),
    plain(
        "PASSKEY_DOMAIN",
        "",
        "domain that passkeys are for, good under all names below it; not set: the host name of each request",
    ),
    // Subscriptions.
    plain("SUBSCRIPTION_URL_PREFIX", "", "beginning of subscription links; each * becomes 16 random hex digits"),
    plain("SERVER_IP", "", "public IPv4 address of the panel, for hosts with {SERVER_IP} on nodes beside the panel"),
    plain("SERVER_IPV6", "", "public IPv6 address of the panel, for hosts with {SERVER_IPV6}"),
    plain(
        "SUBSCRIPTION_COPY_MAX_AGE_HOURS",
        "72",
        "hours without PostgreSQL for which subscriptions are served from the copy in DATA_DIR; 0: no copy",
    ),
    plain("SUBSCRIPTION_COPY_DIR", "", "folder of that copy, on a disk of this host; not set: DATA_DIR"),
    plain("CUSTOM_TEMPLATES_DIRECTORY", "", "folder of templates that replace the built-in ones"),
    plain("HOME_PAGE_TEMPLATE", "home/index.html", "template of the home page"),
    plain("SUBSCRIPTION_PAGE_TEMPLATE", "subscription/index.html", "template of a user's page"),
    plain(
        "TEMPLATES_CONTENT_SECURITY_POLICY",
        "frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
        "Content-Security-Policy of the two pages if they are your own templates",
    ),
    plain("CLASH_SUBSCRIPTION_TEMPLATE", "clash/default.yml", "template of Clash configurations"),
    plain("SINGBOX_SUBSCRIPTION_TEMPLATE", "singbox/default.json", "template of sing-box configurations"),
    plain("XRAY_SUBSCRIPTION_TEMPLATE", "xray/default.json", "template of Xray configurations"),
    // Notifications.
    secret("TELEGRAM_API_TOKEN", "", "token of the Telegram bot"),
    plain("TELEGRAM_API_URL", "https://api.telegram.org", "address of the Bot API"),
    plain("TELEGRAM_ADMIN_ID", "", "Telegram ids of the admins, separated by commas"),
    plain("TELEGRAM_LOGGER_CHANNEL_ID", "", "id of a Telegram channel"),
    secret("TELEGRAM_PROXY_URL", "", "proxy for requests to Telegram"),
    secret("WEBHOOK_ADDRESS", "", "URL that notifications are posted to"),
    secret("WEBHOOK_SECRET", "", "sent as x-webhook-secret, and the key of x-webhook-signature"),
    plain("RECURRENT_NOTIFICATIONS_TIMEOUT", "180", "seconds between two attempts to deliver a notification"),
    plain(
        "NUMBER_OF_RECURRENT_NOTIFICATIONS",
        "3",
        "attempts to deliver a notification before it becomes a dead letter",
    ),
    plain("NOTIFY_REACHED_USAGE_PERCENT", "80", "percentage of the data limit that triggers a notification"),
    plain("NOTIFY_DAYS_LEFT", "3", "days before the expiry that trigger a notification"),
    // Edge.
    plain("EDGE_PANELS", "", "addresses of the panels that `sarban edge` follows, separated by commas"),
    secret("EDGE_TOKEN", "", "API token of an edge, with the scopes edge:read and edge:write"),
    plain("EDGE_CA_FILE", "", "certificates (PEM) that the panels' are checked with; not set: the system's"),
    // Import.
    secret("SARBAN_IMPORT_FROM", "", "the old panel's database for `sarban import`, in place of --from"),
    // Log.
    plain("LOG_LEVEL", "info", "off, error, warn, info, debug or trace"),
    plain("LOG_FORMAT", "text", "text or json"),
    // Admins for the command line.
    plain("SUDO_USERNAME", "", "name of the admin that `sarban admin import-from-env` creates"),
    secret("SUDO_PASSWORD", "", "password of that admin"),
    with_alias(
        "MARZBAN_ADMIN_PASSWORD",
        secret("SARBAN_ADMIN_PASSWORD", "", "password for `sarban admin create` and `update` without a terminal"),
    ),
];

/// Returns the value of a setting that is not set.
pub(super) fn default_of(name: &str) -> &'static str {
    SETTINGS.iter().find(|it| it.name == name).map_or("", |it| it.default)
}

/// Returns true for the name of a setting, its alias, and `NAME_FILE` of a secret.
pub(super) fn is_setting(name: &str) -> bool {
    let of = |name: &str| SETTINGS.iter().find(|it| it.name == name || it.alias == Some(name));
    of(name).is_some() || name.strip_suffix("_FILE").and_then(of).is_some_and(|it| it.secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_unique() {
        let mut names: Vec<&str> = SETTINGS.iter().flat_map(|it| [Some(it.name), it.alias]).flatten().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
