//! From the syntax of Python's `re` to this panel's.

use super::class::{self, Atom, Member};
use super::cursor::Cursor;
use super::group::{Flags, python_group};
use super::{Translated, refuse};

/// Translates a pattern that Python compiles. A pattern that means the same in this panel stays as it is.
pub fn from_python(pattern: &str) -> Translated<String> {
    let mut reader =
        Reader { from: Cursor::new(pattern)?, to: String::new(), global: Flags::default(), scopes: Vec::new() };
    reader.pattern()?;
    let flags = reader.global.text();
    Ok(if flags.is_empty() { reader.to } else { format!("(?{flags}){}", reader.to) })
}

struct Reader {
    from: Cursor,
    to: String,
    /// Flags without a colon, which hold for the whole pattern wherever they stand.
    global: Flags,
    /// Flags of the open groups, as far as they differ.
    scopes: Vec<Flags>,
}

impl Reader {
    /// Classes of ASCII characters only; white space does not count. These two have no counterpart and are written out.
    fn is(&self, flag: char) -> bool {
        let flags = self.scopes.iter().chain([&self.global]);
        flags.into_iter().any(|flags| flags.on.contains(&flag))
    }

    fn pattern(&mut self) -> Translated<()> {
        while let Some(c) = self.from.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    self.scopes.pop();
                    self.to.push(')');
                }
                '{' => match self.from.bounds()? {
                    Some(bounds) => self.to.push_str(&bounds.text()),
                    None => self.to.push_str(r"\{"),
                },
                c if self.is('x') && c.is_ascii_whitespace() => {}
                '#' if self.is('x') => drop(self.from.take_while(usize::MAX, |c| c != '\n')),
                c => self.to.push(c),
            }
        }
        Ok(())
    }

    fn group(&mut self) -> Translated<()> {
        let group = python_group(&mut self.from)?;
        if let Some(flags) = &group.flags
            && !group.opens
        {
            self.global.add(flags);
            return Ok(());
        }
        if group.opens {
            self.scopes.push(group.flags.clone().unwrap_or_default());
        }
        self.to.push_str(&group.text);
        Ok(())
    }

    fn escape(&mut self) -> Translated<()> {
        let Some(c) = self.from.next() else { return refuse(r"a lone \") };
        match c {
            '0' => {
                let digits = self.from.take_while(2, is_octal);
                self.to.push_str(&octal(&format!("0{digits}"))?);
                Ok(())
            }
            '1'..='9' => {
                let mut digits = c.to_string() + &self.from.take_while(1, |c| c.is_ascii_digit());
                if digits.len() == 2 && digits.chars().all(is_octal) && self.from.peek().is_some_and(is_octal) {
                    digits += &self.from.take_while(1, is_octal);
                    self.to.push_str(&octal(&digits)?);
                    return Ok(());
                }
                self.to.push('\\');
                self.to.push_str(&digits);
                Ok(())
            }
            'Z' => {
                self.to.push_str(r"\z");
                Ok(())
            }
            'A' | 'b' | 'B' => {
                self.to.extend(['\\', c]);
                Ok(())
            }
            c => {
                let text = self.common_escape(c)?;
                let opened =
                    if text.starts_with(['\\', '[']) || text.chars().count() == 1 { text } else { format!("[{text}]") };
                self.to.push_str(&opened);
                Ok(())
            }
        }
    }

    /// An escape that is the same in and outside of classes, as the content of a class.
    fn common_escape(&mut self, c: char) -> Translated<String> {
        let ascii = self.is('a');
        Ok(match c {
            'd' if ascii => "0-9".to_owned(),
            'w' if ascii => "0-9A-Za-z_".to_owned(),
            's' if ascii => r" \t-\r".to_owned(),
            'D' if ascii => "[^0-9]".to_owned(),
            'W' if ascii => "[^0-9A-Za-z_]".to_owned(),
            'S' if ascii => r"[^ \t-\r]".to_owned(),
            'd' | 'w' | 's' | 'D' | 'W' | 'S' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => format!("\\{c}"),
            'x' => written(self.from.code(2, false)?),
            'u' => written(self.from.code(4, false)?),
            'U' => written(self.from.code(8, false)?),
            'N' => return refuse(format!("\\N{}", self.from.take_while(60, |c| c != '}'))),
            c if c.is_ascii_alphanumeric() => return refuse(format!("\\{c}")),
            // This engine reads `\<` and `\>` as bounds of words.
            c if c.is_ascii_punctuation() && c != '<' && c != '>' => format!("\\{c}"),
            c => c.to_string(),
        })
    }

    /// A class. Python knows no classes in classes and no operations on them.
    fn class(&mut self) -> Translated<()> {
        let is_negated = self.from.take("^");
        let mut members = Vec::new();
        loop {
            if !members.is_empty() && self.from.take("]") {
                self.to.push_str(&class::written(is_negated, &members));
                return Ok(());
            }
            let start = self.atom()?;
            let is_range = self.from.starts_with("-") && !self.from.starts_with("-]");
            members.push(if is_range && self.from.take("-") {
                Member::Range(start, self.atom()?)
            } else {
                Member::One(start)
            });
        }
    }

    fn atom(&mut self) -> Translated<Atom> {
        let Some(c) = self.from.next() else { return refuse("a class without its ]") };
        if c != '\\' {
            return Ok(Atom::Plain(c));
        }
        let Some(c) = self.from.next() else { return refuse(r"a lone \") };
        Ok(Atom::Escape(match c {
            'b' => r"\x08".to_owned(),
            '0'..='7' => octal(&format!("{c}{}", self.from.take_while(2, is_octal)))?,
            c => self.common_escape(c)?,
        }))
    }
}

fn octal(digits: &str) -> Translated<String> {
    let code = u32::from_str_radix(digits, 8).ok().and_then(char::from_u32);
    code.map_or_else(|| refuse(format!("\\{digits}")), |code| Ok(written(code)))
}

const fn is_octal(c: char) -> bool {
    matches!(c, '0'..='7')
}

fn written(code: char) -> String {
    format!("\\x{{{:x}}}", u32::from(code))
}
