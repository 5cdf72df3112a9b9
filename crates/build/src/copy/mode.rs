//! `--chmod`: a number, or changes as `chmod` takes them.

use crate::error::{ErrorKind, Result};

/// What a mode becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// This, whatever it was.
    Absolute(u32),
    /// `u+x,go-w`: one after the other.
    Symbolic(Vec<Clause>),
}

/// One change of a symbolic mode: `go+rX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// The bits of all three kinds of permissions that it is about.
    who: u32,
    operator: char,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// These bits, and the execute bits if `conditional` and the file has one or is a directory.
    Bits { bits: u32, conditional: bool },
    /// What the user (6), the group (3) or others (0) may, by the position of the bits.
    Copied(u32),
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHERS: u32 = 0o0007;
/// Belongs to nobody: `t` is heard when it is said of the user, the group or all, and ignored when of others alone. Where
/// nobody says it, it stays.
const STICKY: u32 = 0o1000;

impl ModeChange {
    /// Reads the value of `--chmod`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = || ErrorKind::Chmod { mode: text.to_owned() };
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= 0o7777);
            return Ok(Self::Absolute(mode.ok_or_else(refuse)?));
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(clauses_of(part).ok_or_else(refuse)?);
        }
        Ok(Self::Symbolic(clauses))
    }

    /// What `mode` becomes.
    pub(crate) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Absolute(mode) => *mode,
            Self::Symbolic(clauses) => {
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_directory))
            }
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let bits = match self.what {
            What::Bits { bits, conditional } => {
                let executes = conditional && (is_directory || mode & 0o111 != 0);
                (if executes { bits | 0o111 } else { bits }) & self.who
            }
            What::Copied(shift) => {
                let bits = mode >> shift & 0o7;
                (bits << 6 | bits << 3 | bits) & self.who
            }
        };
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !self.who | bits,
        }
    }
}

/// `ugo+r-w` is two clauses about the same people.
fn clauses_of(text: &str) -> Option<Vec<Clause>> {
    let people = text.find(['+', '-', '='])?;
    let (people, mut rest) = text.split_at(people);
    let mut who = 0;
    for person in people.chars() {
        who |= match person {
            'u' => USER,
            'g' => GROUP,
            'o' => OTHERS,
            'a' => USER | GROUP | OTHERS,
            _ => return None,
        };
    }
    let who = if people.is_empty() { USER | GROUP | OTHERS } else { who };
    let mut clauses = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let after = rest.get(1..)?;
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (letters, next) = after.split_at(end);
        let sticky = if letters.contains('t') && who != OTHERS { STICKY } else { 0 };
        clauses.push(Clause { who: who | sticky, operator, what: what(letters)? });
        rest = next;
    }
    Some(clauses)
}

fn what(letters: &str) -> Option<What> {
    match letters {
        "u" => return Some(What::Copied(6)),
        "g" => return Some(What::Copied(3)),
        "o" => return Some(What::Copied(0)),
        _ => {}
    }
    let (mut bits, mut conditional) = (0, false);
    for letter in letters.chars() {
        match letter {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            'X' => conditional = true,
            's' => bits |= 0o6000,
            't' => bits |= STICKY,
            _ => return None,
        }
    }
    Some(What::Bits { bits, conditional })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, mode: u32) -> String {
        let apply = |is_directory| ModeChange::parse(text).map(|change| change.apply(mode, is_directory));
        match (apply(false), apply(true)) {
            (Ok(file), Ok(folder)) if file == folder => format!("{file:o}"),
            (Ok(file), Ok(folder)) => format!("{file:o} {folder:o}"),
            _ => "refused".to_owned(),
        }
    }

    #[test]
    fn modes_change_as_chmod_says() {
        let cases = [
            ("755", 0o644, "755"),
            ("4755", 0o644, "4755"),
            ("u+x", 0o644, "744"),
            ("a-w,u+w", 0o666, "644"),
            ("go=", 0o755, "700"),
            ("u=rwX,go=rX", 0o600, "644 755"),
            ("u=rwX,go=rX", 0o700, "755"),
            ("g=u", 0o640, "660"),
            ("+t", 0o755, "1755"),
            ("o+t", 0o755, "755"),
            ("g+s,o+t", 0o700, "2700"),
            ("u+t", 0o755, "1755"),
            ("a=r", 0o1777, "1444"),
            ("u=t", 0o755, "1055"),
            ("u+s,g-rx", 0o755, "4705"),
            ("a=r+w", 0o000, "666"),
            ("999", 0o644, "refused"),
            ("77777", 0o644, "refused"),
            ("u*x", 0o644, "refused"),
            ("rwx", 0o644, "refused"),
        ];
        for (text, mode, expected) in cases {
            assert_eq!(changed(text, mode), expected, "{text}");
        }
    }
}
