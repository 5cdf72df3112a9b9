//! `RUN --mount=type=cache,target=/x,…`: the fields, before they get their meaning.

use crate::diagnostic::{Code, Diagnostic};
use crate::instruction::csv;
use crate::span::Word;
use crate::step::{FileAccess, Sharing};
use crate::suggest;
use crate::syntax::is_bool;

/// The types of mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MountType {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

const TYPES: [(&str, MountType); 5] = [
    ("bind", MountType::Bind),
    ("cache", MountType::Cache),
    ("tmpfs", MountType::Tmpfs),
    ("secret", MountType::Secret),
    ("ssh", MountType::Ssh),
];

const SHARING: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// The fields of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MountFields {
    pub(crate) kind: MountType,
    pub(crate) from: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) id: String,
    pub(crate) sharing: Option<Sharing>,
    pub(crate) required: bool,
    pub(crate) size: Option<u64>,
    pub(crate) env: Option<String>,
    pub(crate) access: FileAccess,
    read_only: Option<bool>,
}

impl MountFields {
    /// The stage or image that a mount is from, as it is written: no variable can name it.
    pub(crate) fn from_of(flag: &Word) -> Result<Option<String>, Diagnostic> {
        let mut from = None;
        for field in fields(flag)? {
            if let Some((key, value)) =
                field.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("from"))
            {
                if value.find('$').is_some_and(|at| at + 1 != value.len()) {
                    return Err(problem(flag, format!("`{key}` of a mount takes no variables")).with_help(
                        "give the image a stage of its own (`FROM image AS name`) and mount from that",
                    ));
                }
                from = Some(value.to_owned()).filter(|value| !value.is_empty());
            }
        }
        Ok(from)
    }

    /// Reads the fields of `--mount`, each value expanded by `expand`.
    pub(crate) fn parse(
        flag: &Word,
        mut expand: impl FnMut(&str) -> Result<String, Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let mut mount = Self::default();
        for field in fields(flag)? {
            let (key, value) =
                field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
            let key = key.to_lowercase();
            match value {
                Some(value) => mount.set(flag, &field, &key, expand(value)?)?,
                None => mount.set_flag(flag, &field, &key)?,
            }
        }
        mount.check().map_err(|message| problem(flag, message))?;
        Ok(mount)
    }

    /// Whether it cannot be written: caches and memory can, unless told otherwise, and nothing else.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.unwrap_or(!matches!(self.kind, MountType::Cache | MountType::Tmpfs))
    }

    /// A field without a value.
    fn set_flag(&mut self, flag: &Word, field: &str, key: &str) -> Result<(), Diagnostic> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => {
                self.only_for(flag, key, &[MountType::Secret, MountType::Ssh])?;
                self.required = true;
            }
            _ => return Err(problem(flag, format!("field `{field}` of the mount has no value"))),
        }
        Ok(())
    }

    fn set(&mut self, flag: &Word, field: &str, key: &str, value: String) -> Result<(), Diagnostic> {
        let wrong = || problem(flag, format!("`{key}` of the mount cannot be `{value}`"));
        let number = |radix| u32::from_str_radix(&value, radix).ok().filter(|_| !value.starts_with('+'));
        match key {
            "type" => self.kind = choice(flag, "type", &value, &TYPES)?,
            "sharing" => self.sharing = Some(choice(flag, "sharing", &value, &SHARING)?),
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "id" => self.id = value,
            "env" => self.env = Some(value),
            "readonly" | "ro" => self.read_only = Some(is_bool(&value).ok_or_else(wrong)?),
            "readwrite" | "rw" => self.read_only = Some(!is_bool(&value).ok_or_else(wrong)?),
            "required" => {
                self.only_for(flag, key, &[MountType::Secret, MountType::Ssh])?;
                self.required = is_bool(&value).ok_or_else(wrong)?;
            }
            "size" => {
                self.only_for(flag, key, &[MountType::Tmpfs])?;
                self.size = Some(bytes(&value).ok_or_else(wrong)?);
            }
            "mode" => self.access.mode = Some(number(8).ok_or_else(wrong)?),
            "uid" => self.access.uid = Some(number(10).ok_or_else(wrong)?),
            "gid" => self.access.gid = Some(number(10).ok_or_else(wrong)?),
            _ => {
                let help = suggest::did_you_mean(key, KEYS);
                return Err(Diagnostic { help, ..problem(flag, format!("a mount has no field `{field}`")) });
            }
        }
        Ok(())
    }

    /// Some fields are for some types, and only if the type was said before.
    fn only_for(&self, flag: &Word, key: &str, kinds: &[MountType]) -> Result<(), Diagnostic> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(problem(flag, format!("a mount of type `{}` has no `{key}`", self.kind.name()))
            .with_help("say `type=` first"))
    }

    fn check(&self) -> Result<(), String> {
        let name = self.kind.name();
        if matches!(self.kind, MountType::Bind | MountType::Tmpfs) && self.access != FileAccess::default() {
            return Err(format!("a mount of type `{name}` has no `mode`, `uid` or `gid`"));
        }
        if self.sharing.is_some() && self.kind != MountType::Cache {
            return Err(format!("a mount of type `{name}` has no `sharing`"));
        }
        if self.kind != MountType::Secret {
            return Ok(());
        }
        if !self.from.is_empty() {
            return Err("a secret is not from anywhere: `from` has no meaning".to_owned());
        }
        if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
            return Err("a secret needs `id`, `source` or `target`".to_owned());
        }
        if !self.source.is_empty() && !self.id.is_empty() {
            return Err("a secret has either `id` or `source`".to_owned());
        }
        Ok(())
    }
}

impl MountType {
    fn name(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

fn fields(flag: &Word) -> Result<Vec<String>, Diagnostic> {
    csv::fields(&flag.value).map_err(|message| problem(flag, message))
}

fn choice<T: Copy>(flag: &Word, key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Diagnostic> {
    let lower = value.to_lowercase();
    let found = choices.iter().find(|(name, _)| *name == lower).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let help = suggest::did_you_mean(value, names.iter().copied());
        let help = help.unwrap_or_else(|| format!("it is one of `{}`", names.join("`, `")));
        problem(flag, format!("`{key}` of the mount cannot be `{value}`")).with_help(help)
    })
}

fn problem(flag: &Word, message: String) -> Diagnostic {
    Diagnostic::new(Code::Mount, message, flag.span)
}

/// A size as Docker reads it: `64m`, `1.5GiB`, `1 kb`.
fn bytes(text: &str) -> Option<u64> {
    let end = text.rfind(|char: char| char.is_ascii_digit() || char == '.' || char == ' ')?;
    let (number, unit) = text.split_at(end + 1);
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().ok()?;
    let unit = unit.to_lowercase();
    let power = match unit
        .strip_suffix("ib")
        .filter(|unit| !unit.is_empty())
        .or_else(|| unit.strip_suffix('b'))
        .unwrap_or(&unit)
    {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let size = number * 1024_f64.powi(power);
    #[expect(clippy::cast_sign_loss, reason = "a negative size was refused")]
    (0.0..9.0e18).contains(&size).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MountFields, String> {
        let flag = Word { value: text.to_owned(), ..Word::default() };
        MountFields::parse(&flag, |value| Ok(value.to_owned())).map_err(|diagnostic| diagnostic.message)
    }

    #[test]
    fn sizes() {
        for (text, size) in
            [("1", 1), ("64m", 64 << 20), ("1.5GiB", 3 << 29), ("2 kb", 2048), ("7b", 7), ("0", 0)]
        {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "m", "1x", "1mib ", "-1", "1ib", "1kbb"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn defaults_follow_the_type() {
        assert!(parse("target=/a").unwrap().is_read_only());
        assert!(!parse("type=cache,target=/a").unwrap().is_read_only());
        assert!(parse("type=Cache,target=/a,ro").unwrap().is_read_only());
        assert!(!parse("target=/a,readonly=false").unwrap().is_read_only());
        let secret = parse("type=secret,id=a,required,mode=0440,uid=1").unwrap();
        assert!(secret.required);
        assert_eq!((secret.access.mode, secret.access.uid, secret.access.gid), (Some(0o440), Some(1), None));
        assert_eq!(parse("type=tmpfs,target=/a,size=1k").unwrap().size, Some(1024));
        assert_eq!(parse("type=cache,\"target=/a,b\"").unwrap().target, "/a,b");
    }
}
