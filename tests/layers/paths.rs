//! Extracts paths (`crate::store::Db`, each branch of a `use` tree) from Rust source, without comments and literals.

/// A path with resolved `self` and `super`: a path into this crate begins with `crate`, any other path with the name of
/// its crate.
pub type Path = Vec<String>;

/// Returns all paths in the source of the module `home` (`["store", "users"]` for src/store/users.rs).
pub fn paths(source: &str, home: &[&str]) -> Vec<Path> {
    let tokens = tokens(source);
    let mut reader = Reader { tokens: &tokens, at: 0, found: Vec::new() };
    // The modules around the current token, each with the depth of its braces.
    let mut module: Vec<(String, usize)> = home.iter().map(|name| ((*name).to_owned(), 0)).collect();
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(reader.at) {
        let previous = reader.at.checked_sub(1).map(|at| tokens[at].as_str());
        match token.as_str() {
            "{" if previous == Some("use") => {
                reader.branches(&Vec::new());
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                module.retain(|(_, opened)| *opened <= depth);
            }
            name if previous == Some("mod") && tokens.get(reader.at + 1).is_some_and(|next| next == "{") => {
                module.push((name.to_owned(), depth + 1));
            }
            name if is_name(name) && !matches!(previous, Some("::" | ".")) => {
                let first = reader.found.len();
                reader.path(Vec::new(), previous == Some("use"));
                for path in &mut reader.found[first..] {
                    resolve(path, &module);
                }
                continue;
            }
            _ => {}
        }
        reader.at += 1;
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    found: Vec<Path>,
}

impl Reader<'_> {
    fn next_is(&self, token: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|next| next == token)
    }

    /// Reads a path, or a tree of paths that begin with `path`. A single name is a path only in a `use`.
    fn path(&mut self, mut path: Path, in_use: bool) {
        while let Some(name) = self.tokens.get(self.at).filter(|token| is_name(token) || *token == "*") {
            path.push(name.clone());
            self.at += 1;
            if !self.next_is("::") {
                break;
            }
            self.at += 1;
            if self.next_is("{") {
                return self.branches(&path);
            }
        }
        if path.len() > 1 || in_use {
            self.found.push(path);
        }
    }

    fn branches(&mut self, trunk: &Path) {
        self.at += 1;
        while self.at < self.tokens.len() && !self.next_is("}") {
            if is_name(&self.tokens[self.at]) || self.next_is("*") {
                self.path(trunk.clone(), true);
                if self.next_is("as") {
                    self.at += 2;
                }
            } else {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

fn resolve(path: &mut Path, module: &[(String, usize)]) {
    let ups = path.iter().take_while(|name| *name == "super").count();
    if ups == 0 && path[0] != "self" {
        return;
    }
    let depth = module.len().saturating_sub(ups);
    let start = ["crate"].into_iter().chain(module[..depth].iter().map(|(name, _)| name.as_str())).map(str::to_owned);
    let rest = path.drain(ups.max(1)..);
    *path = start.chain(rest).collect();
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Returns names, `::`, and every other character by itself, without comments and literals.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = ignored(rest) {
            length
        } else if is_name(rest) {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            // A leading `::` (`use ::tonic`) adds nothing to a path.
            if tokens.last().is_some_and(|last: &String| last == ">" || (is_name(last) && last != "use")) {
                tokens.push("::".to_owned());
            }
            2
        } else {
            tokens.push(first.to_string());
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of the white space, comment, literal or `r#` prefix that the text begins with.
fn ignored(text: &str) -> Option<usize> {
    let white = text.len() - text.trim_start().len();
    if white > 0 {
        return Some(white);
    }
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if prefix <= 1 {
        if let Some(raw) = body.strip_prefix('r') {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            if raw[hashes..].starts_with('"') {
                let end = format!("\"{}", "#".repeat(hashes));
                let opened = prefix + 1 + hashes + 1;
                return Some(text[opened..].find(&end).map_or(text.len(), |at| opened + at + end.len()));
            }
            if hashes == 1 && prefix == 0 {
                return Some(2);
            }
        }
        if body.starts_with('"') {
            return Some(prefix + quoted(body, '"'));
        }
        if let Some(inner) = body.strip_prefix('\'') {
            // 'a' and '\n' are literals; 'a without a closing quote is a lifetime, whose name is skipped.
            let mut signs = inner.chars();
            let (first, second) = (signs.next(), signs.next());
            let is_literal = first == Some('\\') || second == Some('\'');
            let lifetime = || inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len());
            return Some(prefix + if is_literal { quoted(body, '\'') } else { 1 + lifetime() });
        }
    }
    text.starts_with(|c: char| c.is_ascii_digit())
        .then(|| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

/// Returns the length of a quoted literal.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        if sign == quote && !escaped {
            return at + 1;
        }
        escaped = sign == '\\' && !escaped;
    }
    text.len()
}

/// Returns the length of a block comment, which may be nested.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[test]
fn every_branch_of_a_use_tree_is_a_path() {
    let found =
        read("pub use crate::{a::{B, c::*}, d as e, self}; use sqlx; use {tokio::fs, redis}; use ::tonic;", &[]);
    let expected = ["crate::a::B", "crate::a::c::*", "crate::d", "crate::self", "sqlx", "tokio::fs", "redis", "tonic"];
    assert_eq!(found, expected);
}

#[test]
fn paths_in_expressions_types_attributes_and_macros_are_read() {
    let found = read("#[tokio::test] fn f(x: &'a crate::T<a::B>) { x.y(); m!($crate::z::<u8>(1)); }", &[]);
    assert_eq!(found, ["tokio::test", "crate::T", "a::B", "crate::z"]);
}

#[test]
fn self_and_super_are_resolved_in_inner_modules() {
    let found = read(
        "use super::x; use self::y; mod tests { use super::*; use super::super::z; } use super::super::w;",
        &["store", "users"],
    );
    assert_eq!(
        found,
        ["crate::store::x", "crate::store::users::y", "crate::store::users::*", "crate::store::z", "crate::w"]
    );
}

#[test]
fn comments_and_literals_are_not_read() {
    let source = r##"
        // crate::a
        /* crate::b /* crate::c */ crate::d */
        const A: &str = "crate::e \" crate::f"; const B: &[u8] = br#"crate::g " crate::h"#;
        const C: [char; 3] = ['"', '\'', 'a']; fn f<'a>(b: r#mod::X, c: &'a str) -> f64 { 1.0 }
    "##;
    assert_eq!(read(source, &[]), ["mod::X"]);
}

#[cfg(test)]
fn read(source: &str, home: &[&str]) -> Vec<String> {
    paths(source, home).iter().map(|path| path.join("::")).collect()
}
