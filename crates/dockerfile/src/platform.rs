//! Platforms as `--platform` names them: `linux/arm64`, `arm/v6`, `windows(10.0.17763)/amd64`.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// What an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The operating system, as Go names it.
    pub os: String,
    /// The processor, as Go names it.
    pub architecture: String,
    /// Its variant (`v7`); empty for the usual one.
    pub variant: String,
    /// The version of the system; only Windows has it.
    pub os_version: String,
    /// What the system has to offer beyond its version.
    pub os_features: Vec<String>,
}

const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

const ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

static COMPONENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[A-Za-z0-9_.-]+$").expect("invariant: a constant that compiles"));

static SYSTEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$")
        .expect("invariant: a constant that compiles")
});

impl Default for Platform {
    /// `linux/amd64`.
    fn default() -> Self {
        Self::new("linux", "amd64", "")
    }
}

impl Platform {
    fn new(os: &str, architecture: &str, variant: &str) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
            os_version: String::new(),
            os_features: Vec::new(),
        }
    }

    /// Reads what a user wrote; `host` fills in what is not said. The error ends the sentence «… is no platform: ».
    pub fn parse(text: &str, host: &Self) -> Result<Self, String> {
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let (system, rest) = parts.split_first().unwrap_or((&"", &[]));
        let mut platform = Self::parse_system(system)?;
        if let Some(part) = rest.iter().find(|part| !COMPONENT.is_match(part)) {
            return Err(format!("`{part}` may have letters, digits, `_`, `.` and `-` only"));
        }
        match rest {
            [] => return platform.guess(system, host),
            [architecture] => platform.set_architecture(architecture, ""),
            [architecture, variant] => {
                (platform.architecture, platform.variant) = normalize(architecture, variant);
                if platform.architecture == "arm64" && platform.variant.is_empty() {
                    "v8".clone_into(&mut platform.variant);
                }
            }
            _ => return Err("it has more parts than `os/arch/variant`".to_owned()),
        }
        Ok(platform)
    }

    /// The first part: a system with its version and features in brackets.
    fn parse_system(text: &str) -> Result<Self, String> {
        let found = SYSTEM.captures(text).ok_or_else(|| format!("`{text}` is no operating system"))?;
        let group = |index| found.get(index).map_or("", |group: regex::Match<'_>| group.as_str());
        let os = group(1).to_lowercase();
        let os = if os == "macos" { "darwin" } else { &os };
        let mut platform = Self::new(os, "", "");
        platform.os_version = unescape(group(2))?;
        for feature in group(3).split('+').filter(|feature| !feature.is_empty()) {
            platform.os_features.push(unescape(feature)?);
        }
        Ok(platform)
    }

    /// One part alone: a system that is known, or else a processor that is.
    fn guess(mut self, part: &str, host: &Self) -> Result<Self, String> {
        if SYSTEMS.contains(&self.os.as_str()) {
            self.architecture.clone_from(&host.architecture);
            return Ok(self);
        }
        self.set_architecture(part, "");
        if ARCHITECTURES.contains(&self.architecture.as_str()) {
            self.os.clone_from(&host.os);
            return Ok(self);
        }
        Err(format!("`{part}` is no known operating system or processor"))
    }

    fn set_architecture(&mut self, architecture: &str, variant: &str) {
        (self.architecture, self.variant) = normalize(architecture, variant);
        if self.architecture == "arm" && self.variant == "v7" {
            self.variant.clear();
        }
    }

    /// The same platform under the name that images and build arguments have for it: `linux/arm` is `linux/arm/v7`.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        (self.architecture, self.variant) = normalize(&self.architecture, &self.variant);
        self
    }

    /// Without version and features: `linux/arm64/v8`.
    pub fn short(&self) -> String {
        let parts = [&self.os, &self.architecture, &self.variant];
        parts.iter().filter(|part| !part.is_empty()).map(|part| part.as_str()).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os_version.is_empty() && self.os_features.is_empty() {
            return f.write_str(&self.short());
        }
        let options: Vec<&str> =
            [&self.os_version].into_iter().chain(&self.os_features).map(String::as_str).collect();
        let system = format!("{}({})", self.os, options.join("+"));
        f.write_str(&Self { os: system, ..self.clone() }.short())
    }
}

/// The names that containerd gives to what users write.
fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", _) => ("amd64", variant.as_str()),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", _) => ("arm64", variant.as_str()),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        _ => (architecture.as_str(), variant.as_str()),
    };
    (architecture.to_owned(), variant.to_owned())
}

/// `%2B` is `+`, as in a URL.
fn unescape(text: &str) -> Result<String, String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let wrong = || format!("`%{piece}` is no escape");
        let (code, rest) = piece.split_at_checked(2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| format!("`{text}` is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let host = Platform::parse("linux/riscv64", &Platform::default()).unwrap();
        Platform::parse(text, &host).map(|platform| platform.to_string())
    }

    #[test]
    fn names_are_normalized() {
        for (written, meant) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/arm", "linux/arm"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64/v8"),
            ("linux", "linux/riscv64"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64"),
            ("other/thing", "other/thing"),
        ] {
            assert_eq!(parse(written).as_deref(), Ok(meant), "{written}");
        }
    }

    #[test]
    fn what_is_no_platform() {
        for text in
            ["", "lin*x", "linux/", "linux/a/b/c", "amiga", "linux//v7", "linux/am d64", "win(%zz)/amd64"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
