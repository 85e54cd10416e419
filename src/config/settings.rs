//! All settings of a process, read and checked together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::auth::{AdminSettings, AuthSettings};
use super::backup::{BackupSettings, S3Settings};
use super::database::DatabaseSettings;
use super::edge::EdgeSettings;
use super::env::Values;
use super::errors::{SettingError, SettingsErrors};
use super::http::{HttpSettings, TlsFiles, TlsVariables};
use super::instance::{InstanceSettings, LeaseVariables, ThreadSettings};
use super::log::LogSettings;
use super::notify::NotifySettings;
use super::old_database::ImportSettings;
use super::redis::{RedisSettings, RedisVariables};
use super::source::Sources;
use super::subscription::SubscriptionSettings;
use super::tasks::TaskSettings;
use super::{env_file, section};
use crate::domain::lease::LeaseTiming;
use crate::domain::workers::requests_at_once;

/// The settings of a process, by section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// HTTP server.
    pub http: HttpSettings,
    /// Certificate and key for HTTPS; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Worker threads.
    pub threads: ThreadSettings,
    /// Database.
    pub database: DatabaseSettings,
    /// Redis; none: a single machine.
    pub redis: Option<RedisSettings>,
    /// Names and data folder of this process.
    pub instance: InstanceSettings,
    /// The scheduler's lease.
    pub lease: LeaseTiming,
    /// The scheduler's tasks.
    pub tasks: TaskSettings,
    /// Scheduled back-ups.
    pub backup: BackupSettings,
    /// How back-ups in S3 are reached.
    pub s3: S3Settings,
    /// Sign-in, credentials and rate limits.
    pub auth: AuthSettings,
    /// Subscriptions.
    pub subscription: SubscriptionSettings,
    /// Notifications.
    pub notify: NotifySettings,
    /// `sarban edge`.
    pub edge: EdgeSettings,
    /// `sarban import`.
    pub import: ImportSettings,
    /// Log.
    pub log: LogSettings,
    /// Names and passwords of admins for the command line.
    pub admins: AdminSettings,
    /// Files that secrets were read from: `.env`, and those that `NAME_FILE` names.
    pub secret_files: Vec<PathBuf>,
    /// Where each setting was read, for messages.
    pub sources: Sources,
    /// Sentences about settings that are not used as they are written; `serve` logs them.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Returns the maximum of concurrent requests on a machine with `cores` cores.
    pub fn requests_at_once(&self, cores: usize) -> usize {
        let calculated =
            || requests_at_once(self.threads.workers(cores).threads, self.database.open_connections(cores));
        self.http.requests_at_once.unwrap_or_else(calculated)
    }

    /// Reads the variables of this process and `.env` in its working folder.
    pub fn from_environment() -> Result<Self, SettingsErrors> {
        let dotenv = env_file::read(Path::new(".env")).map_err(|error| SettingsErrors(vec![error]))?;
        // In a container this is the host name of the container.
        let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut settings = Self::load(env::vars_os(), dotenv.as_deref(), host_name.trim())?;
        if dotenv.is_some() {
            settings.secret_files.push(PathBuf::from(".env"));
        }
        Ok(settings)
    }

    /// Reads the settings from the given variables and the text of `.env`. The error names all wrong settings.
    pub fn load(
        variables: impl Iterator<Item = (OsString, OsString)>,
        dotenv: Option<&str>,
        host_name: &str,
    ) -> Result<Self, SettingsErrors> {
        let mut errors = Vec::new();
        let values = Values::collect(variables, dotenv, &mut errors);
        match Self::read(&values, &mut errors) {
            Some(mut settings) if errors.is_empty() => {
                if settings.instance.name.is_empty() {
                    settings.instance.name = if host_name.is_empty() { "localhost" } else { host_name }.to_owned();
                }
                Ok(settings)
            }
            _ => Err(SettingsErrors(errors)),
        }
    }

    /// Returns none when a setting is wrong, after checking all of them.
    fn read(values: &Values, errors: &mut Vec<SettingError>) -> Option<Self> {
        let http = section::read(values, errors);
        let tls = section::read(values, errors).and_then(|it: TlsVariables| checked(it.check(), errors));
        let threads = section::read(values, errors);
        let database =
            section::read(values, errors).and_then(|it: DatabaseSettings| checked(it.check(), errors).map(|()| it));
        let redis = section::read(values, errors).and_then(|it: RedisVariables| checked(it.check(), errors));
        let instance = section::read(values, errors);
        let lease = section::read(values, errors).and_then(|it: LeaseVariables| checked(it.check(), errors));
        let tasks = section::read(values, errors);
        let backup = section::read(values, errors);
        let s3 = section::read(values, errors);
        let auth = section::read(values, errors);
        let subscription = section::read(values, errors);
        let notify = section::read(values, errors);
        let edge = section::read(values, errors);
        let import = section::read(values, errors);
        let log = section::read(values, errors);
        let admins = section::read(values, errors);
        Some(Self {
            http: http?,
            tls: tls?,
            threads: threads?,
            database: database?,
            redis: redis?,
            instance: instance?,
            lease: lease?,
            tasks: tasks?,
            backup: backup?,
            s3: s3?,
            auth: auth?,
            subscription: subscription?,
            notify: notify?,
            edge: edge?,
            import: import?,
            log: log?,
            admins: admins?,
            secret_files: values.files().to_owned(),
            sources: values.sources(),
            warnings: values.warnings().to_owned(),
        })
    }
}

fn checked<T>(result: Result<T, SettingError>, errors: &mut Vec<SettingError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde::de::{self, DeserializeOwned, Deserializer, Visitor, value::Error};

    use super::*;
    use crate::config::database_url::DatabaseUrl;
    use crate::config::names::SETTINGS;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Settings::load(variables, None, "box").map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
    }

    #[test]
    fn empty_environment_gives_the_defaults() {
        let settings = load(&[]).expect("the defaults");
        assert_eq!((settings.http.host.as_str(), settings.http.port), ("0.0.0.0", 8000));
        assert_eq!(settings.http.dashboard_path.as_str(), "/dashboard/");
        assert_eq!(settings.database.url, DatabaseUrl::Sqlite { path: "db.sqlite3".into() });
        assert_eq!(settings.database.max_connections(), 10);
        assert_eq!(settings.redis, None);
        assert_eq!(settings.instance.name, "box");
        assert_eq!(settings.lease.ttl, 10_000_000);
        assert_eq!(settings.tasks.reset_user_data_usage, Duration::from_secs(3600));
        assert_eq!(settings.auth.token_minutes, 1440);
        assert_eq!(settings.notify.usage_percent, 80);
        assert_eq!(settings.threads.workers(2).threads, 5);
        assert_eq!(settings.requests_at_once(2), 8 * (5 + 4), "SQLite opens four of the ten");
    }

    #[test]
    fn variables_reach_their_sections() {
        let settings = load(&[
            ("UVICORN_PORT", "443"),
            ("UVICORN_SSL_CERTFILE", "c.pem"),
            ("UVICORN_SSL_KEYFILE", "k.pem"),
            ("UVICORN_WORKERS", "3"),
            ("MAX_REQUESTS_AT_ONCE", "7"),
            ("DATABASE_URL", "postgresql+psycopg://u:p@pooler/d"),
            ("DATABASE_DIRECT_URL", "postgresql://u:p@direct/d"),
            ("SQLALCHEMY_CONNECTION_POOL_SIZE", "5"),
            ("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "7"),
            ("LEASE_TTL_SECONDS", "4"),
            ("LEASE_RENEW_SECONDS", "0.5"),
            ("REDIS_URL", "redis://localhost"),
            ("REDIS_POOL_SIZE", "3"),
            ("REDIS_TIMEOUT_SECONDS", "0.1"),
            ("SUBSCRIPTION_URL_PREFIX", "https://*.example/"),
            ("TELEGRAM_ADMIN_ID", "1, -2"),
            ("TELEGRAM_LOGGER_CHANNEL_ID", "0"),
            ("DOCS", "Yes"),
            ("INSTANCE_NAME", "a"),
        ])
        .expect("right settings");
        assert_eq!(settings.http.port, 443);
        assert!(settings.http.docs);
        assert_eq!(settings.tls.as_ref().map(|tls| tls.key.clone()), Some("k.pem".into()));
        assert_eq!(settings.threads.workers(64).threads, 3);
        assert_eq!(settings.requests_at_once(64), 7);
        assert_eq!(settings.database.max_connections(), 12);
        assert_ne!(settings.database.direct_url(), &settings.database.url);
        assert_eq!((settings.lease.ttl, settings.lease.renew), (4_000_000, 500_000));
        let redis = settings.redis.expect("it is set");
        assert_eq!((redis.pool_size, redis.timeout), (3, Duration::from_millis(100)));
        assert_eq!(settings.subscription.url_prefix, "https://*.example");
        assert_eq!(settings.notify.telegram_admin_ids, [1, -2]);
        assert_eq!(settings.notify.telegram_channel_id, None);
        assert_eq!(settings.instance.name, "a");
    }

    #[test]
    fn all_wrong_settings_are_reported_together() {
        let wrong = [
            ("UVICORN_PORT", "70000"),
            ("UVICORN_WORKERS", "0"),
            ("UVICORN_SSL_KEYFILE", "k.pem"),
            ("DOCS", "maybe"),
            ("TRUSTED_PROXIES", "10.0.0.0/33"),
            ("CORS_ALLOWED_ORIGINS", "example"),
            ("SQLALCHEMY_DATABASE_URL", "mysql://u:p@h/d"),
            ("DATABASE_DIRECT_URL", "postgresql://u:p@h:port/d"),
            ("SQLALCHEMY_CONNECTION_POOL_SIZE", "ten"),
            ("DATABASE_STATEMENT_CACHE", "-1"),
            ("REDIS_URL", "localhost"),
            ("REDIS_POOL_SIZE", "0"),
            ("REDIS_TIMEOUT_SECONDS", "0.001"),
            ("CLUSTER_NAME", "{a}"),
            ("SHUTDOWN_GRACE_SECONDS", "0"),
            ("LEASE_TTL_SECONDS", "1.9"),
            ("TASKS_REVIEW_USERS_INTERVAL", "30s"),
            ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "1440.0"),
            ("AUTH_GENERATION_ALGORITHM", "md5"),
            ("TELEGRAM_LOGGER_CHANNEL_ID", "me"),
            ("TELEGRAM_API_URL", "telegram"),
            ("NOTIFY_REACHED_USAGE_PERCENT", "80%"),
            ("LOG_LEVEL", "loud"),
            ("LOG_FORMAT", "xml"),
        ];
        let errors = load(&wrong).expect_err("wrong settings");
        assert_eq!(errors.len(), wrong.len(), "{errors:#?}");
        for (name, value) in wrong {
            let error = errors.iter().find(|error| error.starts_with(&format!("{name} "))).expect(name);
            assert!(
                error.contains("must ")
                    || error.contains("write ")
                    || error.contains("set ")
                    || error.contains("sarban import"),
                "{error}"
            );
            let secret = SETTINGS.iter().any(|it| it.name == name && it.secret);
            assert!(!(secret && error.contains(value)), "{error}");
        }
        assert!(
            errors.iter().any(|error| error == "UVICORN_PORT must be a whole number from 1 to 65535; got \"70000\"")
        );
    }

    #[test]
    fn conflicting_settings_are_reported() {
        let errors = load(&[
            ("LEASE_RENEW_SECONDS", "5"),
            ("REDIS_CLUSTER", "true"),
            ("DATABASE_DIRECT_URL", "postgresql://h/d"),
            ("UVICORN_SSL_KEYFILE", "k.pem"),
        ])
        .expect_err("they do not");
        for name in ["LEASE_RENEW_SECONDS", "REDIS_CLUSTER", "DATABASE_DIRECT_URL", "UVICORN_SSL_KEYFILE"] {
            assert!(errors.iter().any(|error| error.starts_with(name)), "{name}: {errors:?}");
        }
    }

    #[test]
    fn every_setting_is_read_by_exactly_one_section() {
        let mut read = Vec::new();
        read.extend(fields::<HttpSettings>());
        read.extend(fields::<TlsVariables>());
        read.extend(fields::<ThreadSettings>());
        read.extend(fields::<DatabaseSettings>());
        read.extend(fields::<RedisVariables>());
        read.extend(fields::<InstanceSettings>());
        read.extend(fields::<LeaseVariables>());
        read.extend(fields::<TaskSettings>());
        read.extend(fields::<AuthSettings>());
        read.extend(fields::<SubscriptionSettings>());
        read.extend(fields::<NotifySettings>());
        read.extend(fields::<EdgeSettings>());
        read.extend(fields::<ImportSettings>());
        read.extend(fields::<LogSettings>());
        read.extend(fields::<AdminSettings>());
        read.extend(fields::<BackupSettings>());
        read.extend(fields::<S3Settings>());
        let names: BTreeSet<String> = SETTINGS.iter().map(|it| it.name.to_lowercase()).collect();
        assert_eq!(read.len(), names.len(), "each once");
        assert_eq!(read.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), names);
    }

    /// Names of the fields of a section.
    fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
        let mut names: &[&str] = &[];
        drop(T::deserialize(FieldNames(&mut names)));
        names
    }

    struct FieldNames<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for FieldNames<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(de::Error::custom("only structs have fields"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            Err(de::Error::custom("stop after the names"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
}
