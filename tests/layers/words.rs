//! Refuses words that only insiders understand: the field's own terms are in docs/glossary.md.

use std::fs;
use std::path::Path;

use super::rust_files;

/// Words of a former private vocabulary, each with the term that is used instead.
const REFUSED: &[(&str, &str)] = &[
    ("anew", "again"),
    ("audience", "notification targets"),
    ("audiences", "notification targets"),
    ("bell", "wake-up"),
    ("befall", "happen to"),
    ("befell", "happened to"),
    ("courier", "delivery"),
    ("desk", "pending-change tracker"),
    ("doors", "listeners"),
    ("ear", "wake-up receiver"),
    ("flooded", "overflowed"),
    ("gate", "Redis lock or write lock"),
    ("house", "crate, project"),
    ("mailbox", "receiver"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("pen", "write lock"),
    ("pigeonhole", "node queue"),
    ("reign", "term, lease renewal"),
    ("ringing", "sending wake-ups"),
    ("rung", "sent"),
    ("roster", "node health"),
    ("shelf", "cache"),
    ("stint", "batch"),
    ("surroundings", "render context"),
    ("whoever", "the process (or person) that"),
];

/// Phrases that are refused, in any case.
const REFUSED_PHRASES: &[(&str, &str)] =
    &[("a sudo ", "a sudo admin"), ("come this far", "reached"), ("takes leave", "leaves"), ("take leave", "leave")];

/// Phrases that may stay although a refused one is in them.
const ALLOWED: &[&str] = &["a sudo admin"];

/// Beginnings of doc comments that state nothing.
const REFUSED_BEGINNINGS: &[&str] = &["What ", "Who ", "Whose ", "Whoever ", "So many ", "The whole", "Whether "];

/// Every refused word in a text, as lines that a person can act on.
pub fn refused(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut plain = line.to_lowercase();
        for allowed in ALLOWED {
            plain = plain.replace(allowed, "");
        }
        // Identifiers count by their parts: `NodeRoster`, `ring_the_bell`.
        let words = words(&plain_of(line, &plain));
        for (word, instead) in REFUSED {
            if words.iter().any(|found| found == word) {
                found.push(format!("line {}: `{word}`: say {instead}", number + 1));
            }
        }
        for (phrase, instead) in REFUSED_PHRASES {
            if plain.contains(phrase) {
                found.push(format!("line {}: `{}`: say {instead}", number + 1, phrase.trim()));
            }
        }
    }
    found
}

/// Doc comments that begin with a question word instead of a fact.
pub fn refused_beginnings(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_comment = false;
    for (number, line) in source.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("/// ");
        if let Some(text) = comment.filter(|_| !in_comment)
            && let Some(beginning) = REFUSED_BEGINNINGS.iter().find(|beginning| text.starts_with(*beginning))
        {
            found.push(format!(
                "line {}: a doc comment states a fact and does not begin with `{}`",
                number + 1,
                beginning.trim()
            ));
        }
        in_comment = comment.is_some();
    }
    found
}

/// The line with its capitals, unless something in it is allowed.
fn plain_of(line: &str, plain: &str) -> String {
    if line.len() == plain.len() { line.to_owned() } else { plain.to_owned() }
}

/// Lower-case words; an identifier is split at underscores and capitals.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for sign in line.chars() {
        if !sign.is_alphabetic() || (sign.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if sign.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(sign.to_lowercase());
        }
        after_lower = sign.is_lowercase();
    }
    words
}

/// Texts besides the Rust sources that people read.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "openapi.json"];

#[test]
fn sources_and_documents_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(root, folder, &mut files);
    }
    // This file names the words that it refuses.
    for file in files.iter().filter(|file| file.path != "tests/layers/words.rs") {
        let violations = refused(&file.source).into_iter().chain(refused_beginnings(&file.source));
        found.extend(violations.map(|violation| format!("{}: {violation}", file.path)));
    }
    let docs = fs::read_dir(root.join("docs")).expect("the folder docs is readable");
    let docs = docs.map(|entry| entry.expect("an entry is readable").path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    for path in docs.chain(DOCUMENTS.iter().map(|name| root.join(name))) {
        let text = fs::read_to_string(&path).expect("a document is readable");
        found.extend(refused(&text).into_iter().map(|violation| format!("{}: {violation}", path.display())));
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

mod tests {
    use super::*;

    #[test]
    fn refused_word_is_found_in_prose_and_identifiers() {
        for text in
            ["// the Bell", "struct DoorBell;", "fn ring_the_bell()", "A sudo is", "It must have come this far."]
        {
            assert_eq!(refused(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn longer_words_and_allowed_phrases_pass() {
        for text in ["// a gateway", "label", "a sudo admin of the panel"] {
            assert!(refused(text).is_empty(), "{text}: {:?}", refused(text));
        }
    }

    #[test]
    fn question_words_begin_no_doc_comment() {
        assert_eq!(refused_beginnings("    /// What it is.\n    /// Who knows.\n    x: u8").len(), 1);
        assert!(refused_beginnings("/// The page.\n/// What follows is a second line.\n// What for").is_empty());
    }
}
