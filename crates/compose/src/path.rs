//! Where in a document a value is: `services.web.build.args`.

use std::fmt;

/// The keys that lead to a value, the last one first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    part: &'a str,
}

/// What stands for the index of a list's item.
pub(crate) const ITEM: &str = "[]";

impl<'a> Path<'a> {
    /// The path of the document itself.
    pub(crate) const ROOT: Self = Self { parent: None, part: "" };

    /// The path of what `part` leads to from here.
    pub(crate) fn to(&'a self, part: &'a str) -> Self {
        Self { parent: Some(self), part }
    }

    /// Whether `pattern` describes this path: keys with dots between them, `*` for any key or item.
    pub(crate) fn matches(&self, pattern: &str) -> bool {
        let mut here = self;
        for part in pattern.rsplit('.') {
            let Some(parent) = here.parent else { return false };
            if part != "*" && part != here.part {
                return false;
            }
            here = parent;
        }
        here.parent.is_none()
    }

    /// The keys from the top.
    pub(crate) fn parts(&self) -> Vec<&'a str> {
        let mut parts = self.parent.map_or_else(Vec::new, Path::parts);
        if self.parent.is_some() {
            parts.push(self.part);
        }
        parts
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts().join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_describe_whole_paths() {
        let services = Path::ROOT.to("services");
        let web = services.to("a.b");
        let build = web.to("build");
        assert!(build.matches("services.*.build"));
        assert!(!build.matches("services.*"));
        assert!(!build.matches("*.build"));
        assert!(!build.matches("services.*.image"));
        assert_eq!(build.to(ITEM).to_string(), "services.a.b.build.[]");
    }
}
