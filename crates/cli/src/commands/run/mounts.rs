//! `--volume`, `--mount` and `--tmpfs`, and the volumes that the image asks for.

use std::fs;
use std::path::{Component, Path, PathBuf};

use cartwheel_oci::ImageConfig;
use cartwheel_sandbox::Mount;
use serde_json::Value;

use crate::args::ContainerArguments;
use crate::commands::build::run::size;
use crate::error::Failure;

/// What is mounted, outer directories first as Docker does it.
pub(super) fn mounts(
    arguments: &ContainerArguments,
    config: &ImageConfig,
    hostname: &str,
) -> Result<Vec<Mount>, Failure> {
    let volumes = arguments.volumes.iter().map(|text| volume(text));
    let mounts = arguments.mounts.iter().map(|text| mount(text));
    let tmpfs = arguments.tmpfs.iter().map(|text| tmpfs(text));
    let mut asked: Vec<Mount> = volumes.chain(mounts).chain(tmpfs).collect::<Result<_, _>>()?;
    for target in image_volumes(config) {
        if !asked.iter().any(|mount| target_of(mount) == target) {
            asked.push(Mount::Writable { target });
        }
    }
    asked.sort_by_key(|mount| target_of(mount).components().count());
    let content = format!("{hostname}\n").into_bytes();
    let name = Mount::File { target: "/etc/hostname".into(), content, mode: 0o644, uid: 0, gid: 0 };
    Ok([vec![name], asked].concat())
}

fn image_volumes(config: &ImageConfig) -> Vec<PathBuf> {
    let volumes = config.config.other.get("Volumes").and_then(Value::as_object);
    volumes.into_iter().flat_map(|volumes| volumes.keys()).map(|path| Path::new("/").join(path)).collect()
}

fn target_of(mount: &Mount) -> &Path {
    match mount {
        Mount::Bind { target, .. }
        | Mount::Tmpfs { target, .. }
        | Mount::File { target, .. }
        | Mount::Writable { target } => target,
    }
}

/// `SOURCE:TARGET[:OPTIONS]`, or `TARGET`. A source that is not there is made, as Docker makes it.
fn volume(text: &str) -> Result<Mount, Failure> {
    let bad = |reason: &str| Failure::user(format!("--volume {text}: {reason}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => {
            return Ok(Mount::Writable { target: absolute(target).ok_or_else(|| bad(NOT_ABSOLUTE))? });
        }
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(bad("write SOURCE:TARGET[:ro]")),
    };
    let target = absolute(target).ok_or_else(|| bad(NOT_ABSOLUTE))?;
    if !source.starts_with(['/', '.']) {
        return Err(bad(
            "there are no volumes with names here, because nothing is kept: name a directory (./NAME)",
        ));
    }
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            _ => return Err(bad(&format!("there is no option `{option}` here; there are ro and rw"))),
        }
    }
    let source = PathBuf::from(source);
    if !source.exists() {
        fs::create_dir_all(&source).map_err(Failure::io("create", &source))?;
    }
    Ok(Mount::Bind { source: real(&source)?, target, read_only })
}

const NOT_ABSOLUTE: &str = "the path in the container has to be absolute";

fn absolute(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    (path.is_absolute() && path != Path::new("/") && path.components().all(is_plain)).then_some(path)
}

/// A path that means the same from anywhere.
fn real(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(Failure::io("find", path))
}

/// `type=bind,…` or `type=tmpfs,…`.
fn mount(text: &str) -> Result<Mount, Failure> {
    let bad = |reason: &str| Failure::user(format!("--mount {text}: {reason}"));
    let (mut kind, mut source, mut target) = ("volume", None, None);
    let (mut read_only, mut bytes, mut mode) = (false, None, 0o1777);
    for field in text.split(',') {
        let (name, value) = field.split_once('=').unwrap_or((field, "true"));
        match name {
            "type" => kind = value,
            "source" | "src" => source = Some(value),
            "target" | "destination" | "dst" => {
                target = Some(absolute(value).ok_or_else(|| bad(NOT_ABSOLUTE))?);
            }
            "readonly" | "ro" => read_only = matches!(value, "true" | "1"),
            "tmpfs-size" => bytes = Some(size("--mount tmpfs-size", value)?),
            "tmpfs-mode" => mode = octal(value).ok_or_else(|| bad("`tmpfs-mode` is an octal number"))?,
            _ => return Err(bad(&format!("there is no option `{name}` here"))),
        }
    }
    let target = target.ok_or_else(|| bad("`target` is missing"))?;
    match (kind, source) {
        ("bind", Some(source)) => Ok(Mount::Bind { source: real(Path::new(source))?, target, read_only }),
        ("bind", None) => Err(bad("`source` is missing")),
        ("tmpfs", None) if !read_only => Ok(Mount::Tmpfs { target, size: bytes, mode }),
        ("tmpfs", _) => Err(bad("a tmpfs has no `source`, and one that can only be read would stay empty")),
        ("volume", _) => {
            Err(bad("there are no volumes here, because nothing is kept: type=bind or type=tmpfs"))
        }
        (other, _) => Err(bad(&format!("type `{other}` is not there; there are bind and tmpfs"))),
    }
}

/// `TARGET[:OPTIONS]`.
fn tmpfs(text: &str) -> Result<Mount, Failure> {
    let bad = |reason: &str| Failure::user(format!("--tmpfs {text}: {reason}"));
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target = absolute(target).ok_or_else(|| bad(NOT_ABSOLUTE))?;
    let (mut bytes, mut mode) = (None, 0o1777);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => bytes = Some(size("--tmpfs size", value)?),
            ("mode", value) => mode = octal(value).ok_or_else(|| bad("`mode` is an octal number"))?,
            ("rw" | "exec" | "nosuid", "") => {}
            _ => return Err(bad(&format!("there is no option `{option}` here; there are size and mode"))),
        }
    }
    Ok(Mount::Tmpfs { target, size: bytes, mode })
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(read: impl Fn(&str) -> Result<Mount, Failure>, text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn volumes_are_read_as_docker_reads_them() {
        let bind = |text| match volume(text).unwrap() {
            Mount::Bind { source, target, read_only } => (source, target, read_only),
            other => panic!("{other:?}"),
        };
        assert_eq!(bind("/usr:/a:ro,z"), ("/usr".into(), "/a".into(), true));
        assert_eq!(bind("/usr:/a:rw"), ("/usr".into(), "/a".into(), false));
        assert!(matches!(volume("/data"), Ok(Mount::Writable { .. })));
        for (text, reason) in [
            ("name:/a", "no volumes with names"),
            ("/usr:a", "absolute"),
            ("/usr:/a/../b", "absolute"),
            ("/usr:/", "absolute"),
            ("/usr:/a:x", "no option `x`"),
            ("/usr:/a:ro:x", "write SOURCE:TARGET"),
        ] {
            assert!(refusal(volume, text).contains(reason), "{text}");
        }
    }

    #[test]
    fn mounts_in_words_are_read_as_docker_reads_them() {
        let found = mount("type=bind,src=/usr,dst=/a,readonly").unwrap();
        assert!(matches!(found, Mount::Bind { read_only: true, .. }), "{found:?}");
        let found = mount("type=tmpfs,target=/a,tmpfs-size=1m,tmpfs-mode=700").unwrap();
        assert!(matches!(found, Mount::Tmpfs { size: Some(1_048_576), mode: 0o700, .. }), "{found:?}");
        for (text, reason) in [
            ("src=x,dst=/a", "no volumes here"),
            ("type=bind,dst=/a", "`source` is missing"),
            ("type=bind,src=/usr", "`target` is missing"),
            ("type=bind,src=/not/there,dst=/a", "could not find `/not/there`"),
            ("type=tmpfs,dst=/a,ro", "would stay empty"),
            ("type=npipe,dst=/a", "type `npipe` is not there"),
            ("type=bind,src=/usr,dst=/a,bind-nonrecursive", "no option `bind-nonrecursive`"),
        ] {
            assert!(refusal(mount, text).contains(reason), "{text}");
        }
    }

    #[test]
    fn directories_in_memory_have_a_size_and_a_mode() {
        let found = tmpfs("/run:rw,size=64m,mode=755").unwrap();
        assert!(matches!(found, Mount::Tmpfs { size: Some(67_108_864), mode: 0o755, .. }), "{found:?}");
        assert!(refusal(tmpfs, "/run:noexec").contains("no option `noexec`"));
        assert!(refusal(tmpfs, "/run:mode=9").contains("octal"));
    }
}
