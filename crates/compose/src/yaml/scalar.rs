//! What a scalar means. YAML 1.1 and 1.2 disagree; Compose means what Go's YAML library takes from both.
//!
//! `yes`, `no`, `on` and `off` are strings; `0755` is octal, and so is `0o755`; `1_000` is a number; a plain `2024-01-15`
//! is a date, which becomes a string that says so at length.

use crate::node::Value;

/// The value of a plain scalar without a tag.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => Value::Float(-0.0),
        _ => match date(text) {
            Some(date) => Value::String(date),
            None => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
        },
    }
}

/// The value of a scalar with one of YAML's own tags; `None` if it has no such value.
pub(crate) fn tagged(tag: &str, text: &str) -> Option<Value> {
    match (tag, plain(text)) {
        #[expect(clippy::cast_precision_loss, reason = "a float is what was asked for")]
        ("float", Value::Integer(value)) => Some(Value::Float(value as f64)),
        ("bool", value @ Value::Bool(_))
        | ("int", value @ Value::Integer(_))
        | ("float", value @ Value::Float(_))
        | ("null", value @ Value::Null) => Some(value),
        ("bool" | "int" | "float" | "null", _) => None,
        _ => Some(Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let digits = text.replace('_', "");
    if let Some(value) = integer(&digits) {
        return Some(Value::Integer(value));
    }
    if is_float(&digits) { digits.parse().ok().map(Value::Float) } else { None }
}

/// An integer of 64 bits in the notations of Go: decimal, `0x`, `0b`, `0o`, and octal after a zero.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = sign * i128::from(u64::from_str_radix(digits, radix).ok()?);
    (value >= i128::from(i64::MIN)).then_some(value)
}

fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let some = !whole.is_empty() || !fraction.is_empty();
    some && digits(whole) && digits(fraction) && exponent.is_none_or(|text| !text.is_empty() && digits(text))
}

/// A date alone, in the form that a time has where Compose prints it into a string.
fn date(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str, width: usize| {
        let fits = (1..=width).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
        fits.then(|| part.parse::<u32>().ok()).flatten()
    };
    let (month, day) = (number(month, 2)?, number(day, 2)?);
    let year = number(year, 4).filter(|_| year.len() == 4)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    let valid = parts.next().is_none() && (1..=days).contains(&day);
    valid.then(|| format!("{year:04}-{month:02}-{day:02} 00:00:00 +0000 UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        let cases = [
            ("0755", 493),
            ("0o17", 15),
            ("0x1F", 31),
            ("-0b11", -3),
            ("1_000", 1000),
            ("+5", 5),
            ("18446744073709551615", i128::from(u64::MAX)),
        ];
        for (text, value) in cases {
            assert_eq!(plain(text), Value::Integer(value), "{text}");
        }
        assert_eq!(plain("1e3"), Value::Float(1000.0));
        assert_eq!(plain(".5"), Value::Float(0.5));
        assert_eq!(plain("08"), Value::Float(8.0));
        assert_eq!(plain("3.10"), Value::Float(3.1));
    }

    #[test]
    fn what_is_no_number_is_a_string() {
        for text in ["yes", "no", "on", "1.2.3", "0x", "1e", ".", "-", "80:80", "1-2", "2024-02-30"] {
            assert_eq!(plain(text), Value::String(text.to_owned()));
        }
    }

    #[test]
    fn a_date_is_spelled_out() {
        assert_eq!(plain("2024-2-29"), Value::String("2024-02-29 00:00:00 +0000 UTC".to_owned()));
    }

    #[test]
    fn tags_decide_what_a_scalar_is() {
        assert_eq!(tagged("str", "1"), Some(Value::String("1".to_owned())));
        assert_eq!(tagged("float", "1"), Some(Value::Float(1.0)));
        assert_eq!(tagged("int", "x"), None);
    }
}
