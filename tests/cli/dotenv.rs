//! `.env` files have the values that python-dotenv reads from them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sarban::config::dotenv;

use crate::support;

/// Files to compare.
const FILES: usize = 600;

/// Prints the values of each file, as JSON.
const PYTHON: &str = r"
import json, logging, pathlib, sys
from dotenv.main import DotEnv
logging.disable()
print(json.dumps([
    DotEnv(path, encoding='utf-8', override=False).dict()
    for path in sorted(pathlib.Path(sys.argv[1]).iterdir(), key=lambda path: int(path.name))
]))
";

/// Pieces of lines; generated lines are some of them one after the other.
const PIECES: &[&str] = &[
    "A",
    "B",
    "1A",
    "NAME",
    "export ",
    "export",
    " ",
    "  ",
    "\t",
    "=",
    "=",
    "=",
    " = ",
    "'",
    "'",
    "\"",
    "\"",
    "#",
    " # ",
    "\\",
    "\\n",
    "\\'",
    "\\\"",
    "\\\\",
    "\\$",
    "\\x41",
    "$",
    "${A}",
    "${B}",
    "${A:-b c}",
    "${A:b}",
    "${",
    "}",
    "${HERE}",
    ":-",
    "\n",
    "\r\n",
    "\r",
    "x",
    "My VPN",
    "1, 2",
    "[1, 2]",
    "ab\\cd",
    "d'a",
    "\u{feff}",
    "\u{a0}",
    "\u{85}",
    "\u{1c}",
    "\u{b}",
    "\u{2028}",
    "é",
    "سلام",
    "'A'",
    "\"x\"",
    "'y z'",
];

/// Lines as people write them.
const LINES: &[&str] = &[
    "A = 1, 2",
    "B = My VPN",
    "C=ab\\cd",
    "D=d'a\"b",
    "E=[1, 2]",
    "1A=2",
    "FOO",
    "F='it\\'s' # yes",
    "G=\"a\\tb\n#c\" # d",
    "H=# x",
    "I= # x",
    "export J=${A}/${NONE:-n}",
    "K=\"unclosed",
    "L='x' y",
    "P='C:\\data\\'",
    "Q=\"a\\\"",
    "R='a\\\\' # it's",
    "M==",
    "# N=1",
    "  O=$A ${HERE}",
    "SQLALCHEMY_DATABASE_URL = \"mysql+pymysql://u:p%40$s@127.0.0.1/db\"",
];

fn generated(rng: &mut StdRng) -> String {
    let mut text = String::new();
    for _ in 0..rng.random_range(1..8) {
        match rng.random_range(0..4) {
            0 => text.push_str(LINES[rng.random_range(0..LINES.len())]),
            1 => {
                text.push_str(["A=", "B=", "NAME="][rng.random_range(0..3)]);
                text.extend((0..rng.random_range(1..4)).map(|_| PIECES[rng.random_range(0..PIECES.len())]));
            }
            _ => text.extend((0..rng.random_range(1..9)).map(|_| PIECES[rng.random_range(0..PIECES.len())])),
        }
        text.push_str(if rng.random_bool(0.9) { "\n" } else { "\r\n" });
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "the interpreter is found as the test's own programs are")]
fn python(folder: &Path) -> Vec<HashMap<String, Option<String>>> {
    let output = Command::new("python3")
        .args(["-c", PYTHON])
        .arg(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HERE", "there")
        .env("PYTHONPATH", support::programs().join("python-dotenv-1.2.2"))
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn generated_files_have_the_values_of_python_dotenv() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rng = StdRng::seed_from_u64(11);
    let texts: Vec<String> = (0..FILES).map(|_| generated(&mut rng)).collect();
    for (i, text) in texts.iter().enumerate() {
        // Versions up to 1.2.2 take a byte order mark for a part of the first name, which nobody wants.
        fs::write(folder.path().join(i.to_string()), text.trim_start_matches('\u{feff}')).expect("a file");
    }
    let environment = HashMap::from([("HERE".to_owned(), "there".to_owned())]);
    let mut set = 0;
    for (text, expected) in texts.iter().zip(python(folder.path())) {
        let file = dotenv::parse(text.trim_start_matches('\u{feff}'), &environment);
        let values: HashMap<_, _> = file.variables.into_iter().map(|(name, it)| (name, it.value)).collect();
        assert_eq!(values, expected, "{text:?}");
        set += values.len();
    }
    assert!(set > FILES, "{set} values only");
}
