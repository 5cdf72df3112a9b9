//! A document as values, each with the place where it was written.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::error::Place;

/// A value of a document and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// What YAML can say. The reference implementation reads documents into the same kinds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Every integer that YAML implementations agree on, with or without a sign.
    Integer(i128),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Map),
}

/// Members of a mapping, by name: nothing in a Compose file depends on their order.
pub(crate) type Map = BTreeMap<Key, Node>;

/// A member's name, and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) place: Place,
}

impl Node {
    pub(crate) fn new(value: Value, place: &Place) -> Self {
        Self { value, place: place.clone() }
    }

    /// A string that was written as a part of something else at `place`.
    pub(crate) fn string(text: impl Into<String>, place: &Place) -> Self {
        Self::new(Value::String(text.into()), place)
    }

    /// A mapping that stands for a short form at `place`.
    pub(crate) fn map(members: impl IntoIterator<Item = (impl Into<String>, Value)>, place: &Place) -> Self {
        let members =
            members.into_iter().map(|(name, value)| (Key::new(name, place), Self::new(value, place)));
        Self::new(Value::Map(members.collect()), place)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The member of a mapping, unless it is null.
    pub(crate) fn member(&self, name: &str) -> Option<&Node> {
        self.as_map()?.get(name).filter(|member| !member.is_null())
    }

    /// The text of a member.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.member(name)?.as_str()
    }

    /// What kind of value it is, in the words of messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The value as one line of text, where Compose takes any scalar for a string: as Go prints it.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Value::Null => String::new(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => float_text(*value),
            Value::String(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Self::text).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(map) => {
                let members: Vec<String> =
                    map.iter().map(|(key, node)| format!("{}:{}", key.name, node.text())).collect();
                format!("map[{}]", members.join(" "))
            }
        }
    }
}

/// Places say nothing about what a value is.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Key {
    pub(crate) fn new(name: impl Into<String>, place: &Place) -> Self {
        Self { name: name.into(), place: place.clone() }
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.name
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The shortest digits that give the same number, with an exponent where Go writes one.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_printed_as_go_prints_them() {
        let cases = [(1.5, "1.5"), (3.0, "3"), (100_000.0, "100000"), (1e6, "1e+06"), (1.5e-5, "1.5e-05")];
        for (value, text) in cases {
            assert_eq!(float_text(value), text);
        }
        assert_eq!(float_text(f64::NEG_INFINITY), "-Inf");
    }
}
