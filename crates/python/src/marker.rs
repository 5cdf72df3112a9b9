//! Environment markers: the condition after the `;` of a requirement
//! ([dependency specifiers](https://packaging.python.org/en/latest/specifications/dependency-specifiers/)).
//!
//! A marker keeps the shape in which it was written, because it is printed again as `packaging` prints it: one space
//! around each operator, double quotes, and no parentheses but those that were there. Nothing is simplified.

use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier};

use crate::requirement::InvalidRequirement;
use crate::scan::Scanner;
use crate::tag::Target;

/// The condition under which a requirement, or a package of a lockfile, is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(Expression);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expression {
    first: Term,
    rest: Vec<(Junction, Term)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Junction {
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Comparison { left: Operand, operator: &'static str, right: Operand },
    Group(Box<Expression>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Variable(&'static str),
    Text(String),
}

/// As written → as it is called today. The dotted names are those of `setuptools` before PEP 508.
const VARIABLES: [(&str, &str); 20] = [
    ("python_version", "python_version"),
    ("python_full_version", "python_full_version"),
    ("os_name", "os_name"),
    ("os.name", "os_name"),
    ("sys_platform", "sys_platform"),
    ("sys.platform", "sys_platform"),
    ("platform_machine", "platform_machine"),
    ("platform.machine", "platform_machine"),
    ("platform_version", "platform_version"),
    ("platform.version", "platform_version"),
    ("platform_release", "platform_release"),
    ("platform_system", "platform_system"),
    ("platform_python_implementation", "platform_python_implementation"),
    ("platform.python_implementation", "platform_python_implementation"),
    ("python_implementation", "platform_python_implementation"),
    ("implementation_name", "implementation_name"),
    ("implementation_version", "implementation_version"),
    ("extra", "extra"),
    ("extras", "extras"),
    ("dependency_groups", "dependency_groups"),
];

/// Longest first, so that `===` is not read as `==`.
const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// The value of a variable for `target`. Its patch release is not known before its image is opened: it is taken as 0, as
/// uv takes it. The machine's kernel is never known; no extra or dependency group is active, for a lockfile has
/// resolved them.
fn value(variable: &str, target: &Target) -> String {
    match variable {
        "python_version" => target.python.to_string(),
        "python_full_version" | "implementation_version" => format!("{}.0", target.python),
        "os_name" => "posix".to_owned(),
        "sys_platform" => "linux".to_owned(),
        "platform_system" => "Linux".to_owned(),
        "platform_machine" => target.arch.to_string(),
        "platform_python_implementation" => "CPython".to_owned(),
        "implementation_name" => "cpython".to_owned(),
        _ => String::new(),
    }
}

impl Marker {
    /// Whether the condition holds on `target`, with no extra.
    pub fn holds(&self, target: &Target) -> bool {
        self.0.holds(target)
    }

    pub(crate) fn scan(scanner: &mut Scanner<'_>) -> Result<Self, InvalidRequirement> {
        Ok(Self(Expression::scan(scanner)?))
    }
}

impl FromStr for Marker {
    type Err = InvalidRequirement;

    fn from_str(text: &str) -> Result<Self, InvalidRequirement> {
        let mut scanner = Scanner::new(text);
        let marker = Self::scan(&mut scanner)?;
        scanner.expect_end("the end of the marker")?;
        Ok(marker)
    }
}

impl Expression {
    fn scan(scanner: &mut Scanner<'_>) -> Result<Self, InvalidRequirement> {
        let first = Term::scan(scanner)?;
        let mut rest = Vec::new();
        while let Some(junction) = Junction::scan(scanner) {
            rest.push((junction, Term::scan(scanner)?));
        }
        Ok(Self { first, rest })
    }

    /// `and` binds closer than `or`.
    fn holds(&self, target: &Target) -> bool {
        let mut all = self.first.holds(target);
        for (junction, term) in &self.rest {
            match junction {
                Junction::Or if all => return true,
                Junction::Or => all = term.holds(target),
                Junction::And => all = all && term.holds(target),
            }
        }
        all
    }

    /// A group that holds nothing but one group or comparison is printed as what it holds.
    fn print(&self, f: &mut fmt::Formatter<'_>, outermost: bool) -> fmt::Result {
        if self.rest.is_empty() {
            return self.first.print(f, outermost);
        }
        f.write_str(if outermost { "" } else { "(" })?;
        self.first.print(f, false)?;
        for (junction, term) in &self.rest {
            f.write_str(if *junction == Junction::And { " and " } else { " or " })?;
            term.print(f, false)?;
        }
        f.write_str(if outermost { "" } else { ")" })
    }
}

impl Junction {
    fn scan(scanner: &mut Scanner<'_>) -> Option<Self> {
        if scanner.take_word("and") {
            Some(Self::And)
        } else if scanner.take_word("or") {
            Some(Self::Or)
        } else {
            None
        }
    }
}

/// How deep parentheses may go: the parser recurses, and its input is a stranger's.
const DEPTH: usize = 64;

impl Term {
    fn scan(scanner: &mut Scanner<'_>) -> Result<Self, InvalidRequirement> {
        scanner.skip_space();
        let term = if scanner.take("(") {
            scanner.enter(DEPTH)?;
            let expression = Expression::scan(scanner)?;
            scanner.expect(")", "a closing parenthesis")?;
            scanner.leave();
            Self::Group(Box::new(expression))
        } else {
            let left = Operand::scan(scanner)?;
            let operator = scan_operator(scanner)?;
            Self::Comparison { left, operator, right: Operand::scan(scanner)? }
        };
        scanner.skip_space();
        Ok(term)
    }

    fn holds(&self, target: &Target) -> bool {
        match self {
            Self::Group(expression) => expression.holds(target),
            Self::Comparison { left, operator, right } => {
                let versions = left.is_version() || right.is_version();
                compare(&left.value(target), operator, &right.value(target), versions)
            }
        }
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, outermost: bool) -> fmt::Result {
        match self {
            Self::Group(expression) => expression.print(f, outermost),
            Self::Comparison { left, operator, right } => write!(f, "{left} {operator} {right}"),
        }
    }
}

impl Operand {
    fn scan(scanner: &mut Scanner<'_>) -> Result<Self, InvalidRequirement> {
        scanner.skip_space();
        if let Some(quote @ ('"' | '\'')) = scanner.peek() {
            let text = scanner.take_quoted(quote).ok_or_else(|| scanner.expected("a closing quote"))?;
            return Ok(Self::Text(text.to_owned()));
        }
        let word =
            scanner.peek_while(|character| character.is_ascii_alphanumeric() || "._".contains(character));
        let known = VARIABLES.iter().find(|(written, _)| *written == word);
        let (_, name) = known.ok_or_else(|| scanner.expected("a marker variable or a quoted string"))?;
        scanner.take(word);
        Ok(Self::Variable(name))
    }

    fn is_version(&self) -> bool {
        let versions = ["python_version", "python_full_version", "implementation_version"];
        matches!(self, Self::Variable(name) if versions.contains(name))
    }

    fn value(&self, target: &Target) -> String {
        match self {
            Self::Variable(name) => value(name, target),
            Self::Text(text) => text.clone(),
        }
    }
}

fn scan_operator(scanner: &mut Scanner<'_>) -> Result<&'static str, InvalidRequirement> {
    scanner.skip_space();
    if let Some(operator) = OPERATORS.into_iter().find(|operator| scanner.take(operator)) {
        return Ok(operator);
    }
    if scanner.take_word("in") {
        return Ok("in");
    }
    if scanner.take_word("not") {
        scanner.skip_space();
        if scanner.take_word("in") {
            return Ok("not in");
        }
    }
    Err(scanner.expected("one of `<=`, `<`, `!=`, `==`, `>=`, `>`, `~=`, `===`, `in`, `not in`"))
}

/// Versions are compared as versions where one side is a Python version and the other can be one, as text elsewhere;
/// text has no order, so `<` and `>` never hold for it.
fn compare(left: &str, operator: &str, right: &str, versions: bool) -> bool {
    if versions && let Some(holds) = compare_versions(left, operator, right) {
        return holds;
    }
    match operator {
        "in" => right.contains(left),
        "not in" => !right.contains(left),
        "==" | "===" | "<=" | ">=" => left == right,
        "!=" => left != right,
        _ => false,
    }
}

fn compare_versions(left: &str, operator: &str, right: &str) -> Option<bool> {
    let specifier = VersionSpecifier::from_str(&format!("{operator}{right}")).ok()?;
    Some(specifier.contains(&Version::from_str(left).ok()?))
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.print(f, true)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::Text(text) if text.contains('"') => write!(f, "'{text}'"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::PythonVersion;
    use crate::tag::{Arch, Libc};

    fn print(text: &str) -> String {
        text.parse::<Marker>().unwrap().to_string()
    }

    fn holds(text: &str) -> bool {
        let libc = Libc::Glibc { major: 2, minor: 36 };
        let target = Target { python: PythonVersion::new(3, 13), arch: Arch::X86_64, libc };
        text.parse::<Marker>().unwrap().holds(&target)
    }

    #[test]
    fn markers_print_as_packaging_prints_them() {
        assert_eq!(print("python_version>='3.8'"), r#"python_version >= "3.8""#);
        assert_eq!(print("os.name=='posix' and(extra=='x')"), r#"os_name == "posix" and extra == "x""#);
        assert_eq!(
            print("(os_name == 'a' or os_name == 'b') and os_name == 'c'"),
            r#"(os_name == "a" or os_name == "b") and os_name == "c""#
        );
        assert_eq!(print("((os_name == 'a' or os_name == 'b'))"), r#"os_name == "a" or os_name == "b""#);
        assert_eq!(
            print("python_implementation  not   in 'x'"),
            r#"platform_python_implementation not in "x""#
        );
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert!(holds("sys_platform == 'linux' or sys_platform == 'x' and sys_platform == 'y'"));
        assert!(!holds("(sys_platform == 'linux' or sys_platform == 'x') and sys_platform == 'y'"));
        assert!(holds("sys_platform == 'x' and sys_platform == 'y' or sys_platform == 'linux'"));
    }

    #[test]
    fn versions_compare_as_versions_and_text_as_text() {
        assert!(holds("python_version > '3.9'"));
        assert!(holds("'3.9' < python_version"));
        assert!(holds("python_full_version < '3.13.5'"));
        assert!(holds("python_version == '3.*'"));
        assert!(holds("platform_machine == 'x86_64' and 'linux' in sys_platform"));
        assert!(!holds("platform_machine < 'z'"));
        assert!(!holds("extra == 'dev'"));
    }

    #[test]
    fn bad_markers_are_refused() {
        for text in
            ["", "python_version", "python_version == ", "foo == 'x'", "os_name == 'x", "(os_name == 'x'"]
        {
            assert!(text.parse::<Marker>().is_err(), "{text}");
        }
        assert!("(".repeat(100_000).parse::<Marker>().is_err());
    }
}
