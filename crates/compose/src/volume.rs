//! The short form of a volume: `source:target:options`.

use crate::error::{Error, Place, Result};
use crate::node::{Node, Value};

/// A volume in its short form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    source: String,
    pub(crate) target: String,
}

impl Volume {
    pub(crate) fn parse(text: &str, place: &Place) -> Result<Self> {
        let refuse = |why: &str| Error::invalid(place, format!("volume `{text}` {why}"));
        if text.is_empty() {
            return Err(refuse("says nothing"));
        }
        if text.len() <= 2 {
            return Ok(Self { source: String::new(), target: text.to_owned() });
        }
        let parts = split(text);
        if parts.iter().any(|part| part.is_empty()) {
            return Err(refuse("has nothing between two colons"));
        }
        match parts.as_slice() {
            [target] => Ok(Self { source: String::new(), target: (*target).to_owned() }),
            [source, target] | [source, target, _] => {
                Ok(Self { source: (*source).to_owned(), target: (*target).to_owned() })
            }
            _ => Err(refuse("has too many colons")),
        }
    }

    /// The same in its long form, as far as anything here asks for it.
    pub(crate) fn node(self, place: &Place) -> Node {
        let kind = if is_path(&self.source) { "bind" } else { "volume" };
        let mut members = vec![("type", kind.to_owned()), ("target", self.target)];
        if !self.source.is_empty() {
            members.push(("source", self.source));
        }
        Node::map(members.into_iter().map(|(name, text)| (name, Value::String(text))), place)
    }
}

/// The parts between colons, other than the one after the letter of a Windows drive.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (index, _) in text.match_indices(':') {
        let part = text.get(begin..index).unwrap_or_default();
        if !is_letter(part) {
            parts.push(part);
            begin = index + 1;
        }
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

fn is_letter(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none()
}

fn is_path(source: &str) -> bool {
    let drive = source.split_once(':').is_some_and(|(drive, _)| is_letter(drive));
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || drive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_a_source_a_target_and_options() {
        let place = Place::whole(std::path::Path::new("compose.yaml"));
        let cases = [
            ("/data", "map[target:/data type:volume]"),
            ("name:/data:ro", "map[source:name target:/data type:volume]"),
            ("./x:/data", "map[source:./x target:/data type:bind]"),
            ("C:\\x:/data", "map[source:C:\\x target:/data type:bind]"),
        ];
        for (text, expected) in cases {
            assert_eq!(Volume::parse(text, &place).unwrap().node(&place).text(), expected);
        }
        for wrong in ["", "ab::c", "aa:bb:cc:dd", ":/data"] {
            assert!(Volume::parse(wrong, &place).is_err(), "{wrong}");
        }
    }
}
