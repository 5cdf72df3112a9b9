//! The file name of a wheel (PEP 427): `name-version(-build)-python-abi-platform.whl`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use crate::error::{Error, ErrorKind};
use crate::name::PackageName;
use crate::tag::{Tag, Tags};

/// A wheel's file name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelFilename {
    text: String,
    name: PackageName,
    version: Version,
    build: BuildTag,
    tags: Vec<Tag>,
}

/// The build tag, which decides between two wheels that are otherwise equal; without one it is the lowest.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct BuildTag(Option<(u64, String)>);

impl WheelFilename {
    /// The name of the package, normalised.
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// The version of the package.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The tags that it is made for, each combination spelt out.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Whether it can be installed where `tags` are compatible.
    pub fn is_compatible(&self, tags: &Tags) -> bool {
        self.rank(tags).is_some()
    }

    /// The place of its best tag among the compatible ones; the best is 0.
    pub fn rank(&self, tags: &Tags) -> Option<usize> {
        self.tags.iter().filter_map(|tag| tags.rank(tag)).min()
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The wheel that pip would take among wheels of one version: the best tag first, then the highest build tag.
pub fn best_wheel<'a>(
    wheels: impl IntoIterator<Item = &'a WheelFilename>,
    tags: &Tags,
) -> Option<&'a WheelFilename> {
    let ranked = wheels.into_iter().filter_map(|wheel| Some((wheel.rank(tags)?, wheel)));
    let better = |one: &(usize, &WheelFilename), two: &(usize, &WheelFilename)| -> Ordering {
        one.0.cmp(&two.0).then_with(|| two.1.build.cmp(&one.1.build))
    };
    ranked.min_by(better).map(|(_, wheel)| wheel)
}

impl fmt::Display for WheelFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for WheelFilename {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| ErrorKind::WheelFilename { filename: text.to_owned(), problem }.into())
    }
}

fn parse(text: &str) -> Result<WheelFilename, &'static str> {
    let stem = text.strip_suffix(".whl").ok_or("it does not end with `.whl`")?;
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, version, build, tags) = match parts[..] {
        [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
        [name, version, build, python, abi, platform] => {
            (name, version, Some(build), [python, abi, platform])
        }
        _ => return Err("it does not have five or six parts"),
    };
    if name.contains("__") {
        return Err("its package name has two underscores in a row");
    }
    Ok(WheelFilename {
        text: text.to_owned(),
        name: name.parse().map_err(|_| "its package name is invalid")?,
        version: version.parse().map_err(|_| "its version is invalid")?,
        build: build.map(parse_build).transpose()?.unwrap_or_default(),
        tags: parse_tags(tags)?,
    })
}

fn parse_build(text: &str) -> Result<BuildTag, &'static str> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let number = number.parse().map_err(|_| "its build tag does not begin with a number")?;
    Ok(BuildTag(Some((number, rest.to_owned()))))
}

/// Spells out compressed tag sets: `py2.py3-none-any` is two tags.
fn parse_tags([pythons, abis, platforms]: [&str; 3]) -> Result<Vec<Tag>, &'static str> {
    /// `packaging` sets no limit; a name of 255 bytes cannot hold more combinations that mean anything.
    const LIMIT: usize = 10_000;
    let pythons: Vec<&str> = pythons.split('.').collect();
    let abis: Vec<&str> = abis.split('.').collect();
    let platforms: Vec<&str> = platforms.split('.').collect();
    if [&pythons, &abis, &platforms].iter().any(|parts| parts.contains(&"")) {
        return Err("one of its tags is empty");
    }
    if pythons.iter().any(|python| !is_identifier(python)) {
        return Err("its Python tag is invalid");
    }
    if pythons.len() * abis.len() * platforms.len() > LIMIT {
        return Err("it has too many tags");
    }
    let mut tags = Vec::new();
    for python in &pythons {
        for abi in &abis {
            tags.extend(platforms.iter().map(|platform| Tag::new(python, abi, platform)));
        }
    }
    Ok(tags)
}

fn is_identifier(text: &str) -> bool {
    let word = |letter: char| letter.is_alphanumeric() || letter == '_';
    !text.starts_with(|letter: char| letter.is_numeric()) && text.chars().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PythonVersion;
    use crate::tag::{Arch, Libc, Target};

    fn wheel(text: &str) -> WheelFilename {
        text.parse().unwrap()
    }

    fn tags() -> Tags {
        let libc = Libc::Glibc { major: 2, minor: 36 };
        Tags::compatible(&Target { python: PythonVersion::new(3, 13), arch: Arch::X86_64, libc })
    }

    #[test]
    fn parts_are_read() {
        let wheel = wheel("Foo.bar-1.0rc1-3b-py2.py3-none-any.whl");
        assert_eq!(wheel.name().as_str(), "foo-bar");
        assert_eq!(wheel.version().to_string(), "1.0rc1");
        assert_eq!(wheel.build, BuildTag(Some((3, "b".to_owned()))));
        let tags: Vec<String> = wheel.tags().iter().map(Tag::to_string).collect();
        assert_eq!(tags, ["py2-none-any", "py3-none-any"]);
    }

    #[test]
    fn bad_names_are_refused() {
        for text in [
            "invalid.whl",
            "foo-1.0-py3-none-any.zip",
            "foo-2010i-py3-none-any.whl",
            "foo__bar-1.0-py3-none-any.whl",
            "foo-1.0-x-py3-none-any.whl",
            "foo-1.0-py3-none-.whl",
            "foo-1.0-py2..py3-none-any.whl",
            "-1.0-py3-none-any.whl",
            "foo-1.0-1-2-py3-none-any.whl",
        ] {
            assert!(text.parse::<WheelFilename>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_best_tag_wins_then_the_highest_build() {
        let wheels = [
            wheel("foo-1.0-py3-none-any.whl"),
            wheel("foo-1.0-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
            wheel("foo-1.0-2-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
            wheel("foo-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"),
            wheel("foo-1.0-9-cp39-abi3-manylinux_2_28_x86_64.whl"),
        ];
        let best = best_wheel(&wheels, &tags()).map(WheelFilename::as_str);
        assert_eq!(best, Some("foo-1.0-2-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"));
        assert!(!wheels[3].is_compatible(&tags()));
        assert_eq!(best_wheel(&wheels[3..4], &tags()), None);
    }
}
