//! Programs that the tests install: one whose installation was killed is not taken for installed.

use std::path::Path;
use std::process::{Command, ExitStatus};

/// Runs a function of tools.sh, with `fill` as the command that installs.
fn installed_once(programs: &Path, fill: &str) -> ExitStatus {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/tools.sh");
    let script = format!(". {tools}\nfill() {{ touch \"$1/half\"; {fill}; }}\ninstalled_once tool fill");
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).env("SARBAN_TEST_PROGRAMS", programs);
    bash.output().expect("bash").status
}

#[test]
fn half_installed_program_is_installed_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let tool = folder.path().join("tool");
    for fill in ["kill -KILL $$", "false"] {
        assert!(!installed_once(folder.path(), fill).success(), "{fill}");
        assert!(!tool.exists(), "{fill} leaves a half");
    }
    assert!(installed_once(folder.path(), "touch \"$1/whole\"").success());
    assert!(tool.join("whole").exists());
    assert!(installed_once(folder.path(), "false").success(), "it is there");
}
