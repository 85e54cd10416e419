//! Roles of admins in the database, and what an earlier version makes of an admin with one.

use std::sync::Arc;

use sarban::domain::admin::Admin;
use sarban::domain::ids::RoleId;
use sarban::domain::moment::Moment;
use sarban::domain::rights::Rights;
use sarban::domain::role::{BuiltIn, Role};
use sarban::store::access::{accounts, admins, roles};
use sarban::store::{Db, Fault, StoreError};

use crate::support::database::{attempt, number, on_both_engines};

on_both_engines! {
    role_is_stored_with_its_admins,
    earlier_version_refuses_an_admin_with_a_role,
    built_in_roles_belong_to_admins_by_their_flag,
}

fn role(name: &str) -> Role {
    let rights = Rights::stored("users:read=all nodes:write=all");
    Role { id: RoleId(0), name: name.to_owned(), rights, requires_second_factor: true }
}

/// Inserts the admin `ann` with a role of this name.
async fn with_role(db: &Db, name: &str) -> Admin {
    db.transaction("insert", async |tx| -> Result<_, StoreError> {
        admins::insert(tx, "ann", "", false, Moment::from_micros(1)).await?;
        roles::insert(tx, &role(name)).await?;
        let stored = roles::by_name(tx, name).await?.expect("the role");
        let ann = admins::lock_by_username(tx, "ann").await?.expect("the admin");
        let ann = Admin { role: Some(Arc::new(stored)), ..ann };
        admins::update(tx, &ann, None).await?;
        Ok(ann)
    })
    .await
    .expect("inserted")
}

async fn role_is_stored_with_its_admins(db: Db) {
    let ann = with_role(&db, "helpers").await;
    let id = ann.role.as_ref().expect("a role").id;
    assert!(BuiltIn::of(id).is_none(), "{id}");
    for found in [
        admins::by_username(&db, "ann").await.expect("read").expect("ann"),
        accounts::by_username(&db, "ann").await.expect("read").expect("ann").admin,
        admins::usage_by_username(&db, "ann").await.expect("read").expect("ann").admin,
        admins::page(&db, "an", 10, 0).await.expect("read").0.remove(0).admin,
    ] {
        assert_eq!(found.role_name(), "helpers");
        assert_eq!(found.rights().texts(), ["users:read=all", "nodes:write=all"]);
        assert!(found.requires_second_factor && found.enabled);
    }
    let listed = roles::all(&db).await.expect("read");
    assert_eq!(listed.last().map(|used| (used.role.name.as_str(), used.admins)), Some(("helpers", 1)));
    let deleted = db.transaction("delete", async |tx| roles::delete(tx, id).await).await;
    assert_eq!(deleted.expect_err("it is in use").fault(), Fault::Reference);
    let counted = db.transaction("count", async |tx| roles::admins(tx, id).await).await;
    assert_eq!(counted.expect("counted"), 1);
}

async fn earlier_version_refuses_an_admin_with_a_role(db: Db) {
    with_role(&db, "helpers").await;
    // The columns that an earlier version reads: it would give an enabled admin the rights of a reseller.
    let harmless = "SELECT COUNT(*) FROM admins WHERE username = 'ann' AND NOT enabled AND NOT is_sudo";
    assert_eq!(number(&db, harmless).await, 1);
    let admin = accounts::by_username(&db, "ann").await.expect("read").expect("ann").admin;
    assert!(admin.may_sign_in());
    for more in ["enabled", "is_sudo"] {
        let changed = attempt(&db, &format!("UPDATE admins SET {more} = TRUE WHERE username = 'ann'")).await;
        let error = changed.expect_err(more).to_string();
        assert!(error.contains("ck_admins_role"), "{error}");
    }
}

async fn built_in_roles_belong_to_admins_by_their_flag(db: Db) {
    db.transaction("insert", async |tx| -> Result<_, StoreError> {
        admins::insert(tx, "root", "", true, Moment::from_micros(1)).await?;
        admins::insert(tx, "bob", "", false, Moment::from_micros(1)).await?;
        let owner = roles::lock(tx, "owner").await?.expect("the role");
        roles::update(tx, &Role { requires_second_factor: true, ..owner }).await
    })
    .await
    .expect("inserted");
    let listed = roles::all(&db).await.expect("read");
    let listed: Vec<_> = listed.iter().map(|used| (used.role.name.as_str(), used.admins)).collect();
    assert_eq!(listed, [("owner", 1), ("reseller", 1), ("support", 0), ("observer", 0)]);
    for (name, is_owner) in [("root", true), ("bob", false)] {
        let admin = admins::by_username(&db, name).await.expect("read").expect(name);
        assert_eq!((admin.role.is_none(), admin.requires_second_factor), (true, is_owner), "{name}");
    }
    let count = db.transaction("count", async |tx| roles::lock_count(tx).await).await;
    assert_eq!(count.expect("counted"), 0);
}
