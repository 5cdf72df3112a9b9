//! Compatibility tags (PEP 425, 600, 656): which wheels a target takes, best first.
//!
//! The list and its order are those of `packaging.tags` 26 for a CPython with the GIL, which is what pip asks. They
//! are computed for a target, not for this machine: an image for arm64 is built anywhere.

use std::collections::HashMap;
use std::fmt;

use crate::name::PythonVersion;

/// What wheels have to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// The version of CPython.
    pub python: PythonVersion,
    /// The processor.
    pub arch: Arch,
    /// The C library.
    pub libc: Libc,
}

/// A processor architecture, as Linux names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// `amd64` to images.
    X86_64,
    /// `arm64` to images.
    Aarch64,
}

/// A C library and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Libc {
    /// The GNU library; wheels say `manylinux`.
    Glibc {
        /// The `2` of `2.36`.
        major: u16,
        /// The `36` of `2.36`.
        minor: u16,
    },
    /// musl; wheels say `musllinux`.
    Musl {
        /// The `1` of `1.2`.
        major: u16,
        /// The `2` of `1.2`.
        minor: u16,
    },
}

/// One tag: `cp313-cp313-manylinux_2_17_x86_64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag {
    python: String,
    abi: String,
    platform: String,
}

/// All tags that a target takes, best first.
#[derive(Debug, Clone)]
pub struct Tags {
    ordered: Vec<Tag>,
    ranks: HashMap<Tag, usize>,
}

impl Tag {
    /// The three parts of a tag; case does not matter.
    pub fn new(python: &str, abi: &str, platform: &str) -> Self {
        let [python, abi, platform] = [python, abi, platform].map(str::to_lowercase);
        Self { python, abi, platform }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

impl Tags {
    /// The tags that `target` takes.
    pub fn compatible(target: &Target) -> Self {
        let platforms = platforms(target);
        let mut ordered = cpython_tags(target.python, &platforms);
        ordered.extend(pure_tags(target.python, &platforms));
        let ranks = ordered.iter().cloned().enumerate().map(|(rank, tag)| (tag, rank)).collect();
        Self { ordered, ranks }
    }

    /// The tags, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.ordered.iter()
    }

    /// The place of `tag`; the best is 0.
    pub fn rank(&self, tag: &Tag) -> Option<usize> {
        self.ranks.get(tag).copied()
    }
}

/// Tags of extension modules: of this very version, of the stable ABI, of the stable ABI of older versions.
fn cpython_tags(python: PythonVersion, platforms: &[String]) -> Vec<Tag> {
    let PythonVersion { major, minor } = python;
    let cpython = |minor| format!("cp{major}{minor}");
    let mut pairs: Vec<(String, String)> =
        [cpython(minor), "abi3".to_owned(), "none".to_owned()].map(|abi| (cpython(minor), abi)).into();
    pairs.extend((2..minor).rev().map(|older| (cpython(older), "abi3".to_owned())));
    let tags = pairs
        .iter()
        .flat_map(|(python, abi)| platforms.iter().map(move |platform| Tag::new(python, abi, platform)));
    tags.collect()
}

/// Tags of wheels without extension modules: first those that are for a platform all the same.
fn pure_tags(python: PythonVersion, platforms: &[String]) -> Vec<Tag> {
    let PythonVersion { major, minor } = python;
    let mut versions = vec![format!("py{major}{minor}"), format!("py{major}")];
    versions.extend((0..minor).rev().map(|older| format!("py{major}{older}")));
    let mut tags: Vec<Tag> = versions
        .iter()
        .flat_map(|version| platforms.iter().map(move |platform| Tag::new(version, "none", platform)))
        .collect();
    tags.push(Tag::new(&format!("cp{major}{minor}"), "none", "any"));
    tags.extend(versions.iter().map(|version| Tag::new(version, "none", "any")));
    tags
}

fn platforms(target: &Target) -> Vec<String> {
    let arch = target.arch;
    let mut platforms = vec![format!("linux_{arch}")];
    match target.libc {
        Libc::Glibc { major, minor } => platforms.extend(manylinux(arch, major, minor)),
        Libc::Musl { major, minor } => {
            platforms.extend((0..=minor).rev().map(|minor| format!("musllinux_{major}_{minor}_{arch}")));
        }
    }
    platforms
}

/// PEP 600, with the three older names for what three of its versions mean.
fn manylinux(arch: Arch, major: u16, minor: u16) -> Vec<String> {
    // The first glibc of each architecture that wheels were ever made for.
    let oldest = match arch {
        Arch::X86_64 => 5,
        Arch::Aarch64 => 17,
    };
    let oldest = if major == 2 { oldest } else { 0 };
    let mut names = Vec::new();
    for minor in (oldest..=minor).rev() {
        names.push(format!("manylinux_{major}_{minor}_{arch}"));
        let legacy = match (major, minor) {
            (2, 17) => "manylinux2014",
            (2, 12) => "manylinux2010",
            (2, 5) => "manylinux1",
            _ => continue,
        };
        names.push(format!("{legacy}_{arch}"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(minor: u8, arch: Arch, libc: Libc) -> Vec<String> {
        let target = Target { python: PythonVersion::new(3, minor), arch, libc };
        Tags::compatible(&target).iter().map(Tag::to_string).collect()
    }

    /// The whole list for a small target, as `packaging.tags` 26 gives it.
    #[test]
    fn the_list_is_that_of_packaging() {
        let found = texts(3, Arch::Aarch64, Libc::Musl { major: 1, minor: 0 });
        let expected = [
            "cp33-cp33-linux_aarch64",
            "cp33-cp33-musllinux_1_0_aarch64",
            "cp33-abi3-linux_aarch64",
            "cp33-abi3-musllinux_1_0_aarch64",
            "cp33-none-linux_aarch64",
            "cp33-none-musllinux_1_0_aarch64",
            "cp32-abi3-linux_aarch64",
            "cp32-abi3-musllinux_1_0_aarch64",
            "py33-none-linux_aarch64",
            "py33-none-musllinux_1_0_aarch64",
            "py3-none-linux_aarch64",
            "py3-none-musllinux_1_0_aarch64",
            "py32-none-linux_aarch64",
            "py32-none-musllinux_1_0_aarch64",
            "py31-none-linux_aarch64",
            "py31-none-musllinux_1_0_aarch64",
            "py30-none-linux_aarch64",
            "py30-none-musllinux_1_0_aarch64",
            "cp33-none-any",
            "py33-none-any",
            "py3-none-any",
            "py32-none-any",
            "py31-none-any",
            "py30-none-any",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn old_names_follow_what_they_mean() {
        let found = texts(13, Arch::X86_64, Libc::Glibc { major: 2, minor: 18 });
        let expected = [
            "linux_x86_64",
            "manylinux_2_18_x86_64",
            "manylinux_2_17_x86_64",
            "manylinux2014_x86_64",
            "manylinux_2_16_x86_64",
        ];
        let expected = expected.map(|platform| format!("cp313-cp313-{platform}"));
        assert_eq!(found.get(..5), Some(&expected[..]));
        assert!(found.contains(&"cp313-cp313-manylinux1_x86_64".to_owned()));
        let arm = texts(13, Arch::Aarch64, Libc::Glibc { major: 2, minor: 18 });
        assert!(arm.contains(&"cp313-cp313-manylinux2014_aarch64".to_owned()));
        assert!(!arm.iter().any(|tag| tag.contains("manylinux_2_16")));
    }

    /// Number and digest of the tags that `packaging.tags` 26 gives for whole targets, joined by newlines.
    #[test]
    fn long_lists_are_those_of_packaging() {
        let glibc = |minor| Libc::Glibc { major: 2, minor };
        for (minor, arch, libc, count, digest) in [
            (
                13,
                Arch::X86_64,
                glibc(41),
                1205,
                "c97f0e1b888de28a7df459ff36a77818edb064c21495d8a6d667148c263e4eaf",
            ),
            (
                11,
                Arch::Aarch64,
                glibc(36),
                564,
                "0f91229a6bcb76983996ed5df93b0569db8f9a0d5afe8060ab9ef1766d9d0a6b",
            ),
            (
                12,
                Arch::X86_64,
                Libc::Musl { major: 1, minor: 2 },
                123,
                "0c96c9a381029c8630b245b79e51e4f7ca07a193c9edee05258c9d7800b98c04",
            ),
        ] {
            let found = texts(minor, arch, libc);
            let found_digest = cartwheel_store::Digest::of(found.join("\n").as_bytes()).hex();
            assert_eq!((found.len(), found_digest.as_str()), (count, digest), "3.{minor} {arch} {libc:?}");
        }
    }
}
