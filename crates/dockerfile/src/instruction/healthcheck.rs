//! `HEALTHCHECK`, and durations as Go reads and writes them.

use crate::diagnostic::{Code, Diagnostic};
use crate::instruction::flags::{Flags, Takes};
use crate::instruction::{argument_count, shell_or_exec};
use crate::span::Word;
use crate::step::Healthcheck;
use crate::syntax::Node;

const FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Text),
    ("timeout", Takes::Text),
    ("start-period", Takes::Text),
    ("start-interval", Takes::Text),
    ("retries", Takes::Text),
];

/// Reads the instruction.
pub(super) fn parse(node: &Node) -> Result<Healthcheck, Diagnostic> {
    let (kind, command) =
        node.arguments.split_first().ok_or_else(|| argument_count(node, "at least one argument"))?;
    let wrong = |message: String| Diagnostic::new(Code::Healthcheck, message, kind.span);
    let name = kind.value.to_uppercase();
    if name == "NONE" {
        let none = Healthcheck { test: vec![name], ..Healthcheck::default() };
        return if command.is_empty() {
            Ok(none)
        } else {
            Err(wrong("`HEALTHCHECK NONE` takes no arguments".into()))
        };
    }
    let flags = Flags::parse(node, &FLAGS)?;
    if name != "CMD" {
        return Err(wrong(format!("`HEALTHCHECK {name}` is unknown")).with_help("it is `CMD` or `NONE`"));
    }
    let command = shell_or_exec(command, node.json);
    if command.is_empty() {
        return Err(wrong("`HEALTHCHECK CMD` has no command".into()));
    }
    let kind = if node.json { "CMD" } else { "CMD-SHELL" };
    Ok(Healthcheck {
        test: [vec![kind.to_owned()], command].concat(),
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: flags.text("retries").map_or(Ok(0), |word| retries(&word))?,
    })
}

fn retries(word: &Word) -> Result<u32, Diagnostic> {
    let number = word.value.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
    let message = format!("`--retries` cannot be `{}`", word.value);
    number.ok_or_else(|| {
        Diagnostic::new(Code::Healthcheck, message, word.span).with_help("it is a number from 0 on")
    })
}

fn interval(flags: &Flags, name: &str) -> Result<i64, Diagnostic> {
    let Some(word) = flags.text(name) else { return Ok(0) };
    let wrong = |problem: &str| {
        let message = format!("`--{name}` cannot be `{}`{problem}", word.value);
        Diagnostic::new(Code::Healthcheck, message, word.span)
    };
    match parse_duration(&word.value) {
        Some(0) => Ok(0),
        Some(time) if time < 1_000_000 => Err(wrong(": it is less than `1ms`")),
        Some(time) => Ok(time),
        None => Err(wrong("").with_help("it is written as `30s` or `1m30s`")),
    }
}

const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// Nanoseconds of a duration as Go writes it: `1h2m3.5s`, `-1ms`, `0`.
fn parse_duration(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() || total == 0.0 {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok().filter(|_| number != ".")? * scale;
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    let total = if negative { -total } else { total };
    (total.abs() < 9.2e18).then_some(total.round() as i64)
}

/// A duration as Go writes it.
pub(crate) fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let decimal = |value: u64, scale: u64| {
        let width = scale.ilog10() as usize;
        let fraction = format!("{:0width$}", value % scale);
        let fraction = if scale == 1 { "" } else { fraction.trim_end_matches('0') };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{}{point}{fraction}", value / scale)
    };
    let text = match total {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{total}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(total, 1_000_000)),
        _ => {
            let (hours, minutes) = (total / 3_600_000_000_000, total / 60_000_000_000 % 60);
            let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, nanoseconds, shown) in [
            ("30s", 30_000_000_000, "30s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("1500ms", 1_500_000_000, "1.5s"),
            ("2ms", 2_000_000, "2ms"),
            ("1500us", 1_500_000, "1.5ms"),
            ("7ns", 7, "7ns"),
            ("0", 0, "0s"),
            ("-1s", -1_000_000_000, "-1s"),
        ] {
            assert_eq!(parse_duration(text), Some(nanoseconds), "{text}");
            assert_eq!(format_duration(nanoseconds), shown);
        }
        for text in ["", "3", "s", ".s", "1x", "1s2", "-", "1 s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
