//! SQLite's query plans for lists of users. PostgreSQL's plans depend on statistics and are covered by benchmarks.
#![cfg(test)]

use super::*;
use crate::domain::ids::{AdminId, ServiceId};
use crate::store::engine::plans::{database, steps_of};
use crate::store::users::list_count::count_query;
use crate::store::users::list_filter::Names;

#[tokio::test]
async fn sqlite_scans_the_index_of_each_sort_key() {
    let (_folder, db) = database().await;
    let any = UserFilter::default;
    let filters = [
        any(),
        UserFilter { owner: Some(AdminId(1)), ..any() },
        UserFilter { names: Names::Containing("user".into()), ..any() },
        UserFilter { service: Some(ServiceId(1)), ..any() },
        UserFilter { is_active: Some(false), owner: Some(AdminId(1)), ..any() },
        UserFilter { enabled: Some(false), activated: Some(false), ..any() },
        UserFilter { expired: Some(true), data_limit_reached: Some(true), ..any() },
        UserFilter { on_hold: Some(true), ..any() },
        UserFilter { expires_before: Some(Moment::from_micros(1)), expired: Some(false), ..any() },
    ];
    for (sort, index) in [
        (UserSort::Id, "users"),
        (UserSort::Username, "sqlite_autoindex_users_1"),
        (UserSort::UsedTraffic, "user_traffic_used"),
        (UserSort::DataLimit, "user_traffic_limit"),
        (UserSort::ExpireDate, "users_live_expire"),
        (UserSort::CreatedAt, "users_live_created"),
    ] {
        for (filter, backwards) in filters.iter().flat_map(|filter| [(filter, false), (filter, true)]) {
            let reading = Reading { offset: 0, limit: 50, backwards };
            let now = Moment::from_micros(0);
            let engine = Engine::Sqlite;
            let page = PageQuery { engine, filter, sort, descending: false, reading, plan: ListPlan::IndexScan, now };
            let mut ids = QueryBuilder::<sqlx::Sqlite>::new("");
            page.push_ids(&mut ids);
            let steps = steps_of(&db, ids.into_string()).await;
            let sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
            let along = sort == UserSort::Id || steps[0].contains(index);
            assert!(along && !sorted, "{sort:?} {filter:?}: {steps:#?}");
        }
    }
}

#[tokio::test]
async fn sqlite_finds_parts_of_names_by_trigrams() {
    let (_folder, db) = database().await;
    let filter = UserFilter { names: Names::Containing("us_r_one".into()), ..UserFilter::default() };
    let counting = count_query::<sqlx::Sqlite>(Engine::Sqlite, &filter, Moment::from_micros(0)).into_string();
    let steps = steps_of(&db, counting).await;
    assert!(steps.iter().any(|step| step.contains("VIRTUAL TABLE INDEX")), "{steps:#?}");
    assert!(!steps.iter().any(|step| step.starts_with("SCAN u")), "{steps:#?}");
}

#[tokio::test]
async fn sqlite_searches_an_owners_users_in_the_owners_index() {
    let (_folder, db) = database().await;
    let of_owner = |text: &str| {
        let names = Names::Containing(text.into());
        UserFilter { names, owner: Some(AdminId(1)), ..UserFilter::default() }
    };
    let first = Reading { offset: 0, limit: 50, backwards: false };
    let (engine, now) = (Engine::Sqlite, Moment::from_micros(0));
    let filters = [
        of_owner("one"),
        // The index also has characters that are no letters.
        of_owner("a.b"),
        UserFilter { is_active: Some(false), service: Some(ServiceId(1)), ..of_owner("one") },
        UserFilter { enabled: Some(false), ..of_owner("one") },
        UserFilter { activated: Some(false), ..of_owner("one") },
    ];
    for filter in filters {
        let mut texts = vec![count_query::<sqlx::Sqlite>(engine, &filter, now).into_string()];
        for sort in [UserSort::Id, UserSort::CreatedAt, UserSort::UsedTraffic] {
            let (filter, descending) = (&filter, false);
            let page = PageQuery { engine, filter, sort, descending, reading: first, plan: ListPlan::Sort, now };
            let mut ids = QueryBuilder::<sqlx::Sqlite>::new("");
            page.push_ids(&mut ids);
            texts.push(ids.into_string());
        }
        for sql in texts {
            let steps = steps_of(&db, sql.clone()).await;
            // The M stands for MATCH: without it, all names would be read.
            let search =
                steps.iter().position(|step| step.starts_with("SCAN f VIRTUAL TABLE INDEX") && step.contains(":M"));
            let owners = "INDEX users_live_owner (owner_id=? AND id=?";
            let seek = steps.iter().position(|step| step.starts_with("SEARCH u") && step.contains(owners));
            let traffic = steps.iter().position(|step| step.starts_with("SEARCH t "));
            assert!(search.is_some() && search < seek && (traffic.is_none() || seek < traffic), "{sql}: {steps:#?}");
        }
    }
}

#[tokio::test]
async fn sqlite_reads_only_as_many_matching_names_as_the_page_needs() {
    let (_folder, db) = database().await;
    let names = Names::Containing("one".into());
    let of_all = UserFilter { names, ..UserFilter::default() };
    let of_owner = UserFilter { owner: Some(AdminId(1)), ..of_all.clone() };
    for (filter, descending) in [(&of_all, false), (&of_all, true), (&of_owner, false), (&of_owner, true)] {
        let window = UserWindow { sort: UserSort::Id, descending, offset: 0, limit: 50 };
        let totals = Totals { matching: 1_000, everybody: 1_000_000 };
        let page = PageQuery::of(Engine::Sqlite, filter, window, totals, Moment::from_micros(0)).unwrap();
        let mut ids = QueryBuilder::<sqlx::Sqlite>::new("");
        page.push_ids(&mut ids);
        let steps = steps_of(&db, ids.into_string()).await;
        let along = steps[0].starts_with("SCAN f VIRTUAL TABLE INDEX");
        let sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(along && steps[1].starts_with("SEARCH u") && !sorted, "{filter:?}: {steps:#?}");
    }
}

#[tokio::test]
async fn sqlite_scans_only_the_passed_dates() {
    let (_folder, db) = database().await;
    let filter = UserFilter { expired: Some(true), ..UserFilter::default() };
    let reading = Reading { offset: 0, limit: 50, backwards: false };
    let (engine, sort, now) = (Engine::Sqlite, UserSort::ExpireDate, Moment::from_micros(0));
    let page = PageQuery { engine, filter: &filter, sort, descending: true, reading, plan: ListPlan::IndexScan, now };
    let mut ids = QueryBuilder::<sqlx::Sqlite>::new("");
    page.push_ids(&mut ids);
    let steps = steps_of(&db, ids.into_string()).await;
    assert!(steps[0].contains("users_live_expire (expire_date<?)"), "{steps:#?}");
}
