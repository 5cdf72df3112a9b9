//! The document as a whole, and what services share.

use super::service::SERVICE;
use super::shape::{
    ANY_NAME, ASSIGNMENTS, BOOLEAN, JUST_INTEGER, NAMES, NULL, OPEN_NAMES, OPTIONS, Object, STRING,
    STRING_OR_LIST, STRINGS, Shape, closed, object, object_with,
};

/// A Compose file.
pub(super) const DOCUMENT: Object = object(&[
    ("configs", Shape::Members(NAMES, &Shape::Object(&CONFIG))),
    ("include", Shape::List(&Shape::Either(&[STRING, Shape::Object(&INCLUDE)]))),
    ("models", Shape::Members(OPEN_NAMES, &Shape::Object(&MODEL))),
    ("name", STRING),
    ("networks", Shape::Members(OPEN_NAMES, &Shape::Either(&[NULL, Shape::Object(&NETWORK)]))),
    ("secrets", Shape::Members(NAMES, &Shape::Object(&SECRET))),
    ("services", Shape::Members(NAMES, &Shape::Object(&SERVICE))),
    ("version", STRING),
    ("volumes", Shape::Members(NAMES, &Shape::Either(&[NULL, Shape::Object(&VOLUME)]))),
]);

const INCLUDE: Object =
    closed(&[], &[("env_file", STRING_OR_LIST), ("path", STRING_OR_LIST), ("project_directory", STRING)]);

/// The long form is an old one, of which only the name was ever read.
const EXTERNAL: Shape = Shape::Either(&[BOOLEAN, Shape::Object(&object(&[("name", STRING)]))]);
const OPEN_EXTERNAL: Shape = Shape::Either(&[
    BOOLEAN,
    Shape::Object(&Object { members: &[("name", STRING)], required: &[], extensible: true, open: true }),
]);

const NETWORK: Object = object(&[
    ("attachable", BOOLEAN),
    ("driver", STRING),
    ("driver_opts", OPTIONS),
    ("enable_ipv4", BOOLEAN),
    ("enable_ipv6", BOOLEAN),
    ("external", EXTERNAL),
    ("internal", BOOLEAN),
    ("ipam", Shape::Object(&IPAM)),
    ("labels", ASSIGNMENTS),
    ("name", STRING),
]);

const IPAM: Object = object(&[
    ("config", Shape::List(&Shape::Object(&SUBNET))),
    ("driver", STRING),
    ("options", Shape::Members(ANY_NAME, &STRING)),
]);

const SUBNET: Object = object(&[
    ("aux_addresses", Shape::Members(ANY_NAME, &STRING)),
    ("gateway", STRING),
    ("ip_range", STRING),
    ("subnet", STRING),
]);

const VOLUME: Object = object(&[
    ("driver", STRING),
    ("driver_opts", OPTIONS),
    ("external", EXTERNAL),
    ("labels", ASSIGNMENTS),
    ("name", STRING),
]);

const SECRET: Object = object(&[
    ("driver", STRING),
    ("driver_opts", OPTIONS),
    ("environment", STRING),
    ("external", OPEN_EXTERNAL),
    ("file", STRING),
    ("labels", ASSIGNMENTS),
    ("name", STRING),
    ("template_driver", STRING),
]);

const CONFIG: Object = object(&[
    ("content", STRING),
    ("environment", STRING),
    ("external", OPEN_EXTERNAL),
    ("file", STRING),
    ("labels", ASSIGNMENTS),
    ("name", STRING),
    ("template_driver", STRING),
]);

const MODEL: Object = object_with(
    &["model"],
    &[("context_size", JUST_INTEGER), ("model", STRING), ("name", STRING), ("runtime_flags", STRINGS)],
);
