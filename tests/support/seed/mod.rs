//! Fills a new database with the users of a large panel within seconds, for benchmarks and load.
//!
//! One SQL text serves both engines. Values that look random are hashes of the row's id, so every run creates the same
//! users.

use std::time::Duration;

use sarban::actions::passwords;
use sarban::config::secret::Secret;
use sarban::domain::moment::{DAY, HOUR, Moment, SECOND};
use sarban::store::{Db, Engine, Tx};
use sqlx::{AssertSqlSafe, query_as, query_scalar, raw_sql};

/// The password of every seeded admin.
pub const PASSWORD: &str = "benchmark";

/// Numbers of rows to create.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Users, removed ones included: about 3 % are removed, 2 % disabled, 8 % expired, 4 % limited.
    pub users: i64,
    /// Hours of usage of every tenth user.
    pub hours: i64,
    /// Hosts, each with one of five inbounds.
    pub hosts: i64,
}

/// Fills the totals, in place of the disabled triggers.
const TOTALS: &str = "DELETE FROM owner_totals;
    INSERT INTO owner_totals (owner_id, users, traffic)
    SELECT COALESCE(u.owner_id, 0), SUM(CASE WHEN u.removed THEN 0 ELSE 1 END), SUM(t.lifetime_used_traffic)
    FROM users u JOIN user_traffic t ON t.user_id = u.id GROUP BY 1";

/// Fills the searchable names, in place of the disabled triggers of PostgreSQL.
const NAMES: &str = "DELETE FROM user_names;
    INSERT INTO user_names (id, username, owner_id)
    SELECT id, username, owner_id FROM users WHERE username IS NOT NULL ORDER BY id";

const ADMINS: i64 = 21;
const SERVICES: i64 = 10;

/// Fills the database: 21 admins (`root` has all rights), 10 services, a disabled node, its inbounds, hosts, users.
pub async fn fill(db: &Db, size: Size, now: Moment) {
    let hash = passwords::hash(Secret::new(PASSWORD.to_owned())).await.expect("a hash");
    let Size { users, hours, hosts } = size;
    let (engine, now) = (db.engine(), now.micros());
    let mut tx = db.begin().await.expect("a transaction");
    if engine == Engine::Postgres {
        // Every foreign key is valid by construction; only a superuser may disable the checks.
        attempt(&mut tx, "SET LOCAL session_replication_role = replica").await;
        run(&mut tx, "SET LOCAL work_mem = '256MB'; SET LOCAL maintenance_work_mem = '512MB'").await;
    }
    run(&mut tx, &people_sql(&hash, now)).await;
    run(&mut tx, &fleet_sql(engine, hosts, now)).await;
    let later = drop_indexes_and_triggers(&mut tx).await;
    for sql in [users_sql(engine, users, now), traffic_sql(users, now), user_rows_sql(users, hours, now)] {
        run(&mut tx, &sql).await;
    }
    if engine == Engine::Postgres {
        run(&mut tx, NAMES).await;
    }
    for sql in later {
        run(&mut tx, &sql).await;
    }
    run(&mut tx, TOTALS).await;
    if engine == Engine::Sqlite {
        run(&mut tx, "INSERT INTO users_fts (users_fts) VALUES ('rebuild')").await;
    } else {
        for table in ["admins", "services", "users", "nodes", "inbounds", "hosts"] {
            run(&mut tx, &format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}"))
                .await;
        }
    }
    tx.commit().await.expect("a commit");
    maintain(db).await;
}

/// Removes indexes and triggers that would be maintained row by row, and returns the SQL that creates them again.
async fn drop_indexes_and_triggers(tx: &mut Tx) -> Vec<String> {
    const PG: &str = "SELECT 'DROP INDEX ' || i.indexname, i.indexdef FROM pg_indexes i
        WHERE i.schemaname = current_schema()
            AND i.tablename IN ('users', 'user_names', 'user_traffic', 'users_services', 'user_usage_hours', 'subscription_fetches')
            AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)";
    const LITE: &str = "SELECT 'DROP ' || type || ' ' || name, sql FROM sqlite_master
        WHERE type IN ('index', 'trigger') AND sql IS NOT NULL
            AND tbl_name IN ('users', 'user_traffic', 'users_services', 'user_usage_hours', 'subscription_fetches')
        ORDER BY type";
    let found: Vec<(String, String)> = match tx {
        Tx::Pg(tx) => query_as(PG).fetch_all(tx.connection().expect("a connection")).await,
        Tx::Lite { tx, .. } => query_as(LITE).fetch_all(&mut **tx).await,
    }
    .expect("indexes are listed");
    let mut creates = Vec::new();
    for (drop, create) in found {
        run(tx, &drop).await;
        creates.push(create);
    }
    creates
}

/// Runs the maintenance that both engines would do by themselves later.
async fn maintain(db: &Db) {
    match db {
        Db::Pg(pool) => {
            // A concurrent autovacuum can leave pages that are not all-visible: the vacuum is then repeated.
            const NOT_VISIBLE: &str = "SELECT COUNT(*) FROM pg_class
                WHERE relname IN ('users', 'users_services', 'user_traffic') AND relpages > 0 AND relallvisible = 0";
            for _ in 0..20 {
                raw_sql("VACUUM (ANALYZE)").execute(pool.for_statement("a test")).await.expect("vacuumed");
                if query_scalar::<_, i64>(NOT_VISIBLE).fetch_one(pool.for_statement("a test")).await.expect("a number")
                    == 0
                {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            raw_sql("CHECKPOINT").execute(pool.for_statement("a test")).await.ok();
        }
        Db::Lite(_) => {
            let mut tx = db.begin().await.expect("a transaction");
            run(&mut tx, "PRAGMA analysis_limit = 1000; ANALYZE").await;
            tx.commit().await.expect("a commit");
        }
    }
}

fn people_sql(hash: &str, now: i64) -> String {
    format!(
        "INSERT INTO admins (id, username, hashed_password, is_sudo, all_services_access, created_at)
         WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {ADMINS})
         SELECT id, CASE id WHEN 1 THEN 'root' ELSE 'reseller_' || (id - 1) END, '{hash}', id = 1, id % 4 = 0, {now}
         FROM n;
         INSERT INTO services (id, name)
         WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {SERVICES})
         SELECT id, 'service ' || id FROM n;
         INSERT INTO admins_services (admin_id, service_id)
         SELECT a.id, s.id FROM admins a JOIN services s ON (a.id + s.id) % 3 = 0 WHERE a.id > 1;"
    )
}

/// Five inbounds on a disabled node, and hosts of each in turn; every service has all inbounds.
fn fleet_sql(engine: Engine, hosts: i64, now: i64) -> String {
    let json = if engine == Engine::Postgres { "JSONB" } else { "TEXT" };
    let inbounds = [
        (
            1,
            "vless",
            r#""network":"tcp","tls":"reality","sni":["cdn.example.org"],"path":null,"flow":"xtls-rprx-vision","fp":"firefox","pbk":"8hVw3mJrQyN0b6nYxk1oTzUe5cLwAi9fRsGdPqKtM2E","sid":"0f1e2d3c""#,
        ),
        (2, "vmess", r#""network":"ws","tls":"none","sni":[],"path":"/stream","flow":null"#),
        (3, "trojan", r#""network":"tcp","tls":"tls","sni":["tls.example.org"],"path":null,"flow":null"#),
        (4, "shadowsocks", r#""network":null,"tls":"none","sni":[],"path":null,"flow":null"#),
        (5, "vless", r#""network":"grpc","tls":"tls","sni":["grpc.example.org"],"path":"service","flow":null"#),
    ];
    let rows = inbounds.map(|(id, protocol, more)| {
        let config = format!(
            r#"{{"tag":"in-{id}","protocol":"{protocol}","port":{port},{more},"host":[],"header_type":null,"is_fallback":false}}"#,
            port = 8440 + id
        );
        format!("({id}, 1000, 'in-{id}', '{protocol}', '{config}')")
    });
    format!(
        r#"INSERT INTO nodes (id, name, address, port, connection_backend, status, created_at)
           VALUES (1000, 'seeded', '192.0.2.1', 53042, 'grpcio', 'disabled', {now});
           INSERT INTO inbounds (id, node_id, tag, protocol, config) VALUES {};
           INSERT INTO inbounds_services (inbound_id, service_id) SELECT i.id, s.id FROM inbounds i JOIN services s ON TRUE;
           INSERT INTO hosts (id, inbound_id, weight, spec)
           WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {hosts})
           SELECT id, 1 + id % 5, 1 + id % 7,
                  CAST('{{"remark":"{{USERNAME}} {{PROTOCOL}} ' || id || ' {{DAYS_LEFT}}","address":"h' || id || '.example.org",'
                       || '"port":' || (2000 + id) || ',"fingerprint":"chrome"}}' AS {json})
           FROM n WHERE id <= {hosts};"#,
        rows.join(", ")
    )
}

/// Hashes of the id, one per property of a user, most of them from 0 to 999.
const DIGITS: &str = "
    SELECT id, id * 2654435761 % 4294967291 % 1000 AS a, id * 2246822519 % 4294967291 % 1000 AS b,
           id * 3266489917 % 4294967291 % 1000 AS c, id * 668265263 % 4294967291 % 1000 AS d,
           id * 374761393 % 4294967291 % 1000 AS e, id * 1274126177 % 4294967291 % 1050 AS f,
           id * 2971215073 % 4294967291 % 1000 AS g, id * 433494437 % 4294967291 % 100000 AS h
    FROM n";

/// Users with their expiry, limit and usage, which decide together if a user is active.
fn accounts(users: i64, now: i64) -> String {
    format!(
        "WITH RECURSIVE n (id) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT id + 1 FROM n WHERE id < {users}),
              digits AS ({DIGITS}),
              accounts AS (
                SELECT id, a, b, c, d, e, f, g, h, b >= 20 AS is_on, c < 30 AS is_removed,
                       {now} - ({users} - id) * {span} AS made_at,
                       CASE WHEN a < 600 THEN 'fixed_date' WHEN a < 900 THEN 'never' ELSE 'start_on_first_use' END AS strategy,
                       CASE WHEN a < 600 THEN {now} + (d * 365 / 1000 - 50) * {DAY} + h * {SECOND} / 2 END AS ends_at,
                       CASE WHEN e < 850 THEN (5 + e % 96) * 1073741824 END AS data_limit,
                       CASE WHEN e < 850 THEN (5 + e % 96) * 1073741824 / 1000 * f ELSE f * 1073741824 / 10 END AS used
                FROM digits)",
        span = 730 * DAY / users.max(1)
    )
}

fn users_sql(engine: Engine, users: i64, now: i64) -> String {
    let hex = |part: &str| match engine {
        Engine::Postgres => format!("LPAD(TO_HEX({part}), 8, '0')"),
        Engine::Sqlite => format!("printf('%08x', {part})"),
    };
    let key: Vec<String> = [2654435761_i64, 2246822519, 3266489917, 668265263]
        .iter()
        .map(|m| hex(&format!("(id * {m} % 4294967291)")))
        .collect();
    let names = [
        "ali", "sara", "reza", "maryam", "hossein", "niloofar", "amir", "zahra", "mehdi", "fatemeh", "arash", "parisa",
        "ivan", "olga", "dmitry", "anna", "sergey", "li", "wei", "chen", "yang", "user", "client", "vip", "test",
        "shop",
    ];
    let names: Vec<String> = names.iter().enumerate().map(|(nth, name)| format!("({nth}, '{name}')")).collect();
    format!(
        "INSERT INTO users (id, username, key, owner_id, enabled, activated, removed, expire_strategy, expire_date,
                usage_duration, activation_deadline, note, created_at, edit_at)
         {}, names (nth, word) AS (VALUES {names})
         SELECT id, CASE WHEN is_removed THEN NULL ELSE word || CASE WHEN b % 3 = 0 THEN '_' ELSE '' END
                    || (id * 7919 % 10000019) END,
                {key}, CASE WHEN g < 200 THEN 1 WHEN g < 950 THEN 2 + g % {resellers} END, is_on,
                is_on AND NOT is_removed AND COALESCE(ends_at >= {now}, TRUE) AND COALESCE(used < data_limit, TRUE),
                is_removed, strategy, ends_at,
                CASE WHEN strategy = 'start_on_first_use' THEN 2592000 END,
                CASE WHEN strategy = 'start_on_first_use' THEN {now} + (d + 1) * {HOUR} END,
                CASE WHEN c % 5 = 0 THEN 'paid by card, order ' || h END, made_at,
                CASE WHEN d % 2 = 0 THEN made_at + h END
         FROM accounts JOIN names ON nth = h % {count} ORDER BY id;",
        accounts(users, now),
        names = names.join(", "),
        count = names.len(),
        key = key.join(" || "),
        resellers = ADMINS - 1,
    )
}

fn traffic_sql(users: i64, now: i64) -> String {
    format!(
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, lifetime_used_traffic, online_at,
                data_limit_reset_strategy, traffic_reset_at, created_at)
         {}
         SELECT id, data_limit, used, used * 3, CASE WHEN g % 10 < 7 THEN {now} - h * {SECOND} END,
                CASE WHEN b % 10 < 6 THEN 'no_reset' WHEN b % 10 < 8 THEN 'month' WHEN b % 10 < 9 THEN 'week' ELSE 'day' END,
                CASE WHEN b % 10 >= 6 THEN {now} - g * 60 * {SECOND} END, made_at
         FROM accounts ORDER BY id;",
        accounts(users, now)
    )
}

/// Services (one or two each), fetches, and hours of usage.
fn user_rows_sql(users: i64, hours: i64, now: i64) -> String {
    let this_hour = now / HOUR * HOUR;
    let accounts = accounts(users, now);
    format!(
        "INSERT INTO users_services (user_id, service_id)
         {accounts} SELECT id, 1 + a % {SERVICES} FROM accounts
         UNION ALL SELECT id, 1 + (a + 3) % {SERVICES} FROM accounts WHERE d < 400;
         INSERT INTO subscription_fetches (user_id, fetched_at, user_agent)
         {accounts} SELECT id, {now} - h * {SECOND}, CASE WHEN d < 500 THEN 'v2rayNG/1.8.5' ELSE 'ClashMeta/2.9' END
         FROM accounts WHERE g % 10 < 6;
         INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
         WITH RECURSIVE t (hour) AS (SELECT 1 UNION ALL SELECT hour + 1 FROM t WHERE hour < {hours})
         SELECT u.id, {this_hour} - t.hour * {HOUR}, 1000, 1000000 + u.id * 7919 % 90000000
         FROM users u JOIN t ON TRUE WHERE u.id % 10 = 0 AND t.hour <= {hours};
         INSERT INTO node_usage_hours (node_id, hour, downlink, counted)
         SELECT node_id, hour, SUM(counted), SUM(counted) FROM user_usage_hours GROUP BY node_id, hour;"
    )
}

async fn run(tx: &mut Tx, sql: &str) {
    attempt_result(tx, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs a statement that may be refused, in a savepoint, because PostgreSQL aborts the transaction otherwise.
async fn attempt(tx: &mut Tx, sql: &str) {
    run(tx, "SAVEPOINT attempt").await;
    if attempt_result(tx, sql).await.is_err() {
        run(tx, "ROLLBACK TO SAVEPOINT attempt").await;
    }
}

async fn attempt_result(tx: &mut Tx, sql: &str) -> sqlx::Result<()> {
    let sql = raw_sql(AssertSqlSafe(sql));
    match tx {
        Tx::Pg(tx) => sql.execute(tx.connection().expect("a connection")).await.map(drop),
        Tx::Lite { tx, .. } => sql.execute(&mut **tx).await.map(drop),
    }
}
