//! The log of an engine, read for one question: has the engine started, and if not, why?

use std::collections::VecDeque;

use crate::foundation::is_steering;

/// Characters of a line that are remembered.
const LINE: usize = 400;
/// Lines that are remembered.
const LINES: usize = 20;
/// Lines that are quoted if no line says why the engine ended.
const QUOTED: usize = 3;
/// Characters of a quotation.
const QUOTATION: usize = 800;

/// The newest lines of an engine's log.
#[derive(Debug, Default)]
pub struct LogExcerpt {
    lines: VecDeque<String>,
    fatal: Vec<String>,
    started: bool,
}

impl LogExcerpt {
    /// Adds a part of the log, which may have several lines.
    pub fn push(&mut self, text: &str) {
        for line in text.lines().map(plain).filter(|line| !line.is_empty()) {
            if is_start(&line) {
                self.started = true;
                // Of an earlier attempt.
                self.fatal.clear();
            }
            if is_fatal(&line) && self.fatal.len() < QUOTED {
                self.fatal.push(line.clone());
            }
            if self.lines.len() == LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
        }
    }

    /// True if a line says that the engine has started.
    pub const fn has_started(&self) -> bool {
        self.started
    }

    /// True if a line says that the engine ends because of an error.
    pub const fn has_failed(&self) -> bool {
        !self.fatal.is_empty()
    }

    /// Returns the lines that say why the engine ended, on one line. `None`: no line says so.
    pub fn reason(&self) -> Option<String> {
        self.has_failed().then(|| cut(&self.fatal.join(" | "), QUOTATION))
    }

    /// Returns the reason, or else the last lines. `None`: the log is empty.
    pub fn quotation(&self) -> Option<String> {
        let last =
            || self.lines.range(self.lines.len().saturating_sub(QUOTED)..).cloned().collect::<Vec<_>>().join(" | ");
        self.reason().or_else(|| (!self.lines.is_empty()).then(|| cut(&last(), QUOTATION)))
    }
}

/// Returns a line without colours, with other control characters escaped, cut to [`LINE`].
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line.trim().chars().take(4 * LINE).peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                // A terminal's control sequence ends with a character from `@` to `~`.
                while rest.next().is_some_and(|character| !('@'..='~').contains(&character)) {}
            }
            '\t' => plain.push(' '),
            character if is_steering(character) => plain.extend(character.escape_unicode()),
            character => plain.push(character),
        }
    }
    cut(&plain, LINE)
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Xray writes `Failed to start: …`; sing-box and Hysteria write the level FATAL, after the time; all of them end with the
/// words of Go's runtime at a fault of their own. Clients choose other
/// parts of lines, such as names of servers, so a level counts at its place only.
fn is_fatal(line: &str) -> bool {
    line.starts_with("Failed to start")
        || line.starts_with("panic: ")
        || line.starts_with("fatal error: ")
        || line.split_whitespace().take(4).any(|word| word == "FATAL" || word.starts_with("FATAL["))
}

fn is_start(line: &str) -> bool {
    (line.contains("core: Xray ") && line.ends_with(" started"))
        || line.contains("sing-box started (")
        || line.contains("server up and running")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(lines: &[&str]) -> LogExcerpt {
        let mut excerpt = LogExcerpt::default();
        for line in lines {
            excerpt.push(line);
        }
        excerpt
    }

    #[test]
    fn start_and_end_of_each_engine_are_recognised() {
        for line in [
            "2026/11/29 02:26:47.817257 [Warning] core: Xray 26.10.10 started\n",
            "INFO[0000] sing-box started (0.01s)",
            "2026-11-29T02:26:47Z\tINFO\tserver up and running\t{\"listen\": \":443\"}",
        ] {
            assert!(excerpt(&[line]).has_started(), "{line}");
            assert!(!excerpt(&[line]).has_failed(), "{line}");
        }
        for line in [
            "Failed to start: main: failed to load config files: [stdin:]",
            "\u{1b}[31mFATAL\u{1b}[0m[0000] start service: listen tcp :443: bind: address already in use",
            "+0000 2026-11-29 02:26:47 FATAL start service: no such file",
            "2026-11-29T02:26:47Z\tFATAL\tfailed to load server config\t{\"error\": \"x\"}",
            "panic: runtime error: index out of range",
            "fatal error: runtime: out of memory",
        ] {
            assert!(excerpt(&[line]).has_failed(), "{line}");
            assert!(!excerpt(&[line]).has_started(), "{line}");
        }
    }

    #[test]
    fn server_names_of_clients_are_no_end() {
        for line in [
            "2026/11/29 02:26:47.8 from 192.0.2.7:5 accepted tcp:FATAL:443 [in -> out]",
            "2026/11/29 02:26:47.8 from 192.0.2.7:5 accepted tcp:Failed to start:443 [in -> out]",
            "INFO[0001] [1 0ms] inbound/vless[in]: inbound connection to FATAL[0]:443",
        ] {
            assert!(!excerpt(&[line]).has_failed(), "{line}");
        }
    }

    #[test]
    fn quotation_prefers_the_reason_and_is_safe_to_show() {
        let log = excerpt(&["first\n", "Failed to start: \u{1b}[1mbad\u{1b}[0m \u{7}\u{202e}key\n", "last\nof all\n"]);
        assert_eq!(log.quotation().as_deref(), Some(r"Failed to start: bad \u{7}\u{202e}key"));
        assert_eq!(excerpt(&["a\n\nb", "c\r\n", "d"]).quotation().as_deref(), Some("b | c | d"));
        assert_eq!(excerpt(&["\n"]).quotation(), None);
    }

    #[test]
    fn reason_of_an_earlier_attempt_does_not_count() {
        let mut log = excerpt(&["FATAL[0000] start service: bad", "INFO[0000] sing-box started (0.01s)"]);
        assert_eq!(log.reason(), None);
        log.push("FATAL[0002] worse");
        assert_eq!(log.reason().as_deref(), Some("FATAL[0002] worse"));
    }

    #[test]
    fn long_and_many_lines_are_cut() {
        let long = format!("Failed to start: {}", "ü".repeat(100_000));
        let mut log = excerpt(&[&long, &long, &long, &long]);
        for _ in 0..1_000 {
            log.push("more");
        }
        let quotation = log.quotation().expect("a reason");
        assert_eq!(quotation.chars().count(), QUOTATION + 1);
        assert!(log.lines.len() <= LINES && log.fatal.len() <= QUOTED);
    }
}
