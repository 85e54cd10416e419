//! The identity of this process among the others of its cluster.

use uuid::Uuid;

use crate::store::Engine;

/// Identity of one process start: two starts of the program on a host have different identities.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Unique per process start.
    pub instance: Uuid,
    /// Label of this host (`INSTANCE_NAME`).
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// Boot id of this host; empty if the system does not tell it.
    boot_id: String,
}

impl Identity {
    /// A new identity for this process start.
    pub fn new(host: String) -> Self {
        // Outside of Linux there is none. A SQLite lease then survives a reboot: candidates wait for it to expire.
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            instance: Uuid::new_v4(),
            host,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: boot_id.trim().to_owned(),
        }
    }

    /// Id of the boot that the lease's times are relative to: this host's on SQLite, empty on PostgreSQL.
    pub fn boot_id(&self, engine: Engine) -> &str {
        match engine {
            Engine::Postgres => "",
            Engine::Sqlite => &self.boot_id,
        }
    }
}

/// `application_name` of an instance's task sessions on PostgreSQL. The next leader finds and terminates them by it.
pub fn task_session_name(instance: Uuid) -> String {
    format!("sarban-task-{instance}")
}
