//! Users that are asked for at the same moment: everybody gets its own, and one failure is told to all.

use futures_util::future::join_all;
use sarban::actions::lookups::Lookups;
use sarban::actions::users;
use sarban::domain::user_edit::NewUser;
use sarban::store::{Db, Fault};

use super::users::{named, panel, root};
use crate::support::database::on_both_engines;

on_both_engines! {
    everybody_gets_the_user_that_was_asked_for,
    a_database_that_is_gone_is_told_to_all,
}

async fn everybody_gets_the_user_that_was_asked_for(db: Db) {
    let panel = panel(&db).await;
    for number in 0..150 {
        let new = NewUser { service_ids: vec![sarban::domain::ids::ServiceId(1)], ..named(&format!("user_{number}")) };
        users::create(&panel, &root(), new).await.unwrap();
    }
    let lookups = Lookups::default();
    let mut names: Vec<String> = (0..150).map(|number| format!("user_{number}")).collect();
    // Twice, in another case, not there, and what is no name at all.
    names.extend(["user_7", "USER_7", "nobody", "", "a\0b", "\"'\\,}]", "é\u{1f980}"].map(str::to_owned));
    let found = join_all(names.iter().map(|name| lookups.user(&db, name))).await;
    for (name, found) in names.iter().zip(found) {
        let found = found.unwrap().map(|user| (*user).clone());
        assert_eq!(found, sarban::store::users::by_username(&db, name).await.unwrap(), "{name:?}");
        assert_eq!(found.is_some(), name.starts_with("user_"), "{name:?}");
    }
}

async fn a_database_that_is_gone_is_told_to_all(db: Db) {
    db.close().await;
    let lookups = Lookups::default();
    for found in join_all((0..100).map(|_| lookups.user(&db, "ann"))).await {
        assert_eq!(found.unwrap_err().fault(), Fault::Unavailable);
    }
    assert_eq!(lookups.user(&db, "ann").await.unwrap_err().fault(), Fault::Unavailable);
}
