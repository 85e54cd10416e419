//! SQL texts as registered constants, and the macros that run them on either engine.

/// One SQL text with its name; two texts where the engines must differ.
#[derive(Debug)]
pub struct Statement {
    /// Module path and name: `sarban::store::users::BY_USERNAME`.
    pub name: &'static str,
    /// The text for PostgreSQL.
    pub pg: &'static str,
    /// The text for SQLite.
    pub lite: &'static str,
}

/// Declares statements as constants and lists them in `STATEMENTS`, which `store::all_statements` collects.
///
/// `NAME = "text";` for both engines, `NAME => pg "text", lite "text";` where they must differ. A text may also be a
/// constant expression, such as `concat!(…)`.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident $(= $text:expr)? $(=> pg $pg:expr, lite $lite:expr)?;)*) => {
        $($(#[$doc])* const $name: $crate::store::engine::statement::Statement = $crate::store::engine::statement::statements!(
            @one concat!(module_path!(), "::", stringify!($name)), $(= $text)? $(=> $pg, $lite)?);)*
        pub(in crate::store) const STATEMENTS: &[$crate::store::engine::statement::Statement] = &[$($name),*];
    };
    (@one $name:expr, = $text:expr) => {
        $crate::store::engine::statement::Statement { name: $name, pg: $text, lite: $text }
    };
    (@one $name:expr, => $pg:expr, $lite:expr) => {
        $crate::store::engine::statement::Statement { name: $name, pg: $pg, lite: $lite }
    };
}

/// Reads outside a transaction: `db_read!(db, STATEMENT, |sql, c| query(sql).fetch_one(c).await)`. The body is compiled
/// for each engine and gets that engine's text and connection. An error carries the statement's name.
macro_rules! db_read {
    ($db:expr, $statement:expr, |$sql:ident, $c:ident| $body:expr) => {{
        let statement = $statement;
        // Also coerces `&Arc<…>` and the like.
        let db: &$crate::store::engine::db::Db = $db;
        let result = match db {
            $crate::store::engine::db::Db::Pg(pool) => {
                let ($sql, $c) = (statement.pg, pool.for_statement(statement.name));
                $body
            }
            $crate::store::engine::db::Db::Lite(lite) => {
                let ($sql, $c) = (statement.lite, &lite.read);
                $body
            }
        };
        result.map_err(|source| db.failed(statement.name, source))
    }};
}

/// Runs a statement that returns rows inside a transaction (`&mut Tx`); otherwise like [`db_read`].
macro_rules! db_run {
    ($tx:expr, $statement:expr, |$sql:ident, $c:ident| $body:expr) => {{
        let statement = $statement;
        // Also coerces `&mut FencedTx`.
        let tx: &mut $crate::store::engine::db::Tx = $tx;
        let result = match &mut *tx {
            $crate::store::engine::db::Tx::Pg(tx) => {
                let ($sql, $c) = (statement.pg, &mut *tx);
                $body
            }
            $crate::store::engine::db::Tx::Lite { tx, .. } => {
                let ($sql, $c) = (statement.lite, &mut **tx);
                $body
            }
        };
        result.map_err(|source| tx.failed(statement.name, source))
    }};
}

/// Executes a statement inside a transaction with these binds, `$1` first, and returns the number of rows affected:
/// `db_affected!(tx, STATEMENT, id, name)`.
macro_rules! db_affected {
    ($tx:expr, $statement:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::engine::statement::db_run!($tx, $statement, |sql, c| {
            sqlx::query(sql)$(.bind($bind))*.execute(c).await.map(|done| done.rows_affected())
        })
    };
}

/// Executes a statement like [`db_affected`] and drops the number of rows.
macro_rules! db_execute {
    ($tx:expr, $statement:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::engine::statement::db_affected!($tx, $statement $(, $bind)*).map(drop)
    };
}

/// Declares a struct that is read from a row by the names of its fields, on either engine. (sqlx's derive needs a
/// feature that compiles both drivers and SQLite a second time.)
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $field_vis:vis $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$doc])* $field_vis $field: $type,)* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            for<'a> &'a str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)* })
            }
        }
    };
}

/// Declares a struct that is read from a row by the order of its columns: faster than by name where rows and columns
/// are many.
macro_rules! row_in_order {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $field_vis:vis $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$doc])* $field_vis $field: $type,)* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            usize: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                let mut columns = 0..row.len();
                Ok(Self { $($field: row.try_get(columns.next().unwrap_or(usize::MAX))?,)* })
            }
        }
    };
}

pub(in crate::store) use {db_affected, db_execute, db_read, db_run, row, row_in_order, statements};
