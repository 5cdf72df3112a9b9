//! What the tables are made of.

use std::ops::RangeInclusive;

use crate::interpolate::boolean;
use crate::node::Value;

/// What a value has to be.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Any,
    Scalar(Scalar),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of such items.
    List(&'static Shape),
    /// A list of such items, none of them twice.
    UniqueList(&'static Shape),
    /// A mapping with these members.
    Object(&'static Object),
    /// A mapping with members of names that the user chooses.
    Members(Names, &'static Shape),
    /// What any of these allows.
    Either(&'static [Shape]),
}

/// A value without parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar {
    pub(crate) kinds: &'static [Kind],
    /// What a text has to mean.
    pub(crate) meaning: Option<&'static Meaning>,
    pub(crate) range: &'static RangeInclusive<i128>,
}

/// A mapping with members of known names.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) members: &'static [(&'static str, Shape)],
    pub(crate) required: &'static [&'static str],
    /// Whether members with `x-` are the user's.
    pub(crate) extensible: bool,
    /// Whether any other members are.
    pub(crate) open: bool,
}

/// Which names members may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) accepts: fn(&str) -> bool,
    /// Whether a member of another name is nobody's business.
    pub(crate) open: bool,
}

/// A kind of text.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) name: &'static str,
    pub(crate) accepts: fn(&str) -> bool,
}

/// A kind of scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Null,
}

impl Kind {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(_) => Some(Self::String),
            Value::Integer(_) => Some(Self::Integer),
            Value::Float(value) if value.fract() == 0.0 => Some(Self::Integer),
            Value::Float(_) => Some(Self::Number),
            Value::Bool(_) => Some(Self::Boolean),
            Value::Null => Some(Self::Null),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether a value of another kind is one of this kind, too.
    pub(crate) fn takes(self, other: Self) -> bool {
        self == other || self == Self::Number && other == Self::Integer
    }

    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }
}

impl Shape {
    /// What such values are, in the words of messages.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let names: Vec<&str> = match self {
            Self::Any => Vec::new(),
            Self::Scalar(scalar) => scalar.kinds.iter().map(|kind| kind.name()).collect(),
            Self::OneOf(_) => vec!["string"],
            Self::List(_) | Self::UniqueList(_) => vec!["list"],
            Self::Object(_) | Self::Members(..) => vec!["mapping"],
            Self::Either(shapes) => return shapes.iter().flat_map(Self::kinds).collect(),
        };
        names.into_iter().map(str::to_owned).collect()
    }

    /// Whether a value is at least of the kind that this describes.
    pub(crate) fn is_kind_of(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Scalar(scalar) => {
                Kind::of(value).is_some_and(|kind| scalar.kinds.iter().any(|allowed| allowed.takes(kind)))
            }
            Self::OneOf(_) => matches!(value, Value::String(_)),
            Self::List(_) | Self::UniqueList(_) => matches!(value, Value::List(_)),
            Self::Object(_) | Self::Members(..) => matches!(value, Value::Map(_)),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.is_kind_of(value)),
        }
    }
}

const ANY_NUMBER: RangeInclusive<i128> = i128::MIN..=i128::MAX;

const fn scalar(kinds: &'static [Kind]) -> Shape {
    Shape::Scalar(Scalar { kinds, meaning: None, range: &ANY_NUMBER })
}

const fn meaning(kinds: &'static [Kind], meaning: &'static Meaning) -> Shape {
    Shape::Scalar(Scalar { kinds, meaning: Some(meaning), range: &ANY_NUMBER })
}

/// An integer within bounds, or a text that stands for one.
pub(crate) const fn integer_in(range: &'static RangeInclusive<i128>) -> Shape {
    Shape::Scalar(Scalar { kinds: &[Kind::String, Kind::Integer], meaning: None, range })
}

/// A mapping with these members and the user's own.
pub(crate) const fn object(members: &'static [(&'static str, Shape)]) -> Object {
    Object { members, required: &[], extensible: true, open: false }
}

/// The same, some of its members required.
pub(crate) const fn object_with(
    required: &'static [&'static str],
    members: &'static [(&'static str, Shape)],
) -> Object {
    Object { members, required, extensible: true, open: false }
}

/// A mapping with these members and no others.
pub(crate) const fn closed(
    required: &'static [&'static str],
    members: &'static [(&'static str, Shape)],
) -> Object {
    Object { members, required, extensible: false, open: false }
}

pub(crate) const STRING: Shape = scalar(&[Kind::String]);
pub(crate) const STRINGS: Shape = Shape::List(&STRING);
pub(crate) const UNIQUE_STRINGS: Shape = Shape::UniqueList(&STRING);
pub(crate) const STRING_OR_LIST: Shape = Shape::Either(&[STRING, UNIQUE_STRINGS]);
pub(crate) const STRING_OR_NULL: Shape = scalar(&[Kind::String, Kind::Null]);
pub(crate) const STRING_OR_NUMBER: Shape = scalar(&[Kind::String, Kind::Number]);
pub(crate) const STRING_OR_BOOLEAN: Shape = scalar(&[Kind::String, Kind::Boolean]);
pub(crate) const STRING_NUMBER_OR_NULL: Shape = scalar(&[Kind::String, Kind::Number, Kind::Null]);
pub(crate) const STRING_NUMBER_OR_BOOLEAN: Shape = scalar(&[Kind::String, Kind::Number, Kind::Boolean]);
pub(crate) const NULL: Shape = scalar(&[Kind::Null]);
pub(crate) const JUST_BOOLEAN: Shape = scalar(&[Kind::Boolean]);
pub(crate) const JUST_INTEGER: Shape = scalar(&[Kind::Integer]);
pub(crate) const JUST_NUMBER: Shape = scalar(&[Kind::Number]);

/// A boolean or a text that says one, and so on.
pub(crate) const BOOLEAN: Shape = meaning(&[Kind::Boolean, Kind::String], &BOOLEAN_TEXT);
pub(crate) const INTEGER: Shape = scalar(&[Kind::Integer, Kind::String]);
pub(crate) const NUMBER: Shape = scalar(&[Kind::Number, Kind::String]);
pub(crate) const DURATION: Shape = meaning(&[Kind::String], &DURATION_TEXT);
pub(crate) const SIZE: Shape = meaning(&[Kind::Number, Kind::String], &SIZE_TEXT);
pub(crate) const WHOLE_SIZE: Shape = meaning(&[Kind::Integer, Kind::String], &SIZE_TEXT);
pub(crate) const SIZE_AS_TEXT: Shape = meaning(&[Kind::String], &SIZE_TEXT);
pub(crate) const DEVICE_COUNT: Shape = meaning(&[Kind::String, Kind::Integer], &DEVICE_COUNT_TEXT);
pub(crate) const PULL_POLICY: Shape = meaning(&[Kind::String], &PULL_POLICY_TEXT);

/// Names of services and the like.
pub(crate) const NAMES: Names = Names { accepts: is_name, open: false };
/// The same, where other names are not looked at.
pub(crate) const OPEN_NAMES: Names = Names { accepts: is_name, open: true };
/// Any name that is one.
pub(crate) const ANY_NAME: Names = Names { accepts: |name| !name.is_empty(), open: false };
/// Any name, an empty one not looked at.
pub(crate) const OPEN: Names = Names { open: true, ..ANY_NAME };
/// Names in lowercase letters; others are not looked at.
pub(crate) const LOWERCASE: Names = Names {
    accepts: |name| !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_lowercase()),
    open: true,
};

const NAME_VALUES: Shape = scalar(&[Kind::String, Kind::Number, Kind::Boolean, Kind::Null]);
/// `NAME=value`s, as a list or as a mapping.
pub(crate) const ASSIGNMENTS: Shape =
    Shape::Either(&[Shape::Members(ANY_NAME, &NAME_VALUES), UNIQUE_STRINGS]);
/// Lines for `/etc/hosts`.
pub(crate) const HOSTS: Shape =
    Shape::Either(&[Shape::Members(ANY_NAME, &Shape::Either(&[STRING, STRINGS])), UNIQUE_STRINGS]);
pub(crate) const COMMAND: Shape = Shape::Either(&[NULL, STRING, STRINGS]);
pub(crate) const OPTIONS: Shape = Shape::Members(OPEN, &STRING_OR_NUMBER);

const BOOLEAN_TEXT: Meaning = Meaning { name: "boolean", accepts: |text| boolean(text).is_some() };
const DURATION_TEXT: Meaning = Meaning { name: "duration", accepts: is_duration };
const SIZE_TEXT: Meaning = Meaning { name: "size", accepts: |text| bytes(text).is_some() };
const DEVICE_COUNT_TEXT: Meaning =
    Meaning { name: "number of devices", accepts: |text| text == "all" || text.parse::<i64>().is_ok() };
/// The schema looks for these anywhere in the text.
const PULL_POLICY_TEXT: Meaning = Meaning {
    name: "pull policy",
    accepts: |text| {
        let policies =
            ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
        policies.iter().any(|policy| text.contains(policy)) || text.contains("every_")
    },
};

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

/// A number with a unit, and so on: `1h30m`, `1.5s`, `2d`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w"];
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
        if !number.bytes().any(|digit| digit.is_ascii_digit()) || !units.contains(&unit) {
            return false;
        }
        rest = after;
    }
    !text.is_empty()
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// A number of bytes with its unit, in powers of 1024: `2gb`, `1.5 MiB`, `-1`.
pub(crate) fn bytes(text: &str) -> Option<i64> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let (number, unit) = split_number(text);
    let number: f64 = number.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_bytes() {
        [] | [b'b'] => 0,
        [prefix] | [prefix, b'b'] | [prefix, b'i', b'b'] => "kmgtp".find(char::from(*prefix))? + 1,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(i32::try_from(power).ok()?);
    #[expect(clippy::cast_precision_loss, reason = "what is beyond is too much in any case")]
    let fits = bytes < i64::MAX as f64;
    fits.then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let cases =
            [("2gb", 2 << 30), ("1.5 MiB", 3 << 19), ("-1", -1), ("10", 10), ("64k", 65536), ("7b", 7)];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for wrong in ["", "b", "1x", "1 gb b", "1.2.3k"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_have_units() {
        for text in ["0", "1h30m", "1.5s", "-2d", "3w1ms", "5µs"] {
            assert!(is_duration(text), "{text}");
        }
        for wrong in ["", "10", "1x", "s", "1h ", "."] {
            assert!(!is_duration(wrong), "{wrong}");
        }
    }
}
