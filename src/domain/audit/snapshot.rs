//! States of objects as the audit log records them: the fields that people change, named as in the API.

use serde_json::{Value, json};

use crate::domain::admin::Admin;
use crate::domain::host::Host;
use crate::domain::node::Node;
use crate::domain::quota::Quota;
use crate::domain::role::Role;
use crate::domain::service::Service;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::domain::user::User;

/// An object whose state the audit log records.
pub trait Snapshot {
    /// Returns the fields as a JSON object, with secrets: the entry masks them.
    fn snapshot(&self) -> Value;
}

impl Snapshot for User {
    fn snapshot(&self) -> Value {
        let expiry = self.expiry.fields();
        json!({
            "username": self.username,
            "key": self.key,
            "owner_username": self.owner.as_ref().map(|owner| &owner.username),
            "enabled": self.enabled,
            "activated": self.activated,
            "expire_strategy": self.expiry.strategy().word(),
            "expire_date": expiry.date,
            "usage_duration": expiry.duration,
            "activation_deadline": expiry.deadline,
            "data_limit": self.data_limit,
            "data_limit_reset_strategy": self.reset_strategy.word(),
            "used_traffic": self.used_traffic,
            "note": self.note,
            "service_ids": self.service_ids,
        })
    }
}

impl Snapshot for Admin {
    fn snapshot(&self) -> Value {
        json!({
            "username": self.username,
            "is_sudo": self.is_sudo,
            "role": self.role_name(),
            "enabled": self.enabled,
            "all_services_access": self.all_services_access,
            "modify_users_access": self.modify_users_access,
            "service_ids": self.service_ids,
            "subscription_url_prefix": self.subscription_url_prefix,
            // Not the password: only that it is another one.
            "password_reset_at": self.password_reset_at,
        })
    }
}

impl Snapshot for Role {
    fn snapshot(&self) -> Value {
        json!({
            "name": self.name,
            "rights": self.rights.texts(),
            "requires_second_factor": self.requires_second_factor,
        })
    }
}

impl Snapshot for Quota {
    fn snapshot(&self) -> Value {
        json!({
            "users": self.users,
            "active_users": self.active_users,
            "traffic": self.traffic,
            "traffic_reset_strategy": self.traffic_reset_strategy.word(),
            "max_data_limit": self.max_data_limit,
            "max_duration": self.max_duration,
            "when_used_up": self.when_used_up.word(),
        })
    }
}

impl Snapshot for Service {
    fn snapshot(&self) -> Value {
        json!({"name": self.name, "inbound_ids": self.inbound_ids})
    }
}

impl Snapshot for Host {
    fn snapshot(&self) -> Value {
        let mut fields = document(&self.spec);
        if let Value::Object(fields) = &mut fields {
            fields.insert("inbound_id".to_owned(), json!(self.inbound_id));
            fields.insert("is_disabled".to_owned(), json!(self.is_disabled));
            fields.insert("universal".to_owned(), json!(self.universal));
            fields.insert("weight".to_owned(), json!(self.weight));
            fields.insert("service_ids".to_owned(), json!(self.service_ids));
            fields.insert("chain_ids".to_owned(), json!(self.chain_ids));
        }
        fields
    }
}

impl Snapshot for Node {
    fn snapshot(&self) -> Value {
        json!({
            "name": self.name,
            "address": self.address,
            "port": self.port,
            "connection_backend": self.connection_backend.word(),
            "usage_coefficient": self.usage_coefficient,
            "status": self.status.word(),
        })
    }
}

impl Snapshot for SubscriptionSettings {
    fn snapshot(&self) -> Value {
        document(self)
    }
}

impl Snapshot for TelegramSettings {
    fn snapshot(&self) -> Value {
        document(self)
    }
}

fn document(value: &impl serde::Serialize) -> Value {
    // These are structs of texts, numbers and lists, which always serialize.
    serde_json::to_value(value).unwrap_or_default()
}
