//! Lists of users: every filter, every sort key, and the same results on both engines.

use sarban::domain::ids::{AdminId, ServiceId};
use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::users::list::{Names, NearlyLimited, Totals, UserFilter, UserSort, UserWindow, count, page};
use sarban::store::users::owner_totals;
use sarban::store::{Db, users};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    each_filter_finds_its_users,
    names_match_as_pattern_or_exactly,
    search_combines_with_every_filter_and_sort,
    each_sort_key_works_in_both_directions,
    traffic_sort_is_exact_to_the_byte,
    pages_are_contiguous_and_end,
    far_pages_follow_the_same_order,
    page_has_the_same_user_as_a_single_read,
    search_finds_the_current_name,
    totals_follow_every_change,
}

const NOW: Moment = Moment::from_micros(1_000);
/// A user per state; `gone` is removed.
const USERS: &str = r"
    INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (7, 'root', '', TRUE, 0);
    INSERT INTO services (id) VALUES (1);
    INSERT INTO users (id, username, key, owner_id, enabled, activated, removed, expire_strategy, expire_date, created_at)
    VALUES (1, 'works', 'a', 7, TRUE, TRUE, FALSE, 'fixed_date', 1000, 50),
           (2, 'expired', 'b', NULL, TRUE, TRUE, FALSE, 'fixed_date', 999, 40),
           (3, 'limited', 'c', 7, TRUE, FALSE, FALSE, 'never', NULL, 30),
           (4, 'off', 'd', NULL, FALSE, FALSE, FALSE, 'start_on_first_use', NULL, 20),
           (5, 'ünï_code', 'e', NULL, TRUE, TRUE, FALSE, 'never', NULL, 10),
           (6, NULL, 'f', 7, TRUE, TRUE, TRUE, 'fixed_date', 1, 5);
    INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at)
    VALUES (1, 9, 8, 50), (2, NULL, 3, 40), (3, 5, 5, 30), (4, NULL, 1, 20), (5, 100, 2, 10), (6, 1, 1, 5);
    INSERT INTO users_services (user_id, service_id) VALUES (2, 1), (5, 1), (6, 1)";

const ALL: UserWindow = UserWindow { sort: UserSort::Id, descending: false, offset: 0, limit: 100 };

/// Returns the ids of a page, found by both plans: an index scan and a sort.
async fn ids(db: &Db, filter: &UserFilter, window: UserWindow) -> Vec<i64> {
    let matching = count(db, filter, NOW).await.unwrap();
    let mut found = Vec::new();
    for everybody in [0, 1_000_000] {
        let users = page(db, filter, window, Totals { matching, everybody }, NOW).await.unwrap();
        found.push(users.iter().map(|user| user.id.0).collect::<Vec<_>>());
    }
    assert_eq!(found[0], found[1], "{filter:?} {window:?}");
    found.remove(0)
}

async fn each_filter_finds_its_users(db: Db) {
    execute(&db, USERS).await;
    let any = UserFilter::default;
    let near = |is, percent| Some(NearlyLimited { is, percent });
    let cases: Vec<(UserFilter, &[i64])> = vec![
        (any(), &[1, 2, 3, 4, 5]),
        (UserFilter { owner: Some(AdminId(7)), ..any() }, &[1, 3]),
        (UserFilter { service: Some(ServiceId(1)), ..any() }, &[2, 5]),
        (UserFilter { enabled: Some(true), ..any() }, &[1, 2, 3, 5]),
        (UserFilter { enabled: Some(false), ..any() }, &[4]),
        (UserFilter { activated: Some(true), ..any() }, &[1, 2, 5]),
        (UserFilter { activated: Some(false), ..any() }, &[3, 4]),
        (UserFilter { expired: Some(true), ..any() }, &[2]),
        (UserFilter { expired: Some(false), ..any() }, &[1, 3, 4, 5]),
        (UserFilter { data_limit_reached: Some(true), ..any() }, &[3]),
        (UserFilter { data_limit_reached: Some(false), ..any() }, &[1, 2, 4, 5]),
        // One used 8 of 9 bytes; the limit of three is reached, and two and four have none.
        (UserFilter { nearly_limited: near(true, 80), ..any() }, &[1]),
        (UserFilter { nearly_limited: near(true, 88), ..any() }, &[1]),
        (UserFilter { nearly_limited: near(true, 89), ..any() }, &[]),
        (UserFilter { nearly_limited: near(true, 2), ..any() }, &[1, 5]),
        (UserFilter { nearly_limited: near(false, 80), ..any() }, &[2, 3, 4, 5]),
        (UserFilter { nearly_limited: near(true, 80), owner: Some(AdminId(7)), is_active: Some(true), ..any() }, &[1]),
        (UserFilter { is_active: Some(true), ..any() }, &[1, 5]),
        (UserFilter { is_active: Some(false), ..any() }, &[2, 3, 4]),
        (UserFilter { is_active: Some(false), owner: Some(AdminId(7)), enabled: Some(true), ..any() }, &[3]),
        (UserFilter { is_active: Some(true), expired: Some(true), ..any() }, &[]),
        (UserFilter { on_hold: Some(true), ..any() }, &[4]),
        (UserFilter { on_hold: Some(false), ..any() }, &[1, 2, 3, 5]),
        (UserFilter { on_hold: Some(true), enabled: Some(true), ..any() }, &[]),
        (UserFilter { on_hold: Some(false), owner: Some(AdminId(7)), is_active: Some(false), ..any() }, &[3]),
        (UserFilter { expires_before: Some(Moment::from_micros(1_000)), ..any() }, &[2]),
        (UserFilter { expires_before: Some(Moment::from_micros(1_001)), ..any() }, &[1, 2]),
        (UserFilter { expires_before: Some(Moment::from_micros(1_001)), expired: Some(false), ..any() }, &[1]),
        (UserFilter { expires_before: Some(Moment::from_micros(1_001)), owner: Some(AdminId(7)), ..any() }, &[1]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&db, &filter, ALL).await, expected, "{filter:?}");
        assert_eq!(count(&db, &filter, NOW).await.unwrap(), expected.len() as i64, "{filter:?}");
        let totals = Totals { matching: expected.len() as i64, everybody: 5 };
        for sort in [UserSort::Username, UserSort::ExpireDate, UserSort::DataLimit, UserSort::CreatedAt] {
            let mut sorted = ids(&db, &filter, UserWindow { sort, ..ALL }).await;
            sorted.sort_unstable();
            assert_eq!(sorted, expected, "{filter:?} {sort:?}");
        }
        for user in page(&db, &filter, ALL, totals, NOW).await.unwrap() {
            assert!(filter.is_active.is_none_or(|wanted| wanted == user.is_active(NOW)), "{filter:?}");
            assert!(filter.expired.is_none_or(|wanted| wanted == user.is_expired(NOW)), "{filter:?}");
        }
    }
}

async fn names_match_as_pattern_or_exactly(db: Db) {
    execute(&db, USERS).await;
    let contains: [(&str, &[i64]); 15] = [
        ("", &[1, 2, 3, 4, 5]),
        ("IR", &[2]),
        ("Ï_C", &[5]),
        ("%", &[1, 2, 3, 4, 5]),
        ("o_k", &[1]),
        ("x_r", &[]),
        ("l%d", &[3]),
        (r"\", &[]),
        // Long enough for the trigram index, as a whole or in parts.
        ("IMI", &[3]),
        ("limited", &[3]),
        ("ünï", &[5]),
        ("exp%red", &[2]),
        ("x%red_", &[]),
        ("\"ork", &[]),
        ("work AND orks", &[]),
    ];
    for (text, expected) in contains {
        let filter = UserFilter { names: Names::Containing(text.to_owned()), ..UserFilter::default() };
        assert_eq!(ids(&db, &filter, ALL).await, expected, "{text:?}");
    }
    let exactly = ["works", "OFF", "nobody", "limited"].map(str::to_owned).to_vec();
    let filter = UserFilter { names: Names::Exactly(exactly), ..UserFilter::default() };
    assert_eq!(ids(&db, &filter, ALL).await, [1, 3]);
}

async fn search_combines_with_every_filter_and_sort(db: Db) {
    execute(&db, USERS).await;
    execute(&db, "UPDATE users SET username = 'some_' || username WHERE removed = FALSE").await;
    let found = |text: &str| UserFilter { names: Names::Containing(text.to_owned()), ..UserFilter::default() };
    let all = UserFilter::default;
    let near = |is, percent| Some(NearlyLimited { is, percent });
    let cases: [(UserFilter, &[i64]); 22] = [
        (UserFilter { owner: Some(AdminId(7)), ..all() }, &[1, 3]),
        (UserFilter { owner: Some(AdminId(7)), service: Some(ServiceId(1)), ..all() }, &[]),
        (UserFilter { owner: Some(AdminId(7)), data_limit_reached: Some(true), ..all() }, &[3]),
        (UserFilter { owner: Some(AdminId(7)), activated: Some(true), is_active: Some(true), ..all() }, &[1]),
        (UserFilter { service: Some(ServiceId(1)), ..all() }, &[2, 5]),
        (UserFilter { enabled: Some(true), ..all() }, &[1, 2, 3, 5]),
        (UserFilter { enabled: Some(false), ..all() }, &[4]),
        (UserFilter { activated: Some(true), ..all() }, &[1, 2, 5]),
        (UserFilter { activated: Some(false), ..all() }, &[3, 4]),
        (UserFilter { expired: Some(true), ..all() }, &[2]),
        (UserFilter { expired: Some(false), ..all() }, &[1, 3, 4, 5]),
        (UserFilter { data_limit_reached: Some(true), ..all() }, &[3]),
        (UserFilter { data_limit_reached: Some(false), enabled: Some(true), ..all() }, &[1, 2, 5]),
        (UserFilter { is_active: Some(false), ..all() }, &[2, 3, 4]),
        (UserFilter { is_active: Some(true), owner: Some(AdminId(7)), ..all() }, &[1]),
        (UserFilter { nearly_limited: near(true, 80), ..all() }, &[1]),
        (UserFilter { nearly_limited: near(false, 80), enabled: Some(true), ..all() }, &[2, 3, 5]),
        (UserFilter { on_hold: Some(true), ..all() }, &[4]),
        (UserFilter { on_hold: Some(false), enabled: Some(true), ..all() }, &[1, 2, 3, 5]),
        (UserFilter { expires_before: Some(Moment::from_micros(1_001)), ..all() }, &[1, 2]),
        (UserFilter { expires_before: Some(Moment::from_micros(1_001)), expired: Some(false), ..all() }, &[1]),
        (all(), &[1, 2, 3, 4, 5]),
    ];
    for text in ["some", "me", "_e", "so_e_"] {
        for (filter, expected) in &cases {
            let filter = UserFilter { names: found(text).names, ..filter.clone() };
            for sort in [UserSort::Id, UserSort::Username, UserSort::UsedTraffic, UserSort::CreatedAt] {
                let mut page = ids(&db, &filter, UserWindow { sort, ..ALL }).await;
                page.sort_unstable();
                assert_eq!(page, *expected, "{filter:?} {sort:?}");
            }
            assert_eq!(count(&db, &filter, NOW).await.unwrap(), expected.len() as i64, "{filter:?}");
        }
    }
    let of = async |owner: i64| ids(&db, &UserFilter { owner: Some(AdminId(owner)), ..found("some") }, ALL).await;
    execute(
        &db,
        "INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (8, 'b', '', FALSE, 0)",
    )
    .await;
    execute(&db, "UPDATE users SET owner_id = 8 WHERE id IN (3, 4)").await;
    assert_eq!((of(7).await, of(8).await), (vec![1], vec![3, 4]), "the search uses the current owners");
    execute(&db, "DELETE FROM admins WHERE id = 8").await;
    assert_eq!((of(7).await, of(8).await), (vec![1], vec![]));
}

async fn each_sort_key_works_in_both_directions(db: Db) {
    execute(&db, USERS).await;
    let all = UserFilter::default();
    for (sort, ascending) in [
        (UserSort::Id, vec![1, 2, 3, 4, 5]),
        (UserSort::Username, vec![2, 3, 4, 1, 5]),
        (UserSort::CreatedAt, vec![5, 4, 3, 2, 1]),
        (UserSort::UsedTraffic, vec![4, 5, 2, 3, 1]),
    ] {
        let mut expected = ascending;
        assert_eq!(ids(&db, &all, UserWindow { sort, ..ALL }).await, expected, "{sort:?}");
        expected.reverse();
        assert_eq!(ids(&db, &all, UserWindow { sort, descending: true, ..ALL }).await, expected, "{sort:?}");
    }
    // NULLs may be first or last.
    for (sort, ascending) in [(UserSort::ExpireDate, vec![2, 1]), (UserSort::DataLimit, vec![3, 1, 5])] {
        let mut found = ids(&db, &all, UserWindow { sort, ..ALL }).await;
        assert_eq!(found.len(), 5, "{sort:?}");
        found.retain(|id| ascending.contains(id));
        assert_eq!(found, ascending, "{sort:?}");
        for descending in [false, true] {
            let whole = UserWindow { sort, descending, ..ALL };
            let mut pages = Vec::new();
            for offset in [0, 2, 4] {
                pages.extend(ids(&db, &all, UserWindow { offset, limit: 2, ..whole }).await);
            }
            assert_eq!(pages, ids(&db, &all, whole).await, "{sort:?} {descending}");
        }
    }
}

/// Values around the edges of the ranks in PostgreSQL's index, and where a float can't distinguish neighbours.
async fn traffic_sort_is_exact_to_the_byte(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at)
         WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 17)
         SELECT id, 'user' || id, 'key' || id, 'never', 0 FROM n;
         INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at)
         VALUES (1, NULL, 9000000000000000000, 0), (2, NULL, 8999999999999999999, 0), (3, 9, 0, 0), (4, NULL, 1, 0),
                (5, NULL, 4210688, 0), (6, 4210687, 4210687, 0), (7, NULL, 4210689, 0), (8, NULL, 0, 0), (9, NULL, 53687091198, 0),
                (10, NULL, 53687091202, 0), (11, NULL, 9007199254740993, 0), (12, NULL, 9007199254740992, 0), (13, NULL, 4210687, 0),
                (14, 5, 0, 0), (15, NULL, 53687091200, 0), (16, NULL, 53687091199, 0), (17, NULL, 53687091201, 0)",
    )
    .await;
    let all = UserFilter::default();
    let mut expected = vec![3, 8, 14, 4, 6, 13, 5, 7, 9, 16, 15, 17, 10, 12, 11, 2, 1];
    for descending in [false, true] {
        for (offset, limit) in [(0, 100), (0, 3), (2, 4), (5, 1), (9, 5), (13, 4)] {
            let window = UserWindow { sort: UserSort::UsedTraffic, descending, offset, limit };
            let page: Vec<i64> = expected.iter().skip(offset as usize).take(limit as usize).copied().collect();
            assert_eq!(ids(&db, &all, window).await, page, "{window:?}");
        }
        expected.reverse();
    }
}

async fn pages_are_contiguous_and_end(db: Db) {
    execute(&db, USERS).await;
    let all = UserFilter::default();
    for sort in [UserSort::Id, UserSort::ExpireDate, UserSort::DataLimit] {
        let mut seen = Vec::new();
        for offset in [0, 2, 4, 6] {
            seen.extend(ids(&db, &all, UserWindow { sort, offset, limit: 2, ..ALL }).await);
        }
        assert_eq!(seen.len(), 5, "{sort:?}");
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5], "{sort:?}");
    }
}

async fn far_pages_follow_the_same_order(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, removed, expire_strategy, expire_date, created_at)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         SELECT i, CASE WHEN i % 10 > 0 THEN 'u' || (i * 7 % 1500) END, 'k' || i, i % 10 = 0, 'fixed_date',
                i * 11 % 700, i * 13 % 900 FROM n;
         INSERT INTO user_traffic (user_id, used_traffic, created_at)
         SELECT id, id * 17 % 800 * 1000000, 0 FROM users",
    )
    .await;
    for sort in [UserSort::Id, UserSort::Username, UserSort::CreatedAt, UserSort::ExpireDate, UserSort::UsedTraffic] {
        for (descending, expired) in [(false, None), (true, None), (true, Some(true))] {
            let filter = UserFilter { expired, ..UserFilter::default() };
            let whole = ids(&db, &filter, UserWindow { sort, descending, offset: 0, limit: 2_000 }).await;
            assert_eq!(whole.len(), 1_350, "{sort:?}");
            for offset in [0, 480, 520, 660, 800, 1_330] {
                let page = ids(&db, &filter, UserWindow { sort, descending, offset, limit: 30 }).await;
                let from = usize::try_from(offset).unwrap();
                assert_eq!(page, whole[from..whole.len().min(from + 30)], "{sort:?} {descending} {offset}");
            }
        }
    }
}

async fn page_has_the_same_user_as_a_single_read(db: Db) {
    // No two columns have the same value, and the texts contain everything that an encoding could stumble over.
    execute(&db, USERS).await;
    execute(
        &db,
        "INSERT INTO services (id) VALUES (2), (3);
         INSERT INTO users_services (user_id, service_id) VALUES (5, 3), (5, 2);
         UPDATE admins SET subscription_url_prefix = 'https://example.org' WHERE id = 7;
         UPDATE users SET owner_id = 7, activated = FALSE, expire_strategy = 'start_on_first_use',
             usage_duration = 9007199254740993, activation_deadline = 12, note = '\"\\é🚀[],null\n\t',
             edit_at = 13, sub_revoked_at = 14
         WHERE id = 5;
         UPDATE user_traffic SET data_limit_reset_strategy = 'month', lifetime_used_traffic = 15, online_at = 16,
             traffic_reset_at = 17
         WHERE user_id = 5;
         INSERT INTO subscription_fetches (user_id, fetched_at, user_agent) VALUES (5, 18, 'app \"1\"')",
    )
    .await;
    let all = page(&db, &UserFilter::default(), ALL, Totals { matching: 5, everybody: 5 }, NOW).await.unwrap();
    assert_eq!(all.len(), 5);
    for user in all {
        let alone = users::by_username(&db, user.username.as_deref().unwrap()).await.unwrap();
        assert_eq!(Some(user), alone);
    }
}

async fn search_finds_the_current_name(db: Db) {
    execute(&db, USERS).await;
    let found = async |text: &str| {
        let filter = UserFilter { names: Names::Containing(text.to_owned()), ..UserFilter::default() };
        ids(&db, &filter, ALL).await
    };
    execute(&db, "UPDATE users SET username = 'renamed' WHERE username = 'works'").await;
    assert_eq!((found("works").await, found("renam").await), (vec![], vec![1]));
    execute(&db, "UPDATE users SET username = NULL, removed = TRUE WHERE id = 1").await;
    assert_eq!(found("renam").await, Vec::<i64>::new());
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (9, 'renamed', 'i', 'never', 0)",
    )
    .await;
    execute(&db, "INSERT INTO user_traffic (user_id, created_at) VALUES (9, 0)").await;
    assert_eq!(found("renam").await, [9]);
    execute(&db, "DELETE FROM users WHERE id = 9").await;
    assert_eq!(found("renam").await, Vec::<i64>::new());
}

async fn totals_follow_every_change(db: Db) {
    execute(&db, USERS).await;
    execute(
        &db,
        "INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (8, 'b', '', FALSE, 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at) VALUES (9, 'i', 'i', 8, 'never', 0);
         INSERT INTO user_traffic (user_id, lifetime_used_traffic, created_at) VALUES (9, 100, 0)",
    )
    .await;
    assert_eq!(standing(&db).await, [(6, 0), (2, 0), (1, 100)]);
    execute(&db, "UPDATE users SET owner_id = 7 WHERE id = 9").await;
    assert_eq!(standing(&db).await, [(6, 0), (3, 100), (0, 0)]);
    execute(&db, "UPDATE users SET removed = TRUE, username = NULL, owner_id = 8 WHERE id = 9").await;
    assert_eq!(standing(&db).await, [(5, 0), (2, 0), (0, 100)]);
    let mut tx = db.begin().await.unwrap();
    owner_totals::fold(&mut tx, 1_000).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(standing(&db).await, [(5, 0), (2, 0), (0, 100)]);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM owner_totals").await, 3, "no owner, 7 and 8");
    execute(&db, "DELETE FROM admins WHERE id = 7").await;
    assert_eq!(owner_totals::users(&db, Some(AdminId(7))).await.unwrap(), 0);
    assert_eq!(owner_totals::users(&db, None).await.unwrap(), 5);
}

/// Returns the users of all, of 7 and of 8, with the traffic of the latter two.
async fn standing(db: &Db) -> [(i64, i64); 3] {
    let usage = async |name: &str| admins::usage_by_username(db, name).await.unwrap().unwrap().users_data_usage;
    [
        (owner_totals::users(db, None).await.unwrap(), 0),
        (owner_totals::users(db, Some(AdminId(7))).await.unwrap(), usage("root").await),
        (owner_totals::users(db, Some(AdminId(8))).await.unwrap(), usage("b").await),
    ]
}
