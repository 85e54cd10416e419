//! Client rules between this panel and the old one, whose patterns Python's own `re` compiles and matches here.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sarban::domain::client_rule::{RuleResult, SubscriptionRule};
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::subscription::client_rules::{self, ClientRules};
use sarban::subscription::python_patterns::{from_python, to_python};

const USER_AGENTS: [&str; 22] = [
    "",
    "v2rayNG/1.8.5",
    "v2rayng/1.8.5",
    "v2RAYNG/1",
    "v2raN",
    "clash.meta/v1.19.10",
    "Clash Verge/2.4 [x]",
    "{abc} a&&b ~~ --",
    "aaab",
    "کلش/۱٫۰ é",
    "_x9",
    "a\u{8}b\u{7}#",
    "AAAA",
    "ab",
    "xx",
    "Streisand <1>",
    ",x",
    ".x",
    "-x",
    "+",
    "]^",
    "\\&|",
];

/// Patterns of Python, with those that need a translation.
const OF_PYTHON: [&str; 58] = [
    "(?a)\\w+/",
    "(?a:\\w+)/|(?i:CLASH)",
    "(?a)[\\w-]+\\b",
    "(?ai)V2RAY[^\\W\\d]",
    "(?a)\\S+\\s\\D",
    "\\07|v2",
    "\\0|x",
    "a[\\b]b",
    "a\\x08b",
    "\\101+\\Z",
    "\\x41{2}",
    "\\u0041\\U00000041",
    "[\\101]{,3}a?",
    "a{,3}b",
    "a{2,}b",
    "a{2,3}?b",
    "\\{abc}",
    "{abc}",
    "a{x|{abc",
    "x{,}",
    "[[]x|Clash.*[[]",
    "[]x]+|_",
    "[^]a]+",
    "[a&&b~~-]+",
    "[+--]|a",
    "[--/]",
    "[]-a]",
    "[+---]|[---]",
    "[!-&&-~]|[||]",
    "[\\053-\\x2f]",
    "(?a)[\\w-]+x",
    "[\\]\\[\\-^]|v",
    "(?P<n>x)(?P=n)",
    "(x)\\1",
    "(x)?(?(1)x|v)",
    "(?P<y>v)?(?(y)2|_)",
    "(?#a note)v2",
    "(?x) v 2 # a note (\n ray[ #]? n",
    "(?x)Clash\\ Verge",
    "(?x:v 2)ray",
    "(?i)V2RAYNG/[1-9]",
    "(?s:.)+",
    "(?m)^v2",
    "(?:v2)(?!rayN)",
    "v2(?=ray)",
    "(?<=a)b|aaab",
    "Streisand \\<",
    "Streisand <1\\>$",
    "clash\\.meta\\/",
    "[Cc]lash[ \\-/]?",
    "\\w+\\W\\d",
    "\\A\\S*\\Z",
    "کل[ش]",
    "é|ک\\w",
    "a\\#|a\x08b\\a\\#",
    "(?:a|b)*?$",
    "\\_x|_x\\d",
    "(?i:v2RAY)(?-i:NG)",
];

/// Patterns of this panel.
const OF_THIS_PANEL: [&str; 32] = [
    "v2(?i)RAY",
    "v2(?i)RAY|CLASH|a",
    "(?i)CLASH",
    "(a(?i)A|B)b?",
    "(?<n>x)\\k<n>",
    "(?<n>x)(?P=n)",
    "\\p{L}+\\d",
    "\\pL+",
    "\\p{Nd}|_",
    "\\h+",
    "\\H",
    "[\\h]+",
    "v2.*\\z",
    "\\x{76}2",
    "[\\x{76}]\\u{32}",
    "a{2}|v",
    "(?:v2|aa)(?!N)",
    "(?<=v)2|v2",
    "(?<!v)a",
    "(?u)v",
    "(?i-s:V2.)",
    "(x)\\1",
    "(x)(?i)\\1",
    "[^\\w]|clash",
    "\\e|v",
    "a|(?i)V2",
    "(?:(?i)CL)ash",
    "x??x",
    "[]-a]",
    "[^]-a]",
    "[---a]",
    "[+-/-9]",
];

/// Patterns of this panel that Python has no word for.
const REFUSED: [&str; 18] = [
    "\\p{Greek}",
    "\\P{L}",
    "[\\p{L}]",
    "[a[bc]]",
    "[[:alpha:]]",
    "[a-z&&b]",
    "(?>a)b",
    "a++b",
    "(?<=a|bc)d",
    "(?<=a+)d",
    "\\Ga",
    "a\\Kb",
    "(?x)a b",
    "(?U)a+",
    "\\b{start}a",
    "\\<a",
    "(?<é>a)",
    "[a--]",
];

/// Python's answers: for each pattern whether it matches the start of each User-Agent, or an error.
fn python(patterns: &[String], agents: &[&str]) -> Vec<Result<Vec<bool>, String>> {
    let program = "import json, re, sys, warnings
warnings.simplefilter('ignore')
patterns, agents = json.load(sys.stdin)
said = []
for pattern in patterns:
    try:
        compiled = re.compile(pattern)
        said.append({'Ok': [bool(compiled.match(agent)) for agent in agents]})
    except Exception as error:
        said.append({'Err': str(error)})
print(json.dumps(said))";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let input = serde_json::to_vec(&(patterns, agents)).expect("JSON");
    child.stdin.take().expect("a pipe").write_all(&input).expect("written");
    let output = child.wait_with_output().expect("python3 ends");
    serde_json::from_slice(&output.stdout).expect("an answer for each pattern")
}

fn rule(pattern: &str) -> [SubscriptionRule; 1] {
    [SubscriptionRule { pattern: pattern.to_owned(), result: RuleResult::Links }]
}

fn here(pattern: &str, agents: &[&str]) -> Vec<bool> {
    client_rules::check(&rule(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error:?}"));
    let rules = ClientRules::new(&rule(pattern));
    agents.iter().map(|agent| rules.result(agent).is_some()).collect()
}

#[test]
fn patterns_of_python_match_the_same_here() {
    let patterns: Vec<String> = OF_PYTHON.iter().map(|&pattern| pattern.to_owned()).collect();
    for (pattern, said) in patterns.iter().zip(python(&patterns, &USER_AGENTS)) {
        let said = said.unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let translated = from_python(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(here(&translated, &USER_AGENTS), said, "{pattern} as {translated}");
    }
    assert!(from_python("\\N{LATIN SMALL LETTER A}").is_err_and(|error| error.to_string().contains("\\N{LATIN")));
}

#[test]
fn patterns_of_this_panel_match_the_same_in_python() {
    let own = OF_THIS_PANEL.iter().map(|&pattern| pattern.to_owned());
    let patterns: Vec<String> = own.chain(initial()).collect();
    let translated: Vec<String> = patterns
        .iter()
        .map(|pattern| to_python(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")))
        .collect();
    for ((pattern, translated), said) in patterns.iter().zip(&translated).zip(python(&translated, &USER_AGENTS)) {
        let said = said.unwrap_or_else(|error| panic!("{pattern} as {translated}: {error}"));
        assert_eq!(here(pattern, &USER_AGENTS), said, "{pattern} as {translated}");
    }
    for pattern in REFUSED {
        client_rules::check(&rule(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error:?}"));
        assert!(to_python(pattern).is_err(), "{pattern} becomes {:?}", to_python(pattern));
    }
}

fn initial() -> impl Iterator<Item = String> {
    SubscriptionSettings::initial().rules.into_iter().map(|rule| rule.pattern)
}

/// Rules that operators have stay as they are, both ways.
#[test]
fn common_patterns_are_not_touched() {
    let common = [
        "^([Cc]lash-verge|[Cc]lash[-\\.]?[Mm]eta)",
        "^(SFA|SFI|SFM|SFT|[Kk]aring)",
        "^v2ray(N|NG)/(\\d+)\\.(\\d+)",
        ".*",
    ];
    for pattern in common.into_iter().map(str::to_owned).chain(initial()) {
        assert_eq!(from_python(&pattern).as_deref(), Ok(pattern.as_str()));
        assert_eq!(to_python(&pattern).as_deref(), Ok(pattern.as_str()));
    }
}

/// Whatever is written compiles in Python and matches the same; whatever Python compiles is read, or named.
#[test]
fn random_patterns_mean_the_same_in_both_or_are_refused() {
    const PARTS: [&str; 44] = [
        "a", "b", "v2", "/", " ", "1", "é", "ک", ".", "|", "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?i)", "(?i:",
        "(?P<n>", "[a-c]", "[^a]", "[]a]", "[[a]", "[a&&b]", "*", "+", "?", "{2}", "{,2}", "{1,}", "{", "}", "\\d",
        "\\w", "\\b", "\\Z", "\\z", "\\1", "\\x41", "\\07", "\\.", "^", "$", "\\p{L}",
    ];
    let mut rng = StdRng::seed_from_u64(7);
    let random = |rng: &mut StdRng| -> String {
        (0..rng.random_range(1..9)).map(|_| PARTS[rng.random_range(0..PARTS.len())]).collect()
    };
    let patterns: Vec<String> = (0..6_000).map(|_| random(&mut rng)).collect();
    let mut counts = (0, 0);

    let own: Vec<&String> = patterns.iter().filter(|pattern| client_rules::check(&rule(pattern)).is_ok()).collect();
    let written: Vec<(&String, String)> =
        own.iter().filter_map(|&pattern| Some((pattern, to_python(pattern).ok()?))).collect();
    let texts: Vec<String> = written.iter().map(|(_, text)| text.clone()).collect();
    for ((pattern, text), said) in written.iter().zip(python(&texts, &USER_AGENTS)) {
        let said = said.unwrap_or_else(|error| panic!("{pattern} as {text}: {error}"));
        assert_eq!(here(pattern, &USER_AGENTS), said, "{pattern} as {text}");
        counts.0 += 1;
    }
    for (pattern, said) in patterns.iter().zip(python(&patterns, &USER_AGENTS)) {
        let Ok(said) = said else { continue };
        let Ok(text) = from_python(pattern) else { continue };
        if client_rules::check(&rule(&text)).is_ok() {
            assert_eq!(here(&text, &USER_AGENTS), said, "{pattern} as {text}");
            counts.1 += 1;
        }
    }
    assert!(counts.0 > 500 && counts.1 > 500, "{counts:?} patterns were compared");
}

/// Each class matches the same characters, whatever stands beside a `-`.
#[test]
fn random_classes_have_the_same_characters_in_both() {
    const PARTS: [&str; 24] = [
        "-", "-", "-", "]", "^", "&", "&", "~", "|", "+", ",", ".", "/", "a", "f", "Z", "0", "9", " ", "\\d", "\\-",
        "\\]", "\\x2f", "\\t",
    ];
    let characters: Vec<String> = (0..0x7f_u8).chain([0xe9]).map(|code| char::from(code).to_string()).collect();
    let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
    let mut rng = StdRng::seed_from_u64(8);
    let random = |rng: &mut StdRng| {
        let inside: String = (0..rng.random_range(1..7)).map(|_| PARTS[rng.random_range(0..PARTS.len())]).collect();
        format!("[{inside}]")
    };
    let patterns: Vec<String> = (0..1_500).map(|_| random(&mut rng)).collect();
    let mut counts = (0, 0);
    for (pattern, said) in patterns.iter().zip(python(&patterns, &characters)) {
        let Ok(said) = said else { continue };
        let text = from_python(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(here(&text, &characters), said, "{pattern} as {text}");
        counts.0 += 1;
    }
    let own = patterns.iter().filter(|pattern| client_rules::check(&rule(pattern)).is_ok());
    let written: Vec<(&String, String)> = own.filter_map(|pattern| Some((pattern, to_python(pattern).ok()?))).collect();
    let texts: Vec<String> = written.iter().map(|(_, text)| text.clone()).collect();
    for ((pattern, text), said) in written.iter().zip(python(&texts, &characters)) {
        let said = said.unwrap_or_else(|error| panic!("{pattern} as {text}: {error}"));
        assert_eq!(here(pattern, &characters), said, "{pattern} as {text}");
        counts.1 += 1;
    }
    assert!(counts.0 > 400 && counts.1 > 400, "{counts:?} classes were compared");
}

/// Patterns that nobody can use are refused at once, and none ends the program.
#[test]
fn large_patterns_and_counts_are_refused() {
    assert!(from_python(&"a".repeat(1_000)).is_ok() && to_python(&"a".repeat(1_000)).is_ok());
    let long = "[a-z]".repeat(100_000);
    assert!(from_python(&long).is_err_and(|error| error.to_string().contains("1000 bytes")));
    assert!(to_python(&long).is_err());
    for pattern in ["a{4294967295}", "(?<=(((((a{65535}){65535}){65535}){65535}){65535}){65535})a"] {
        assert!(to_python(pattern).is_err(), "{pattern}");
    }
}
