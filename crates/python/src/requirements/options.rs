//! The options of one line: split as a shell splits, read as Python's `optparse` reads them.

use std::path::Path;

use super::{BinaryChoice, Files, RequirementOptions};

/// What the options of one line say.
#[derive(Debug, Default)]
pub(super) struct LineOptions {
    pub(super) requirements: Vec<String>,
    pub(super) constraints: Vec<String>,
    pub(super) editables: Vec<String>,
    pub(super) hashes: Vec<String>,
    index_url: Option<String>,
    extra_index_urls: Vec<String>,
    find_links: Vec<String>,
    trusted_hosts: Vec<String>,
    features: Vec<String>,
    binaries: Vec<(BinaryChoice, String)>,
    flags: Vec<Flag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    NoIndex,
    PreferBinary,
    RequireHashes,
    NoRequireHashes,
    Pre,
}

#[derive(Debug, Clone, Copy)]
enum Known {
    Flag(Flag),
    Binary(BinaryChoice),
    IndexUrl,
    ExtraIndexUrl,
    FindLinks,
    Requirement,
    Constraint,
    Editable,
    Hash,
    TrustedHost,
    Feature,
    /// Options for builds: they change nothing for a wheel, and a distribution without one is refused later.
    Build,
    /// Which distributions may be pre-releases: nothing here can honour it.
    Releases,
}

const OPTIONS: [(&str, Known); 28] = [
    ("-i", Known::IndexUrl),
    ("--index-url", Known::IndexUrl),
    ("--pypi-url", Known::IndexUrl),
    ("--extra-index-url", Known::ExtraIndexUrl),
    ("--no-index", Known::Flag(Flag::NoIndex)),
    ("-c", Known::Constraint),
    ("--constraint", Known::Constraint),
    ("-r", Known::Requirement),
    ("--requirement", Known::Requirement),
    ("-e", Known::Editable),
    ("--editable", Known::Editable),
    ("-f", Known::FindLinks),
    ("--find-links", Known::FindLinks),
    ("--no-binary", Known::Binary(BinaryChoice::No)),
    ("--only-binary", Known::Binary(BinaryChoice::Only)),
    ("--prefer-binary", Known::Flag(Flag::PreferBinary)),
    ("--require-hashes", Known::Flag(Flag::RequireHashes)),
    ("--no-require-hashes", Known::Flag(Flag::NoRequireHashes)),
    ("--pre", Known::Flag(Flag::Pre)),
    ("--all-releases", Known::Releases),
    ("--only-final", Known::Releases),
    ("--trusted-host", Known::TrustedHost),
    ("--use-feature", Known::Feature),
    ("--hash", Known::Hash),
    ("-C", Known::Build),
    ("--config-setting", Known::Build),
    ("--config-settings", Known::Build),
    ("--global-option", Known::Build),
];

impl LineOptions {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = split_words(text)?.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            // A word that is no option and no option's value is ignored, as pip does.
            if let Some((name, attached)) = split_option(&word) {
                options.option(&name, attached, &mut words)?;
            }
        }
        Ok(options)
    }

    fn option(
        &mut self,
        name: &str,
        attached: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let option = find(name)?;
        if let Known::Flag(flag) = option {
            self.flags.push(flag);
            return match attached {
                Some(_) => Err(format!("`{name}` takes no value")),
                None => Ok(()),
            };
        }
        let value = attached.or_else(|| words.next()).ok_or_else(|| format!("`{name}` needs a value"))?;
        self.value(option, name, value)
    }

    fn value(&mut self, option: Known, name: &str, value: String) -> Result<(), String> {
        match option {
            Known::IndexUrl => self.index_url = Some(value),
            Known::ExtraIndexUrl => self.extra_index_urls.push(value),
            Known::FindLinks => self.find_links.push(value),
            Known::Requirement => self.requirements.push(value),
            Known::Constraint => self.constraints.push(value),
            Known::Editable => self.editables.push(value),
            Known::TrustedHost => self.trusted_hosts.push(value),
            Known::Feature => self.features.push(value),
            Known::Hash => self.hashes.push(checked_hash(value)?),
            Known::Binary(binary) if !value.starts_with('-') => self.binaries.push((binary, value)),
            Known::Binary(_) => return Err(format!("`{name}` needs a value")),
            Known::Releases => return Err(format!("`{name}` cannot be honoured here")),
            Known::Build | Known::Flag(_) => {}
        }
        Ok(())
    }

    /// `--no-binary` and `--only-binary` count even on the line of a requirement, and the later one wins.
    pub(super) fn choose_binaries(&self, options: &mut RequirementOptions) {
        for (choice, names) in &self.binaries {
            options.choose_binaries(*choice, names);
        }
    }

    pub(super) fn apply(self, file: &Path, files: Files<'_>, options: &mut RequirementOptions) {
        for flag in self.flags {
            match flag {
                Flag::NoIndex => options.no_index = true,
                Flag::PreferBinary => options.prefer_binary = true,
                Flag::RequireHashes => options.require_hashes = true,
                Flag::NoRequireHashes => options.require_hashes = false,
                Flag::Pre => options.pre = true,
            }
        }
        if self.index_url.is_some() {
            options.index_url = self.index_url;
            options.extra_index_urls.clear();
        }
        options.extra_index_urls.extend(self.extra_index_urls);
        options.find_links.extend(self.find_links.into_iter().next().map(|links| beside(file, files, links)));
        options.trusted_hosts.extend(self.trusted_hosts);
        options.features.extend(self.features);
    }
}

/// A relative `--find-links` means the folder beside the file if there is one.
fn beside(file: &Path, files: Files<'_>, links: String) -> String {
    let folder = file.parent().unwrap_or(Path::new("")).join(&links);
    if !links.contains("://") && (files.exists)(&folder) {
        folder.to_string_lossy().into_owned()
    } else {
        links
    }
}

fn checked_hash(value: String) -> Result<String, String> {
    match value.split_once(':') {
        Some(("sha256" | "sha384" | "sha512", _)) => Ok(value),
        Some((algorithm, _)) => {
            Err(format!("`--hash` takes `sha256`, `sha384` or `sha512`, not `{algorithm}`"))
        }
        None => Err("`--hash` takes an algorithm and a value, as `sha256:…`".to_owned()),
    }
}

/// `--name=value`, `--name`, `-x`, `-xvalue`; `None` for a word that is no option.
fn split_option(word: &str) -> Option<(String, Option<String>)> {
    if word.starts_with("--") {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        return Some((name.to_owned(), value));
    }
    let letter = word.strip_prefix('-')?.chars().next()?;
    let (name, value) = word.split_at(1 + letter.len_utf8());
    Some((name.to_owned(), (!value.is_empty()).then(|| value.to_owned())))
}

/// The option of this name, or the only one that starts with it: `optparse` allows to cut names short.
fn find(name: &str) -> Result<Known, String> {
    if let Some((_, option)) = OPTIONS.iter().find(|(known, _)| *known == name) {
        return Ok(*option);
    }
    let mut matches = OPTIONS.iter().filter(|(known, _)| name.len() > 2 && known.starts_with(name));
    match (matches.next(), matches.next()) {
        (Some((_, option)), None) => Ok(*option),
        (Some((one, _)), Some((two, _))) => Err(format!("`{name}` may mean `{one}` or `{two}`")),
        (None, _) => Err(format!("no such option `{name}`")),
    }
}

/// Splits as Python's `shlex.split`, which is how a POSIX shell quotes.
fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' | '"' => quoted(character, &mut characters, word.get_or_insert_default())?,
            '\\' => {
                let escaped = characters.next().ok_or("nothing follows the last `\\`")?;
                word.get_or_insert_default().push(escaped);
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        let character = characters.next().ok_or_else(|| format!("a `{quote}` is not closed"))?;
        match character {
            _ if character == quote => return Ok(()),
            '\\' if quote == '"' => {
                let escaped = characters.next().ok_or_else(|| format!("a `{quote}` is not closed"))?;
                if escaped != '"' && escaped != '\\' {
                    word.push('\\');
                }
                word.push(escaped);
            }
            _ => word.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_split_as_in_a_shell() {
        let split = |text| split_words(text).unwrap();
        assert_eq!(split(r#"a 'b c' "d\"\e" f\ g "" "#), ["a", "b c", "d\"\\e", "f g", ""]);
        assert!(split_words("'a").is_err() && split_words("\"a\\").is_err() && split_words("a\\").is_err());
    }

    #[test]
    fn options_are_found_as_optparse_finds_them() {
        let parse = |text| LineOptions::parse(text);
        assert_eq!(parse("-rx.txt -c=y").unwrap().requirements, ["x.txt"]);
        assert_eq!(parse("-c=y").unwrap().constraints, ["=y"]);
        assert_eq!(parse("--requirem=x stray --requirement y").unwrap().requirements, ["x", "y"]);
        assert_eq!(parse("--hash sha256:00 -- --bad").unwrap().hashes, ["sha256:00"]);
        for bad in
            ["--bad", "--no", "-x", "--pre=1", "-r", "--hash md5:0", "--hash x", "--no-binary --pre", "--pr"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_later_choice_of_binaries_wins() {
        let mut options = RequirementOptions::default();
        let parsed = LineOptions::parse("--no-binary a,B_b --only-binary :all: --no-binary b-b").unwrap();
        parsed.choose_binaries(&mut options);
        assert_eq!(options.no_binary.into_iter().collect::<Vec<_>>(), ["b-b"]);
        assert_eq!(options.only_binary.into_iter().collect::<Vec<_>>(), [":all:"]);
    }
}
