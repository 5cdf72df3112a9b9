//! The oracle's own test: helpers that cannot complain would make every image look right.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod oracle;
