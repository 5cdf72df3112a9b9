//! YAML documents as Compose reads them.
//!
//! The parser (`granit-parser`) gives events; this module makes values of them the way that Go's YAML library does:
//! aliases are replaced by what they refer to, `<<` merges mappings into mappings, names must be strings and may not
//! come twice. Compose's own tags are taken out on the way: a value tagged `!reset` goes away, one tagged `!override`
//! stays, and where either was is remembered, so that what earlier files say there can be forgotten.
//!
//! An alias is a reference until it is used, so a small file can stand for a gigantic document. How much is made of it
//! is bounded by how much was written.

mod scalar;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, Tag};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::node::{Key, Map, Node, Value};

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// What it says.
    pub(crate) root: Node,
    /// What it takes back.
    pub(crate) resets: Resets,
}

/// The places in a document at which values of earlier files are to be forgotten.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resets(Vec<Vec<String>>);

/// How deep values may lie in each other, aliases followed.
const DEPTH: usize = 500;
/// How many times as many values as were written aliases may make of a document.
const EXPANSION: usize = 100;

/// The documents of a file.
pub(crate) fn documents(text: &str, file: &Path) -> Result<Vec<Document>> {
    Reader::new(text, file).documents()
}

impl Resets {
    /// Forgets what a document says at these places; `above` are the keys that lead to it.
    pub(crate) fn apply(&self, node: &mut Node, above: &[&str]) {
        for path in &self.0 {
            if let Some((last, parents)) = path.get(above.len()..).and_then(<[_]>::split_last)
                && path.iter().zip(above).all(|(one, other)| one == other)
            {
                let parent =
                    parents.iter().try_fold(&mut *node, |node, key| node.as_map_mut()?.get_mut(key.as_str()));
                if let Some(map) = parent.and_then(Node::as_map_mut) {
                    map.remove(last.as_str());
                }
            }
        }
    }
}

/// A node as it is written: names unresolved, aliases shared.
#[derive(Debug)]
struct Written {
    content: Content,
    tag: Option<String>,
    place: Place,
    /// How deep values lie in this one.
    depth: usize,
}

#[derive(Debug)]
enum Content {
    Scalar { text: String, plain: bool },
    List(Vec<Rc<Written>>),
    Map(Vec<(Rc<Written>, Rc<Written>)>),
}

/// Reads events into written nodes.
struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    file: Arc<Path>,
    /// What anchors stand for, once it has been read to its end.
    anchors: HashMap<usize, Rc<Written>>,
    /// How many nodes were written.
    count: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, file: &Path) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut options = Options::default();
        options.emit_comments = false;
        options.block_scalar_eof_without_line_feed = true;
        let parser = Parser::new_from_str_with_options(text, options);
        Self { parser, file: file.into(), anchors: HashMap::new(), count: 0 }
    }

    fn documents(mut self) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(..), _) => {
                    self.count = 0;
                    let (event, span) = self.next()?;
                    let root = self.node(event, span)?;
                    documents.push(Builder::new(self.count).document(&root)?);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(ErrorKind::Syntax(error.info()).at(&self.place(error.marker()))),
            None => {
                Err(ErrorKind::Syntax("the document does not end".to_owned()).at(&Place::whole(&self.file)))
            }
        }
    }

    fn place(&self, mark: &Marker) -> Place {
        Place { file: self.file.clone(), line: mark.line(), column: mark.col() + 1 }
    }

    /// The node that begins with `event`, read to its end.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Rc<Written>> {
        let place = self.place(&span.start);
        self.count += 1;
        let (content, anchor, tag) = match event {
            Event::Alias(id) => {
                let inside = || Error::invalid(&place, "the value refers to itself");
                return self.anchors.get(&id).cloned().ok_or_else(inside);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (Content::Scalar { text: text.into_owned(), plain }, anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (Content::List(self.items()?), anchor, tag),
            Event::MappingStart(_, anchor, tag) => (Content::Map(self.members()?), anchor, tag),
            _ => return Err(ErrorKind::Syntax("a value was expected".to_owned()).at(&place)),
        };
        let depth = content.depth() + 1;
        if depth > DEPTH {
            return Err(ErrorKind::Syntax("values lie too deep in each other".to_owned()).at(&place));
        }
        let node = Rc::new(Written { content, tag: tag.as_deref().map(name_of), place, depth });
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Rc<Written>>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn members(&mut self) -> Result<Vec<(Rc<Written>, Rc<Written>)>> {
        let mut members = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(members),
                (event, span) => {
                    let name = self.node(event, span)?;
                    let (event, span) = self.next()?;
                    members.push((name, self.node(event, span)?));
                }
            }
        }
    }
}

impl Content {
    fn depth(&self) -> usize {
        let deepest = match self {
            Self::Scalar { .. } => None,
            Self::List(items) => items.iter().map(|item| item.depth).max(),
            Self::Map(members) => members.iter().flat_map(|(key, value)| [key.depth, value.depth]).max(),
        };
        deepest.unwrap_or_default()
    }
}

/// A tag by its short name: `!reset`, or `!!str` for one of YAML's own.
fn name_of(tag: &Tag) -> String {
    match tag.core_suffix() {
        Some(suffix) => format!("!!{suffix}"),
        None => format!("{}{}", tag.handle(), tag.suffix()),
    }
}

/// Makes values of written nodes.
struct Builder {
    resets: Vec<Vec<String>>,
    /// The names that lead to where it is.
    path: Vec<String>,
    /// How many values may still be made.
    left: usize,
}

impl Builder {
    fn new(written: usize) -> Self {
        Self { resets: Vec::new(), path: Vec::new(), left: written.saturating_mul(EXPANSION) }
    }

    fn document(mut self, root: &Written) -> Result<Document> {
        let value = self.build(root)?;
        let root = value.unwrap_or_else(|| Node::new(Value::Null, &root.place));
        Ok(Document { root, resets: Resets(self.resets) })
    }

    /// The value of a node; `None` for one that is taken back.
    fn build(&mut self, node: &Written) -> Result<Option<Node>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(ErrorKind::Syntax("aliases make too much of the document".to_owned()).at(&node.place));
        };
        self.left = left;
        match node.tag.as_deref() {
            Some("!reset") => {
                self.resets.push(self.path.clone());
                return Ok(None);
            }
            Some("!override") => self.resets.push(self.path.clone()),
            _ => {}
        }
        let value = match &node.content {
            Content::Scalar { text, plain } => scalar_value(text, *plain, node)?,
            Content::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    // Where in a list something was is never asked for: lists of two files are joined.
                    self.path.push(String::new());
                    list.extend(self.build(item)?);
                    self.path.pop();
                }
                Value::List(list)
            }
            Content::Map(members) => Value::Map(self.members(members)?),
        };
        Ok(Some(Node::new(value, &node.place)))
    }

    fn members(&mut self, members: &[(Rc<Written>, Rc<Written>)]) -> Result<Map> {
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        let mut map = Map::new();
        let mut merged = Vec::new();
        for (key, value) in members {
            let Content::Scalar { text, .. } = &key.content else {
                return Err(Error::invalid(
                    &key.place,
                    format!("{} is no string, as a name has to be", self.here()),
                ));
            };
            if let Some(line) = lines.insert(text, key.place.line) {
                let message = format!("`{text}` is already set in line {line}");
                return Err(Error::invalid(&key.place, message));
            }
            if is_merge(key) {
                merged.push(value);
                continue;
            }
            let name = self.name(key, text)?;
            self.path.push(name.name.clone());
            let value = self.build(value)?;
            self.path.pop();
            if let Some(value) = value {
                map.insert(name, value);
            }
        }
        for value in merged {
            self.merge(value, &mut map)?;
        }
        Ok(map)
    }

    fn name(&self, key: &Written, text: &str) -> Result<Key> {
        match scalar_value(text, matches!(key.content, Content::Scalar { plain: true, .. }), key)? {
            Value::String(name) => Ok(Key::new(name, &key.place)),
            _ => Err(Error::invalid(
                &key.place,
                format!("`{text}` in {} is no string, as a name has to be", self.here()),
            )),
        }
    }

    fn here(&self) -> String {
        if self.path.is_empty() { "the document".to_owned() } else { format!("`{}`", self.path.join(".")) }
    }

    /// Adds the members of the mappings that `<<` names and that the mapping does not have itself.
    fn merge(&mut self, node: &Written, map: &mut Map) -> Result<()> {
        let sources = match &node.content {
            Content::List(items) => items.iter().map(|item| &**item).collect(),
            _ => vec![node],
        };
        for source in sources {
            let Content::Map(members) = &source.content else {
                return Err(Error::invalid(&source.place, "`<<` takes a mapping or a list of mappings"));
            };
            for (key, value) in self.members(members)? {
                map.entry(key).or_insert(value);
            }
        }
        Ok(())
    }
}

fn is_merge(key: &Written) -> bool {
    let plain = matches!(&key.content, Content::Scalar { text, plain: true } if text == "<<");
    plain && key.tag.is_none()
}

fn scalar_value(text: &str, plain: bool, node: &Written) -> Result<Value> {
    match node.tag.as_deref() {
        None if plain => Ok(scalar::plain(text)),
        Some(tag) if let Some(tag) = tag.strip_prefix("!!") => scalar::tagged(tag, text)
            .ok_or_else(|| Error::invalid(&node.place, format!("`{text}` is no `!!{tag}`"))),
        _ => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn read(text: &str) -> Result<Vec<Document>> {
        documents(text, Path::new("compose.yaml"))
    }

    fn root(text: &str) -> Node {
        read(text).unwrap().remove(0).root
    }

    #[test]
    fn merge_keys_add_what_is_not_there() {
        let root = root("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]\n");
        assert_eq!(root.member("c").unwrap().text(), "map[x:1 y:1 z:3]");
    }

    #[test]
    fn what_is_tagged_is_taken_out_and_remembered() {
        let document = read("a:\n  b: !reset x\n  c: !override [1]\nd: [!reset 1, 2]\n").unwrap().remove(0);
        assert_eq!(document.root.text(), "map[a:map[c:[1]] d:[2]]");
        let mut earlier = root("a: {b: 1, c: [0], e: 5}\n");
        document.resets.apply(&mut earlier, &[]);
        assert_eq!(earlier.text(), "map[a:map[e:5]]");
    }

    #[test]
    fn a_merged_reset_counts_where_it_is_merged() {
        let document = read("x: &x {b: !reset 1}\na:\n  <<: *x\n").unwrap().remove(0);
        let mut earlier = root("a: {b: 1, c: 2}\n");
        document.resets.apply(&mut earlier, &[]);
        assert_eq!(earlier.text(), "map[a:map[c:2]]");
    }

    #[test]
    fn mistakes_have_a_place() {
        let cases = [
            ("a: b\na: c\n", "compose.yaml:2:1: `a` is already set in line 1"),
            ("a:\n  1: x\n", "compose.yaml:2:3: `1` in `a` is no string, as a name has to be"),
            ("a: &a\n  b: *a\n", "compose.yaml:2:6: the value refers to itself"),
            ("a:\n  <<: x\n", "compose.yaml:2:7: `<<` takes a mapping or a list of mappings"),
            ("a: !!int x\n", "compose.yaml:1:10: `x` is no `!!int`"),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
        let error = read("a: [b\n").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Syntax(_)) && error.to_string().starts_with("compose.yaml:"),
            "{error}"
        );
    }

    #[test]
    fn a_small_file_cannot_mean_a_gigantic_document() {
        let mut bomb = "x0: &x0 [1]\n".to_owned();
        for level in 1..20 {
            let aliases = format!("*x{}, ", level - 1).repeat(10);
            writeln!(bomb, "x{level}: &x{level} [{aliases}]").unwrap();
        }
        let error = read(&bomb).unwrap_err().to_string();
        assert!(error.contains("aliases make too much"), "{error}");
        let mut chain = "x0: &x0 [1]\n".to_owned();
        for level in 1..DEPTH {
            writeln!(chain, "x{level}: &x{level} [*x{}]", level - 1).unwrap();
        }
        assert!(read(&chain).unwrap_err().to_string().contains("too deep"));
    }
}
