//! Who this process is among the others.

use uuid::Uuid;

/// One process start. Two starts of the same program on the same host are two identities.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Unique per process start.
    pub instance: Uuid,
    /// The label of this host (`INSTANCE_NAME`).
    pub host: String,
    /// The program's version.
    pub version: String,
    /// The boot of this host; empty where it can't be told.
    pub boot_id: String,
}

impl Identity {
    /// A fresh identity for this process start.
    pub fn new(host: String) -> Self {
        // Without it (no Linux) a SQLite lease survives a reboot at worst: it is then waited for, never shared.
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            instance: Uuid::new_v4(),
            host,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: boot_id.trim().to_owned(),
        }
    }
}

/// What PostgreSQL shows as the name of an instance's task sessions: a successor finds and terminates them by it.
pub fn task_session_name(instance: Uuid) -> String {
    format!("sarban-task-{instance}")
}
