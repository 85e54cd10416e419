//! `sarban admin reset-2fa`: the way back for an admin who has lost its second factor.

use sarban::store::{Db, OpenOptions};

use super::WorkDir;
use super::import::url;
use crate::support::database::{execute, number, on_both_engines, texts};

on_both_engines!(second_factor_is_reset_by_the_operator);

async fn second_factor_is_reset_by_the_operator(options: OpenOptions) {
    let dir = WorkDir::new();
    let url = url(&options);
    let database = ("DATABASE_URL", url.as_str());
    let password = ("SARBAN_ADMIN_PASSWORD", "correct horse");
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[database, password]).expect_success();
    let reset = |more: &[&str]| dir.run(&[&["admin", "reset-2fa"], more].concat(), &[database]);
    assert!(reset(&["-u", "root", "-y"]).expect_failure(1).contains("has no second factor"));
    assert!(reset(&["-u", "nobody", "-y"]).expect_failure(1).contains("sarban admin list"));
    let db = Db::open(&options).await.expect("the database");
    execute(&db, "INSERT INTO totp (admin_id, secret) SELECT id, 'GEZDGNBVGY3TQOJQ' FROM admins").await;
    execute(&db, "INSERT INTO recovery_code (admin_id, code_hash) SELECT id, 'x' FROM admins").await;
    let passkey = "INSERT INTO passkey
            (id, admin_id, credential_id, user_handle, rp_id, name, static_state, dynamic_state, created_at)
        SELECT '00000000-0000-0000-0000-000000000001', id, 'x', '00000000-0000-0000-0000-000000000002', 'localhost', 'x', '', '', 0
        FROM admins";
    execute(&db, passkey).await;
    assert!(reset(&["-u", "root"]).expect_failure(2).contains("-y"));
    assert!(reset(&["-u", "root", "-y"]).expect_success().contains("removed the second factor of \"root\""));
    assert_eq!(
        number(
            &db,
            "SELECT (SELECT COUNT(*) FROM totp) + (SELECT COUNT(*) FROM recovery_code) + (SELECT COUNT(*) FROM passkey)"
        )
        .await,
        0
    );
    let entry = "SELECT actor || ' ' || action FROM audit_entry ORDER BY id DESC LIMIT 1";
    assert_eq!(texts(&db, entry).await, ["command second_factor.reset"]);
    db.close().await;
}
