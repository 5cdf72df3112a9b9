//! The crate from outside: wheels in, verdicts and installed files out.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod destinations;
mod fetch;
mod hostile;
mod requirements;
mod resolve;
