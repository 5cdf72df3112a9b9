//! The oracle's own test: helpers that cannot complain would make every image look right.

mod oracle;
