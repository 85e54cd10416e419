//! `sarban admin`: from an empty folder to admins and back, without a terminal.

use serde_json::Value;

use super::Box;

const PASSWORD: (&str, &str) = ("SARBAN_ADMIN_PASSWORD", "correct horse");

fn admins(place: &Box, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["admin", "list", "--json"], arguments].concat();
    serde_json::from_str(&place.run(&arguments, &[]).well()).expect("JSON")
}

#[test]
fn an_admins_life() {
    let place = Box::new();
    place.run(&["admin", "create", "-u", "root", "--sudo"], &[PASSWORD]).well();
    place.run(&["admin", "create", "--username", "Sara"], &[("MARZBAN_ADMIN_PASSWORD", "x")]).well();
    let names = |arguments: &[&str]| {
        let found = admins(&place, arguments).into_iter();
        found.map(|it| (it["username"].as_str().map(str::to_owned), it["is_sudo"].clone())).collect::<Vec<_>>()
    };
    let (root, sara) = ((Some("root".to_owned()), true.into()), (Some("Sara".to_owned()), false.into()));
    assert_eq!(names(&[]), [root.clone(), sara.clone()]);
    assert_eq!(names(&["-u", "sar"]), names(&["--offset", "1", "--limit", "5"]));
    assert_eq!(names(&["-u", "sar"]), [sara]);
    let table = place.run(&["admin", "list"], &[]).well();
    assert!(table.contains("USERNAME") && table.contains("root"), "{table}");

    place.run(&["admin", "update", "-u", "Sara", "--sudo"], &[]).well();
    assert_eq!(names(&["-u", "sara"])[0].1, true);
    place.run(&["admin", "update", "-u", "Sara", "--sudo", "--no-sudo"], &[]).well();
    assert_eq!(names(&["-u", "sara"])[0].1, false, "the last one counts");

    place.run(&["admin", "delete", "-u", "Sara", "-y"], &[]).well();
    assert_eq!(names(&[]), [root]);
}

#[test]
fn what_can_not_be_done_is_one_line_that_says_what_mends_it() {
    let place = Box::new();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| place.run(&[&["admin"], arguments].concat(), variables);
    assert!(run(&["create", "-u", "root"], &[]).failed(2).contains("SARBAN_ADMIN_PASSWORD"));
    assert!(run(&["create"], &[PASSWORD]).failed(2).contains("--username"));
    run(&["create", "-u", "root"], &[PASSWORD]).well();
    assert!(run(&["create", "-u", "root"], &[PASSWORD]).failed(1).contains("sarban admin update"));
    assert!(run(&["delete", "-u", "root"], &[]).failed(2).contains("-y"));
    assert!(run(&["delete", "-u", "nobody", "-y"], &[]).failed(1).contains("sarban admin list"));
    assert!(run(&["update", "-u", "root"], &[]).failed(2).contains("SARBAN_ADMIN_PASSWORD"));
    assert!(run(&["import-from-env"], &[]).failed(2).contains("SUDO_USERNAME"));
    let nowhere = [("DATABASE_URL", "sqlite:////nowhere/db.sqlite3")];
    assert!(run(&["list"], &nowhere).failed(1).contains("SQLALCHEMY_DATABASE_URL"));
}

#[test]
fn the_environments_sudo_is_made_and_then_kept_in_step() {
    let place = Box::new();
    let sudo = [("SUDO_USERNAME", "root"), ("SUDO_PASSWORD", "a")];
    assert!(place.run(&["admin", "import-from-env"], &sudo).well().contains("made sudo \"root\""));
    place.run(&["admin", "update", "-u", "root", "--no-sudo"], &[]).well();
    assert!(place.run(&["admin", "import-from-env"], &sudo).failed(2).contains("-y"));
    place.run(&["admin", "import-from-env", "--yes"], &sudo).well();
    assert_eq!(admins(&place, &[])[0]["is_sudo"], true);
}

#[test]
fn migrations_are_applied_once() {
    let place = Box::new();
    assert!(place.run(&["migrate"], &[]).well().starts_with("applied "));
    assert_eq!(place.run(&["migrate"], &[]).well(), "the schema is up to date\n");
}
