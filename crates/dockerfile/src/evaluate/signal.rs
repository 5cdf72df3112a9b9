//! The signals that `STOPSIGNAL` knows.

const NAMES: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX", "RTMIN+15",
];

/// Whether a signal is a number other than 0, or a name, with or without `SIG`.
pub(super) fn is_known(signal: &str) -> bool {
    if let Ok(number) = signal.parse::<i64>() {
        return number != 0;
    }
    let name = signal.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let plain = |digits: &str| !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = |digits: &str, most: u8| {
        digits.parse::<u8>().is_ok_and(|number| (1..=most).contains(&number)) && plain(digits)
    };
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN+").is_some_and(|digits| number(digits, 15))
        || name.strip_prefix("RTMAX-").is_some_and(|digits| number(digits, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for signal in ["9", "-9", "kill", "SIGTERM", "sigrtmin+3", "RTMAX-14"] {
            assert!(is_known(signal), "{signal}");
        }
        for signal in ["0", "", "SIG", "FOO", "RTMIN+16", "RTMIN+0", "RTMAX-15", "RTMIN+03", "SIGSIGTERM"] {
            assert!(!is_known(signal), "{signal}");
        }
    }
}
