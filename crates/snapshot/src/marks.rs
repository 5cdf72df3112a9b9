//! How a layer says that something below it is gone, in its tar and on disk.

/// Which extended attributes the overlay that will be mounted reads.
///
/// Overlayfs marks a removed file by a character device 0:0, whoever mounts it. That a directory hides what lies below is
/// an extended attribute, and those of `trusted` are for the real root alone: an overlay that is mounted in a user namespace
/// (with `userxattr`) reads others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// `trusted.overlay.*`: the overlay is mounted by root.
    Trusted,
    /// `user.overlay.*`: the overlay is mounted in a user namespace, with `userxattr`.
    User,
}

impl Marks {
    /// The attribute of an opaque directory, whose value is `y`.
    pub(crate) fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }

    /// The attribute of a directory that is to be looked for elsewhere below.
    pub(crate) fn redirect(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.redirect",
            Self::User => "user.overlay.redirect",
        }
    }

    /// The folder for what is marked so.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::User => "user",
        }
    }
}

/// Whether an extended attribute belongs to overlayfs and not to the file: it is not taken from a layer (one could lead
/// the overlay anywhere, by a redirect) and not put into one.
pub(crate) fn is_overlays_own(attribute: &str) -> bool {
    attribute.starts_with("trusted.overlay.") || attribute.starts_with("user.overlay.")
}

/// What a name in a tar says about what lies below (image spec, «Whiteouts»).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark<'a> {
    /// The folder hides everything that is in it below.
    Opaque,
    /// The neighbour of this name is hidden.
    Whiteout(&'a str),
}

impl<'a> Mark<'a> {
    pub(crate) fn of(name: &'a str) -> Option<Self> {
        match name.strip_prefix(".wh.")? {
            ".wh..opq" => Some(Self::Opaque),
            hidden => Some(Self::Whiteout(hidden)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_known_by_their_names() {
        assert_eq!(Mark::of(".wh..wh..opq"), Some(Mark::Opaque));
        assert_eq!(Mark::of(".wh.a"), Some(Mark::Whiteout("a")));
        assert_eq!(Mark::of(".wh."), Some(Mark::Whiteout("")));
        assert_eq!(Mark::of(".whx"), None);
    }
}
