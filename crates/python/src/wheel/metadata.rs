//! The two files of e-mail headers in every wheel: WHEEL and METADATA.

use pep440_rs::{Version, VersionSpecifiers};

use super::defect::Defect;
use super::filename::WheelFilename;
use crate::name::{PackageName, PythonVersion};

/// What METADATA says of a package (core metadata specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    name: String,
    version: Version,
    requires_python: Option<String>,
    requires_dist: Vec<String>,
}

/// What the METADATA of an installed distribution says: name, version, requirements, extras.
type InstalledFields = (String, String, Vec<String>, Vec<String>);

impl Metadata {
    /// Reads the METADATA of an installed distribution, which nobody has checked.
    pub(crate) fn installed(text: &str) -> Option<InstalledFields> {
        let headers = Headers::parse(text);
        let all = |name| headers.all(name).map(str::to_owned).collect();
        let (name, version) = (headers.first("Name")?.to_owned(), headers.first("Version")?.to_owned());
        Some((name, version, all("Requires-Dist"), all("Provides-Extra")))
    }

    /// Reads METADATA and checks that it is of the package that the file name promises.
    pub(super) fn parse(text: &str, filename: &WheelFilename) -> Result<Self, Defect> {
        let headers = Headers::parse(text);
        let name = headers.first("Name").ok_or(Defect::MissingField { field: "Name" })?;
        let version = headers.first("Version").ok_or(Defect::MissingField { field: "Version" })?;
        let mismatch = |expected: &dyn ToString, found: &str| Defect::MetadataMismatch {
            expected: expected.to_string(),
            found: found.to_owned(),
        };
        if name.parse::<PackageName>().ok().as_ref() != Some(filename.name()) {
            return Err(mismatch(filename.name(), name));
        }
        let invalid = || Defect::InvalidField { field: "Version", value: version.to_owned() };
        let parsed: Version = version.parse().map_err(|_| invalid())?;
        if parsed != *filename.version() {
            return Err(mismatch(filename.version(), version));
        }
        Ok(Self {
            name: name.to_owned(),
            version: parsed,
            requires_python: headers.first("Requires-Python").map(str::to_owned),
            requires_dist: headers.all("Requires-Dist").map(str::to_owned).collect(),
        })
    }

    /// The name as its author spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The requirements, as they are written.
    pub fn requires_dist(&self) -> &[String] {
        &self.requires_dist
    }

    /// The Python versions that it asks for, as they are written.
    pub fn requires_python(&self) -> Option<&str> {
        self.requires_python.as_deref()
    }

    /// Whether it can be used with `python`. A text that is no specifier asks for nothing, as with pip.
    pub fn supports(&self, python: PythonVersion) -> bool {
        let version = Version::new([u64::from(python.major), u64::from(python.minor)]);
        let specifiers = self.requires_python().and_then(|text| text.parse::<VersionSpecifiers>().ok());
        specifiers.is_none_or(|specifiers| specifiers.contains(&version))
    }
}

/// Reads WHEEL: whether the wheel's root goes to purelib, if it is of a version that is known.
pub(super) fn root_is_purelib(text: &str) -> Result<bool, Defect> {
    let headers = Headers::parse(text);
    let field = "Wheel-Version";
    let version = headers.first(field).ok_or(Defect::MissingField { field })?;
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.trim().parse().ok()).collect();
    // Step 1.b of the specification warns of a greater minor version, which nobody has seen yet.
    match parts.as_deref() {
        Some([0 | 1, ..]) => {}
        Some([_, ..]) => return Err(Defect::WheelVersion { version: version.to_owned() }),
        _ => return Err(Defect::InvalidField { field, value: version.to_owned() }),
    }
    Ok(headers.first("Root-Is-Purelib").is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

/// E-mail headers up to the first empty line, as Python's `email` reads them.
struct Headers<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Headers<'a> {
    fn parse(text: &'a str) -> Self {
        let lines = text.lines().take_while(|line| !line.is_empty());
        // Continuation lines belong to descriptions and licences, which nobody asks for here.
        let headers = lines.filter(|line| !line.starts_with([' ', '\t']));
        Self(
            headers
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name, value.trim()))
                .collect(),
        )
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn first(&self, name: &'static str) -> Option<&'a str> {
        self.all(name).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metadata, Defect> {
        Metadata::parse(text, &"foo_bar-1.0-py3-none-any.whl".parse().unwrap())
    }

    #[test]
    fn metadata_is_read_up_to_the_description() {
        let metadata = parse(
            "Metadata-Version: 2.1\nname: Foo.Bar\nVersion: 1.0.0\nRequires-Python: >=3.9\n\
             Requires-Dist: a>1\nLicense: x\n  Version: 9\nRequires-Dist: b\n\nRequires-Dist: c\n",
        )
        .unwrap();
        assert_eq!((metadata.name(), metadata.requires_dist().len()), ("Foo.Bar", 2));
        assert!(metadata.supports(PythonVersion::new(3, 9)));
        assert!(!metadata.supports(PythonVersion::new(3, 8)));
    }

    #[test]
    fn metadata_of_another_package_is_refused() {
        let defect = |text| parse(text).unwrap_err();
        assert!(matches!(defect("Name: foo\nVersion: 1.0\n"), Defect::MetadataMismatch { .. }));
        assert!(matches!(defect("Name: foo-bar\nVersion: 1.1\n"), Defect::MetadataMismatch { .. }));
        assert!(matches!(defect("Name: foo-bar\nVersion: x\n"), Defect::InvalidField { .. }));
        assert_eq!(defect("Version: 1.0\n"), Defect::MissingField { field: "Name" });
        assert_eq!(defect("Name: foo-bar\n\nVersion: 1.0\n"), Defect::MissingField { field: "Version" });
    }

    #[test]
    fn wheel_versions_beyond_one_are_refused() {
        assert_eq!(root_is_purelib("Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"), Ok(true));
        assert_eq!(root_is_purelib("Wheel-Version: 1.9\r\nRoot-Is-Purelib: false\r\n"), Ok(false));
        assert_eq!(root_is_purelib("Wheel-Version: 1.0\n"), Ok(false));
        let refused = Defect::WheelVersion { version: "2.0".to_owned() };
        assert_eq!(root_is_purelib("Wheel-Version: 2.0\n"), Err(refused));
        assert!(matches!(root_is_purelib("Wheel-Version: x\n"), Err(Defect::InvalidField { .. })));
        assert!(matches!(root_is_purelib(""), Err(Defect::MissingField { .. })));
    }
}
