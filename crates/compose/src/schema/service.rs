//! Services.

use super::deploy::{DEPLOY, DEVELOP, GPUS, HOOK, PRE_START_HOOK};
use super::shape::{
    ASSIGNMENTS, BOOLEAN, COMMAND, DURATION, HOSTS, INTEGER, JUST_BOOLEAN, JUST_NUMBER, LOWERCASE, NAMES,
    NULL, NUMBER, OPEN, OPEN_NAMES, OPTIONS, Object, PULL_POLICY, SIZE, STRING, STRING_NUMBER_OR_BOOLEAN,
    STRING_NUMBER_OR_NULL, STRING_OR_BOOLEAN, STRING_OR_LIST, STRING_OR_NULL, STRING_OR_NUMBER, STRINGS,
    Shape, UNIQUE_STRINGS, WHOLE_SIZE, closed, integer_in, object, object_with,
};

/// A service.
pub(crate) const SERVICE: Object = object(&[
    ("annotations", ASSIGNMENTS),
    ("attach", BOOLEAN),
    ("blkio_config", Shape::Object(&BLKIO)),
    ("build", Shape::Either(&[STRING, Shape::Object(&BUILD)])),
    ("cap_add", UNIQUE_STRINGS),
    ("cap_drop", UNIQUE_STRINGS),
    ("cgroup", Shape::OneOf(&["host", "private"])),
    ("cgroup_parent", STRING),
    ("command", COMMAND),
    ("configs", MOUNTED_FILES),
    ("container_name", STRING),
    ("cpu_count", integer_in(&(0..=i128::MAX))),
    ("cpu_percent", integer_in(&(0..=100))),
    ("cpu_period", NUMBER),
    ("cpu_quota", NUMBER),
    ("cpu_rt_period", NUMBER),
    ("cpu_rt_runtime", NUMBER),
    ("cpu_shares", NUMBER),
    ("cpus", NUMBER),
    ("cpuset", STRING),
    (
        "credential_spec",
        Shape::Object(&object(&[("config", STRING), ("file", STRING), ("registry", STRING)])),
    ),
    ("depends_on", Shape::Either(&[UNIQUE_STRINGS, Shape::Members(NAMES, &Shape::Object(&DEPENDENCY))])),
    ("deploy", Shape::Either(&[NULL, Shape::Object(&DEPLOY)])),
    ("develop", Shape::Either(&[NULL, Shape::Object(&DEVELOP)])),
    ("device_cgroup_rules", UNIQUE_STRINGS),
    ("devices", Shape::List(&Shape::Either(&[STRING, Shape::Object(&DEVICE)]))),
    ("dns", STRING_OR_LIST),
    ("dns_opt", UNIQUE_STRINGS),
    ("dns_search", STRING_OR_LIST),
    ("domainname", STRING),
    ("entrypoint", COMMAND),
    ("env_file", Shape::Either(&[STRING, Shape::List(&Shape::Either(&[STRING, Shape::Object(&ENV_FILE)]))])),
    ("environment", ASSIGNMENTS),
    ("expose", Shape::UniqueList(&STRING_OR_NUMBER)),
    ("extends", Shape::Either(&[STRING, Shape::Object(&EXTENDS)])),
    ("external_links", UNIQUE_STRINGS),
    ("extra_hosts", HOSTS),
    ("gpus", GPUS),
    ("group_add", Shape::UniqueList(&STRING_OR_NUMBER)),
    ("healthcheck", Shape::Object(&HEALTHCHECK)),
    ("hostname", STRING),
    ("image", STRING),
    ("init", BOOLEAN),
    ("ipc", STRING),
    ("isolation", STRING),
    ("label_file", Shape::Either(&[STRING, STRINGS])),
    ("labels", ASSIGNMENTS),
    ("links", UNIQUE_STRINGS),
    ("logging", Shape::Object(&LOGGING)),
    ("mac_address", STRING),
    ("mem_limit", SIZE),
    ("mem_reservation", WHOLE_SIZE),
    ("mem_swappiness", WHOLE_SIZE),
    ("memswap_limit", SIZE),
    ("models", Shape::Either(&[UNIQUE_STRINGS, Shape::Members(OPEN_NAMES, &MODEL_USE)])),
    ("network_mode", STRING),
    ("networks", Shape::Either(&[UNIQUE_STRINGS, Shape::Members(NAMES, &NETWORK_USE)])),
    ("oom_kill_disable", BOOLEAN),
    ("oom_score_adj", integer_in(&(-1000..=1000))),
    ("pid", STRING_OR_NULL),
    ("pids_limit", NUMBER),
    ("platform", STRING),
    ("ports", Shape::UniqueList(&Shape::Either(&[STRING_OR_NUMBER, Shape::Object(&PORT)]))),
    ("post_start", Shape::List(&Shape::Object(&HOOK))),
    ("pre_start", Shape::List(&Shape::Object(&PRE_START_HOOK))),
    ("pre_stop", Shape::List(&Shape::Object(&HOOK))),
    ("privileged", BOOLEAN),
    ("profiles", UNIQUE_STRINGS),
    ("provider", Shape::Object(&PROVIDER)),
    ("pull_policy", PULL_POLICY),
    ("pull_refresh_after", STRING),
    ("read_only", BOOLEAN),
    ("restart", STRING),
    ("runtime", STRING),
    ("scale", INTEGER),
    ("secrets", MOUNTED_FILES),
    ("security_opt", UNIQUE_STRINGS),
    ("shm_size", SIZE),
    ("stdin_open", BOOLEAN),
    ("stop_grace_period", DURATION),
    ("stop_signal", STRING),
    ("storage_opt", Shape::Members(OPEN, &Shape::Any)),
    ("sysctls", ASSIGNMENTS),
    ("tmpfs", STRING_OR_LIST),
    ("tty", BOOLEAN),
    ("ulimits", ULIMITS),
    ("use_api_socket", JUST_BOOLEAN),
    ("user", STRING),
    ("userns_mode", STRING),
    ("uts", STRING),
    ("volumes", Shape::UniqueList(&Shape::Either(&[STRING, Shape::Object(&VOLUME)]))),
    ("volumes_from", UNIQUE_STRINGS),
    ("working_dir", STRING),
]);

const BUILD: Object = object(&[
    ("additional_contexts", ASSIGNMENTS),
    ("args", ASSIGNMENTS),
    ("cache_from", STRINGS),
    ("cache_to", STRINGS),
    ("context", STRING),
    ("dockerfile", STRING),
    ("dockerfile_inline", STRING),
    ("entitlements", STRINGS),
    ("extra_hosts", HOSTS),
    ("isolation", STRING),
    ("labels", ASSIGNMENTS),
    ("network", STRING),
    ("no_cache", BOOLEAN),
    ("no_cache_filter", STRING_OR_LIST),
    ("platforms", STRINGS),
    ("privileged", BOOLEAN),
    ("provenance", STRING_OR_BOOLEAN),
    ("pull", BOOLEAN),
    ("sbom", STRING_OR_BOOLEAN),
    ("secrets", MOUNTED_FILES),
    ("shm_size", WHOLE_SIZE),
    ("ssh", ASSIGNMENTS),
    ("tags", STRINGS),
    ("target", STRING),
    ("ulimits", ULIMITS),
]);

const BLKIO: Object = closed(
    &[],
    &[
        ("device_read_bps", BLKIO_LIMITS),
        ("device_read_iops", BLKIO_LIMITS),
        ("device_write_bps", BLKIO_LIMITS),
        ("device_write_iops", BLKIO_LIMITS),
        ("weight", INTEGER),
        (
            "weight_device",
            Shape::List(&Shape::Object(&closed(&[], &[("path", STRING), ("weight", INTEGER)]))),
        ),
    ],
);
const BLKIO_LIMITS: Shape =
    Shape::List(&Shape::Object(&closed(&[], &[("path", STRING), ("rate", WHOLE_SIZE)])));

const CONDITIONS: &[&str] = &["service_started", "service_healthy", "service_completed_successfully"];
const DEPENDENCY: Object = object_with(
    &["condition"],
    &[("condition", Shape::OneOf(CONDITIONS)), ("required", JUST_BOOLEAN), ("restart", BOOLEAN)],
);

const DEVICE: Object =
    object_with(&["source"], &[("source", STRING), ("target", STRING), ("permissions", STRING)]);

const ENV_FILE: Object = closed(&["path"], &[("path", STRING), ("format", STRING), ("required", BOOLEAN)]);

const EXTENDS: Object = closed(&["service"], &[("service", STRING), ("file", STRING)]);

const HEALTHCHECK: Object = object(&[
    ("disable", BOOLEAN),
    ("interval", DURATION),
    ("retries", NUMBER),
    ("test", Shape::Either(&[STRING, STRINGS])),
    ("timeout", DURATION),
    ("start_period", DURATION),
    ("start_interval", DURATION),
]);

const LOGGING: Object =
    object(&[("driver", STRING), ("options", Shape::Members(OPEN, &STRING_NUMBER_OR_NULL))]);

const MODEL_USE: Shape =
    Shape::Either(&[NULL, Shape::Object(&object(&[("endpoint_var", STRING), ("model_var", STRING)]))]);

const MOUNTED_FILES: Shape = Shape::List(&Shape::Either(&[
    STRING,
    Shape::Object(&object(&[
        ("source", STRING),
        ("target", STRING),
        ("uid", STRING),
        ("gid", STRING),
        ("mode", STRING_OR_NUMBER),
    ])),
]));

const NETWORK_USE: Shape = Shape::Either(&[
    NULL,
    Shape::Object(&object(&[
        ("aliases", UNIQUE_STRINGS),
        ("driver_opts", OPTIONS),
        ("gw_priority", JUST_NUMBER),
        ("interface_name", STRING),
        ("ipv4_address", STRING),
        ("ipv6_address", STRING),
        ("link_local_ips", UNIQUE_STRINGS),
        ("mac_address", STRING),
        ("priority", JUST_NUMBER),
    ])),
]);

const PORT: Object = object(&[
    ("app_protocol", STRING),
    ("host_ip", STRING),
    ("mode", STRING),
    ("name", STRING),
    ("protocol", STRING),
    ("published", INTEGER),
    ("target", INTEGER),
]);

const PROVIDER: Object = object_with(
    &["type"],
    &[
        ("type", STRING),
        (
            "options",
            Shape::Members(
                OPEN,
                &Shape::Either(&[STRING_NUMBER_OR_BOOLEAN, Shape::List(&STRING_NUMBER_OR_BOOLEAN)]),
            ),
        ),
    ],
);

const ULIMITS: Shape = Shape::Members(
    LOWERCASE,
    &Shape::Either(&[
        INTEGER,
        Shape::Object(&object_with(&["soft", "hard"], &[("soft", INTEGER), ("hard", INTEGER)])),
    ]),
);

const VOLUME: Object = object_with(
    &["type"],
    &[
        ("type", Shape::OneOf(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
        ("source", STRING),
        ("target", STRING),
        ("read_only", BOOLEAN),
        ("consistency", STRING),
        ("bind", Shape::Object(&BIND)),
        (
            "volume",
            Shape::Object(&object(&[("labels", ASSIGNMENTS), ("nocopy", BOOLEAN), ("subpath", STRING)])),
        ),
        ("tmpfs", Shape::Object(&object(&[("size", WHOLE_SIZE), ("mode", STRING_OR_NUMBER)]))),
        ("image", Shape::Object(&object(&[("subpath", STRING)]))),
    ],
);

const BIND: Object = object(&[
    ("create_host_path", BOOLEAN),
    ("propagation", STRING),
    ("recursive", Shape::OneOf(&["enabled", "disabled", "writable", "readonly"])),
    ("selinux", Shape::OneOf(&["z", "Z"])),
]);
