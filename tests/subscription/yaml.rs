//! Parser of the part of YAML that recorded and rendered Clash configurations use: blocks of keys and lists, with JSON,
//! quoted or plain values.

use serde_json::{Map, Value};

/// Parses a document.
pub fn read(text: &str) -> Value {
    // A long quoted text continues on the next line. A backslash marks the line break.
    let mut joined = String::new();
    for line in text.lines() {
        match line.strip_suffix('\\') {
            Some(begun) => joined.push_str(begun),
            None if joined.rsplit('\n').next().is_some_and(|begun| begun.matches('"').count() % 2 == 1) => {
                let rest = line.trim_start();
                joined.push_str(rest.strip_prefix('\\').unwrap_or(rest));
                joined.push('\n');
            }
            None => {
                joined.push_str(line);
                joined.push('\n');
            }
        }
    }
    let mut lines: Vec<(usize, String)> = joined
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| (line.len() - line.trim_start().len(), line.trim_start().to_owned()))
        .collect();
    lines.reverse();
    let read = block(&mut lines, 0);
    assert!(lines.is_empty(), "could not parse line: {:?}", lines.last());
    read
}

/// Parses a list or a map. The lines are in reverse order, so that the next line is the last element.
fn block(lines: &mut Vec<(usize, String)>, indent: usize) -> Value {
    if lines.last().is_some_and(|(_, line)| line.starts_with("- ")) { list(lines, indent) } else { map(lines, indent) }
}

fn list(lines: &mut Vec<(usize, String)>, indent: usize) -> Value {
    let mut items = Vec::new();
    while let Some((_, line)) = lines.pop_if(|(at, line)| *at == indent && line.starts_with("- ")) {
        let item = line[2..].to_owned();
        if !item.starts_with(['{', '"']) && item.contains(": ") {
            lines.push((indent + 2, item));
            items.push(map(lines, indent + 2));
        } else {
            items.push(scalar(&item));
        }
    }
    items.into()
}

fn map(lines: &mut Vec<(usize, String)>, indent: usize) -> Value {
    let mut members = Map::new();
    while let Some((_, line)) = lines.pop_if(|(at, line)| *at == indent && !line.starts_with("- ")) {
        let (name, value) = line.split_once(':').expect("a key");
        let value = match value.trim() {
            "" => {
                // YAML allows a list to have the same indentation as its key.
                let deeper = lines.last().map_or(indent, |(at, _)| *at);
                block(lines, deeper)
            }
            given => scalar(given),
        };
        members.insert(name.trim_matches('"').to_owned(), value);
    }
    members.into()
}

fn scalar(text: &str) -> Value {
    if text.starts_with('"') {
        return serde_json::from_str(&json_escapes(text)).expect("a quoted text");
    }
    if text.starts_with(['{', '[']) {
        return serde_json::from_str(text).expect("JSON");
    }
    match text {
        "true" => true.into(),
        "false" => false.into(),
        "null" => Value::Null,
        _ => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
    }
}

/// Replaces YAML's escape sequences that JSON does not have: `\x`, `\U` and an escaped space.
fn json_escapes(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        read.push_str(&rest[..at]);
        let digits = match rest.as_bytes()[at + 1] {
            b'x' => 2,
            b'U' => 8,
            b' ' => 0,
            _ => {
                read.push_str(&rest[at..at + 2]);
                rest = &rest[at + 2..];
                continue;
            }
        };
        let end = at + 2 + digits;
        match u32::from_str_radix(&rest[at + 2..end], 16) {
            Ok(code) => read.push(char::from_u32(code).expect("a letter")),
            Err(_) => read.push(' '),
        }
        rest = &rest[end..];
    }
    read + rest
}
