//! `entry_points.txt`: the scripts that a wheel asks the installer to make.
//!
//! Read as pip reads it: lines are stripped, `#` begins a comment only at the start of a line, a name that comes
//! twice in a section keeps its last target, and extras in brackets are ignored.

use super::defect::Defect;

/// A script to be made: `name = module:callable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its file name; may contain `/`, never leads out of the scripts folder.
    pub name: String,
    /// What it imports from.
    pub module: String,
    /// What it calls, which may have dots in it.
    pub callable: String,
}

/// The scripts of a wheel. Other groups are no business of an installer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPoints {
    /// The group `console_scripts`.
    pub console: Vec<Script>,
    /// The group `gui_scripts`; the same on Linux.
    pub gui: Vec<Script>,
}

impl EntryPoints {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Result<Self, Defect> {
        let mut entry_points = Self::default();
        let mut group = None;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                group = Some(name);
                continue;
            }
            let scripts = match group {
                Some("console_scripts") => &mut entry_points.console,
                Some("gui_scripts") => &mut entry_points.gui,
                _ => continue,
            };
            let (name, target) = line.split_once('=').ok_or(Defect::EntryPointSyntax { line: number + 1 })?;
            let script = Script::parse(name.trim(), target.trim())?;
            scripts.retain(|other: &Script| other.name != script.name);
            scripts.push(script);
        }
        Ok(entry_points)
    }
}

impl Script {
    fn parse(name: &str, target: &str) -> Result<Self, Defect> {
        let bad_target = || Defect::EntryPointTarget { name: name.to_owned(), target: target.to_owned() };
        let (path, rest) = leading_path(target);
        // What follows the path means nothing to pip, a comment for instance; but brackets must hold extras.
        let brackets = rest.contains(['[', ']']);
        if brackets && !is_extras(rest.trim_start()) {
            return Err(bad_target());
        }
        let (module, callable) = path.split_once(':').ok_or_else(bad_target)?;
        if callable.contains(':') {
            return Err(bad_target());
        }
        let inside = || Defect::EntryPointName { name: name.to_owned() };
        let file = resolve(name).ok_or_else(inside)?;
        Ok(Self { name: file, module: module.to_owned(), callable: callable.to_owned() })
    }

    /// What the script imports: the part of the callable before its first dot.
    pub(crate) fn import(&self) -> &str {
        self.callable.split('.').next().unwrap_or_default()
    }
}

/// The words with dots and colons between them that a target begins with, and the rest.
fn leading_path(target: &str) -> (&str, &str) {
    let mut end = 0;
    loop {
        let from = if end == 0 { 0 } else { end + 1 };
        let word = target.get(from..).unwrap_or_default();
        let size = word.find(|letter| !is_word(letter)).unwrap_or(word.len());
        if size == 0 {
            return target.split_at(end);
        }
        end = from + size;
        if !target.get(end..).unwrap_or_default().starts_with(['.', ':']) {
            return target.split_at(end);
        }
    }
}

/// `[a, b]`, and whatever follows.
fn is_extras(text: &str) -> bool {
    let inside = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    inside.is_some_and(|(extras, _)| {
        !extras.trim().is_empty() && extras.chars().all(|letter| is_word(letter) || "-=, ".contains(letter))
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The path inside the scripts folder that `name` leads to, if it is strictly inside.
fn resolve(name: &str) -> Option<String> {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
    if name.starts_with(['/', '[']) || name.contains(odd) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_both_groups_are_read() {
        let found = EntryPoints::parse(
            "# x\n[console_scripts]\n a = m.n:f \nb=m:C.run [x, y]\na = m2:f\n\
             [other]\nfree text\n[gui_scripts]\r\n進入點 = 模組:函式\n",
        )
        .unwrap();
        let script = |name: &str, module: &str, callable: &str| Script {
            name: name.to_owned(),
            module: module.to_owned(),
            callable: callable.to_owned(),
        };
        assert_eq!(found.console, [script("b", "m", "C.run"), script("a", "m2", "f")]);
        assert_eq!(found.console.first().map(Script::import), Some("C"));
        assert_eq!(found.gui, [script("進入點", "模組", "函式")]);
    }

    #[test]
    fn what_follows_a_target_is_ignored() {
        let found = EntryPoints::parse("[console_scripts]\na = m:f # why\nb = m:f [x] ; y\n").unwrap();
        assert!(found.console.iter().all(|script| (&*script.module, &*script.callable) == ("m", "f")));
    }

    #[test]
    fn names_stay_inside() {
        for name in [".", "..", "../x", "a/../..", "/x", "a b", ""] {
            let text = format!("[console_scripts]\n{name} = m:f\n");
            assert!(matches!(EntryPoints::parse(&text), Err(Defect::EntryPointName { .. })), "{name}");
        }
        let found = EntryPoints::parse("[console_scripts]\na/../b/c = m:f\n").unwrap();
        assert_eq!(found.console.first().map(|script| script.name.as_str()), Some("b/c"));
    }

    #[test]
    fn targets_need_a_callable() {
        for target in ["hello", "hello:", ":f", "a:b:c", "a-b:c", "a.:b", "m:f [x", "m:f []", "m : f", ""] {
            let text = format!("[gui_scripts]\nx = {target}\n");
            assert!(matches!(EntryPoints::parse(&text), Err(Defect::EntryPointTarget { .. })), "{target}");
        }
        let syntax = EntryPoints::parse("[console_scripts]\n\nx\n");
        assert_eq!(syntax, Err(Defect::EntryPointSyntax { line: 3 }));
    }
}
