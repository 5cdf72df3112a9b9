//! What services are given when they run: nothing that a build looks at, but mistakes in it are mistakes.

use super::shape::{
    ASSIGNMENTS, BOOLEAN, COMMAND, DEVICE_COUNT, DURATION, INTEGER, JUST_BOOLEAN, NUMBER, Object,
    SIZE_AS_TEXT, STRING, STRING_OR_LIST, STRINGS, Shape, UNIQUE_STRINGS, object, object_with,
};

pub(super) const DEPLOY: Object = object(&[
    ("endpoint_mode", STRING),
    ("labels", ASSIGNMENTS),
    ("mode", STRING),
    ("placement", Shape::Object(&PLACEMENT)),
    ("replicas", INTEGER),
    ("resources", Shape::Object(&RESOURCES)),
    ("restart_policy", Shape::Object(&RESTART_POLICY)),
    ("rollback_config", Shape::Object(&UPDATE)),
    ("update_config", Shape::Object(&UPDATE)),
]);

const PLACEMENT: Object = object(&[
    ("constraints", STRINGS),
    ("max_replicas_per_node", INTEGER),
    ("preferences", Shape::List(&Shape::Object(&object(&[("spread", STRING)])))),
]);

const RESOURCES: Object = object(&[
    ("limits", Shape::Object(&object(&[("cpus", NUMBER), ("memory", SIZE_AS_TEXT), ("pids", INTEGER)]))),
    (
        "reservations",
        Shape::Object(&object(&[
            ("cpus", NUMBER),
            ("devices", DEVICES),
            ("generic_resources", Shape::List(&Shape::Object(&GENERIC_RESOURCE))),
            ("memory", SIZE_AS_TEXT),
        ])),
    ),
]);

const GENERIC_RESOURCE: Object =
    object(&[("discrete_resource_spec", Shape::Object(&object(&[("kind", STRING), ("value", NUMBER)])))]);

const RESTART_POLICY: Object =
    object(&[("condition", STRING), ("delay", DURATION), ("max_attempts", INTEGER), ("window", DURATION)]);

const UPDATE: Object = object(&[
    ("delay", DURATION),
    ("failure_action", STRING),
    ("max_failure_ratio", NUMBER),
    ("monitor", DURATION),
    ("order", Shape::OneOf(&["start-first", "stop-first"])),
    ("parallelism", INTEGER),
]);

const DEVICE_REQUEST: &[(&str, Shape)] = &[
    ("capabilities", UNIQUE_STRINGS),
    ("count", DEVICE_COUNT),
    ("device_ids", UNIQUE_STRINGS),
    ("driver", STRING),
    ("options", ASSIGNMENTS),
];
const DEVICES: Shape = Shape::List(&Shape::Object(&object_with(&["capabilities"], DEVICE_REQUEST)));
pub(super) const GPUS: Shape = Shape::Either(&[
    Shape::OneOf(&["all"]),
    Shape::List(&Shape::Object(&Object {
        members: DEVICE_REQUEST,
        required: &[],
        extensible: true,
        open: true,
    })),
]);

pub(super) const DEVELOP: Object = object(&[("watch", Shape::List(&Shape::Object(&WATCH)))]);

const WATCH: Object = object_with(
    &["path", "action"],
    &[
        ("action", Shape::OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        ("exec", Shape::Object(&HOOK)),
        ("ignore", STRING_OR_LIST),
        ("include", STRING_OR_LIST),
        ("initial_sync", JUST_BOOLEAN),
        ("path", STRING),
        ("target", STRING),
    ],
);

pub(super) const HOOK: Object = object_with(
    &["command"],
    &[
        ("command", COMMAND),
        ("environment", ASSIGNMENTS),
        ("privileged", BOOLEAN),
        ("user", STRING),
        ("working_dir", STRING),
    ],
);

pub(super) const PRE_START_HOOK: Object = object(&[
    ("command", COMMAND),
    ("environment", ASSIGNMENTS),
    ("image", STRING),
    ("per_replica", BOOLEAN),
    ("privileged", BOOLEAN),
    ("user", STRING),
    ("working_dir", STRING),
]);
