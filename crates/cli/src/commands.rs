//! The commands, one file each.

mod build;
mod images;
mod validate;

pub(crate) use build::build;
pub(crate) use images::images;
pub(crate) use validate::validate;
