//! What environment variables say to pip and uv.

use std::collections::BTreeMap;

use super::options::{Item, Known, Takes};
use super::shell::Word;
use super::{NotRecognised, Result};

/// The variables of pip, as if they were options before those of the command line.
///
/// pip turns `PIP_INDEX_URL` into the default of `--index-url`, for whatever long name an option has; an empty value is
/// none. Names that pip ignores on purpose are ignored; those that it does not know are refused, for the pip of the image
/// may know them.
pub(super) fn pip_items<M: Copy>(
    environment: &BTreeMap<String, String>,
    table: &'static [Known<M>],
) -> Result<Vec<Item<M>>> {
    let mut items = Vec::new();
    for (name, value) in environment {
        let Some(option) = name.strip_prefix("PIP_") else { continue };
        if value.is_empty() || ["VERSION", "HELP"].contains(&option) {
            continue;
        }
        if option == "CONFIG_FILE" && value == "/dev/null" {
            continue;
        }
        let long = format!("--{}", option.to_ascii_lowercase().replace('_', "-"));
        let known = table.iter().find(|known| known.names.contains(&long.as_str()));
        let known =
            known.ok_or_else(|| NotRecognised::new(name, "is a setting of pip that is not understood"))?;
        let word = Word { text: format!("{name}={value}"), span: None, is_pattern: false };
        let mut push = |meaning, value: &str| {
            items.push(Item::Option { meaning, value: value.to_owned(), word: word.clone() });
        };
        match known.takes {
            Takes::Nothing if truth(name, value)? => push(known.meaning, ""),
            Takes::Nothing => {}
            Takes::Negation(opposite) if truth(name, value)? => push(opposite, ""),
            Takes::Negation(_) => push(known.meaning, ""),
            Takes::One => push(known.meaning, value),
            Takes::Many => value.split_ascii_whitespace().for_each(|value| push(known.meaning, value)),
        }
    }
    Ok(items)
}

/// A variable of uv, and what it means.
pub(super) struct Variable<M: 'static> {
    /// Its name without `UV_`.
    pub(super) name: &'static str,
    /// Whether and how its value is cut.
    pub(super) kind: Kind,
    /// What it means.
    pub(super) meaning: M,
}

/// How a variable's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `1`, `true`, `yes`, `on`, or their opposites.
    Flag,
    /// One value.
    One,
    /// Values with spaces between.
    Spaces,
    /// Values with commas between.
    Commas,
}

/// The variables of uv, as if they were options before those of the command line. An empty one is none.
pub(super) fn uv_items<M: Copy>(
    environment: &BTreeMap<String, String>,
    table: &'static [Variable<M>],
) -> Result<Vec<Item<M>>> {
    let mut items = Vec::new();
    for (name, value) in environment {
        let Some(short) = name.strip_prefix("UV_") else { continue };
        if value.is_empty() {
            continue;
        }
        let variable = table.iter().find(|variable| variable.name == short);
        let variable =
            variable.ok_or_else(|| NotRecognised::new(name, "is a setting of uv that is not understood"))?;
        let word = Word { text: format!("{name}={value}"), span: None, is_pattern: false };
        let values: Vec<&str> = match variable.kind {
            Kind::Flag if !truth(name, value)? => Vec::new(),
            Kind::Flag => vec![""],
            Kind::One => vec![value],
            Kind::Spaces => value.split_ascii_whitespace().collect(),
            Kind::Commas => value.split(',').map(str::trim).filter(|value| !value.is_empty()).collect(),
        };
        let item = |value: &str| {
            let value = value.to_owned();
            Item::Option { meaning: variable.meaning, value, word: word.clone() }
        };
        items.extend(values.into_iter().map(item));
    }
    Ok(items)
}

/// The words that both tools take for yes and no.
fn truth(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Ok(false),
        _ => Err(NotRecognised::new(format!("{name}={value}"), "says neither yes nor no")),
    }
}
