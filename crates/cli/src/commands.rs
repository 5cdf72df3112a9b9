//! The commands, one file each.

pub(crate) mod build;
mod check;
mod compose;
mod copy;
mod images;
mod inspect;
pub(crate) mod load;
mod pull;
mod push;
mod rmi;
mod run;
pub(crate) mod save;
mod tag;
mod validate;

pub(crate) use build::{build, plan};
pub(crate) use check::{check, check_build};
pub(crate) use compose::compose;
pub(crate) use copy::copy;
pub(crate) use images::images;
pub(crate) use inspect::inspect;
pub(crate) use load::load;
pub(crate) use pull::pull;
pub(crate) use push::push;
pub(crate) use rmi::rmi;
pub(crate) use run::run;
pub(crate) use save::save;
pub(crate) use tag::tag;
pub(crate) use validate::validate;
