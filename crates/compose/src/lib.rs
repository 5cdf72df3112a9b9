//! Compose files, as far as building images needs them.
//!
//! A team that has a Compose file has said there how each image is built. This crate says it back: a [`Project`] of
//! [`Service`]s, each with its [`Build`], paths absolute, variables replaced, in the order in which they can be built.
//! It reads files and nothing else; the environment is given to it.
//!
//! The oracle is compose-go, which `docker compose` is made of: what it accepts is accepted here, what it refuses is
//! refused, also in the parts of a file that no build looks at. Every mistake has its place: file, line and column.
//!
//! # From files to a project
//!
//! ```text
//! which files, variables, name            find       -f, COMPOSE_FILE, compose.yaml + its override; .env
//! for each file:
//!   text ─► values, each with its place   yaml       aliases, <<, !reset, !override
//!   variables replaced                    interpolate, template
//!   other files brought in                load::include
//!   services completed by others          load::extends
//!   added to what was read before         merge, unique
//!   checked                               schema
//!   short forms written out               canonical
//! checked part by part, paths absolute    check, location
//! what is meant and not said              normal
//! services by profile, checked together   project, consistency
//! ```
//!
//! Everything up to the last line works on one kind of value, a `Node`: null, a scalar, a list or a mapping, and where it
//! was written. What applies to some of them is a table of paths: `services.*.build.args` is merged as a list, and so on.
//!
//! # Where the schema is from
//!
//! The specification's JSON schema says which keys there are. The tables in `schema` say the same, in the project's own
//! words, and in addition what compose-go finds wrong only when it reads a text as a duration or a size. A JSON schema
//! validator would have brought some forty crates for that, and messages without a place.
//!
//! # The YAML parser
//!
//! `granit-parser` gives events with places. Of the parsers that are kept, `saphyr-parser` refuses a flow collection that
//! ends in the first column, which Go's library and many files know; `libyaml-safer`, like Go's a port of libyaml, agrees
//! with it best, and panicked in 107 of 314,490 damaged files, in which `granit-parser` gave errors; `serde-saphyr` reads into types and has lost tags and places by
//! then; `serde_yaml` is not kept any more. What scalars mean is decided here, for YAML 1.1 and 1.2 differ there, and Go's
//! library from both.
//!
//! # What is not here
//!
//! Files from Git repositories or registries in `include` and `extends` (a file of someone else's that says what is built
//! from which directory is no small matter), and the rest of a service: how it runs is `docker compose`'s to say.
#![forbid(unsafe_code)]

mod build;
mod canonical;
mod check;
mod consistency;
mod dotenv;
mod error;
mod find;
mod interpolate;
mod load;
mod location;
mod merge;
mod node;
mod normal;
mod order;
mod path;
mod project;
mod schema;
mod template;
mod unique;
mod volume;
mod yaml;

pub use build::{Build, Secret, SecretSource};
pub use error::{Error, ErrorKind, Place, Result};
pub use find::LoadOptions;
pub use interpolate::UnsetVariable;
pub use project::{Project, Service};
