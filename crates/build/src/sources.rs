//! What a `COPY` or `ADD` takes: the files of its sources, with their contents found or named.

use std::borrow::Cow;

use cartwheel_dockerfile::{Copy, CopySource, Glob, InlineFile};
use cartwheel_oci::Platform;
use cartwheel_oci::layer::{Content, Kind};
use cartwheel_store::{Digest, Store};
use cartwheel_transfer::redact;

use crate::context::GitSource;
use crate::contexts::{Context, unpacked};
use crate::copy::{Changes, Choice, Load, ModeChange, Picked, Piece, Whole, place_of_both, select, single};
use crate::downloads::download;
use crate::error::{ErrorKind, Result};
use crate::execute::{BuildOptions, Engine};
use crate::files::FileSet;
use crate::graph::CopyFrom;
use crate::owner::owner;
use crate::stage::StageState;

/// The sources of one `COPY`.
pub(crate) struct Sources<'s, 'a> {
    store: &'a Store,
    /// How URLs are fetched, and repositories.
    options: &'a BuildOptions<'a>,
    from: Origin<'s, 'a>,
    /// What was picked, if that had to be known to name it.
    pieces: Option<Vec<Piece>>,
}

/// Where the paths of a `COPY` or a mount are looked up.
pub(crate) enum Origin<'s, 'a> {
    Context(&'s Context),
    Stage(&'s StageState<'a>),
    Image(Box<StageState<'a>>),
    Nothing,
}

impl<'a> Engine<'a> {
    /// The sources of a `COPY`. Those in a context are picked and hashed, for that is what names them; those in a stage are
    /// named by what the stage is made of.
    pub(crate) fn sources<'s>(
        &'s self,
        copy: &Copy,
        from: &CopyFrom,
        platform: &Platform,
        done: &'s [StageState<'a>],
    ) -> Result<Sources<'s, 'a>> {
        let from = self.origin(from, platform, done)?;
        let mut sources = Sources { store: self.workshop.store, options: self.options, from, pieces: None };
        if matches!(sources.from, Origin::Context(_) | Origin::Nothing) {
            sources.pieces = Some(sources.pick(copy, |_| {})?);
        }
        Ok(sources)
    }

    /// What the graph says files come from. `done` are the stages before this one.
    pub(crate) fn origin<'s>(
        &'s self,
        from: &CopyFrom,
        platform: &Platform,
        done: &'s [StageState<'a>],
    ) -> Result<Origin<'s, 'a>> {
        Ok(match from {
            CopyFrom::Context(name) => Origin::Context(self.workshop.contexts.get(name.as_deref())?),
            CopyFrom::Stage(index) => Origin::Stage(&done[*index]),
            CopyFrom::Image(reference) => {
                let images = self.workshop.images;
                let image = images.open(reference, platform)?;
                Origin::Image(Box::new(StageState::new(self.workshop.store, image, images.registries())))
            }
            CopyFrom::Nothing => Origin::Nothing,
        })
    }
}

impl Sources<'_, '_> {
    /// Names what is taken and how it is changed, for the chain.
    pub(crate) fn identity(&self, copy: &Copy) -> String {
        let content = match (&self.from, &self.pieces) {
            (_, Some(pieces)) => Load::name(pieces).to_string(),
            (Origin::Stage(stage), None) => stage.chain.to_string(),
            (Origin::Image(stage), None) => stage.chain.to_string(),
            (Origin::Context(_) | Origin::Nothing, None) => String::new(),
        };
        let words = |list: &[String]| list.join("\0");
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let sources: Vec<String> = copy.sources.iter().map(named).collect();
        [
            "copy".to_owned(),
            content,
            words(&sources),
            copy.destination.clone(),
            text(&copy.chown),
            text(&copy.chmod),
            words(&copy.exclude),
            format!("{} {} {}", copy.is_add, copy.link, copy.parents),
            copy.unpack.map_or("by kind", |unpack| if unpack { "unpacked" } else { "as it is" }).to_owned(),
        ]
        .join("\n")
    }

    /// What is taken, with its contents, ready to be placed in a stage. `mtime` is the time that it will have.
    pub(crate) fn load(mut self, copy: &Copy, destination: &StageState<'_>, mtime: u64) -> Result<Load> {
        let whole = self.whole(copy, destination, mtime)?;
        let pieces = match self.pieces.take() {
            Some(pieces) => pieces,
            None => self.pick(copy, |picked| whole.leave_out(picked))?,
        };
        let read = |path: &str| destination.read(path);
        let changes = Changes {
            owner: copy.chown.as_deref().map(|text| owner(text, &read)).transpose()?,
            mode: copy.chmod.as_deref().map(ModeChange::parse).transpose()?,
        };
        Ok(Load { pieces, whole, destination: copy.destination.clone(), changes, link: copy.link })
    }

    /// What the destination has already, or can have as layers: of a directory of a stage that goes to its own place and is
    /// not changed on the way.
    fn whole(&self, copy: &Copy, destination: &StageState<'_>, mtime: u64) -> Result<Whole> {
        let source = match &self.from {
            Origin::Stage(stage) => stage,
            Origin::Image(stage) => &**stage,
            Origin::Context(_) | Origin::Nothing => return Ok(Whole::default()),
        };
        let is_changed = copy.chown.is_some() || copy.chmod.is_some() || !copy.exclude.is_empty();
        let [CopySource::Path(path)] = &copy.sources[..] else { return Ok(Whole::default()) };
        if is_changed || copy.link || copy.parents || Glob::is_wild(path) {
            return Ok(Whole::default());
        }
        match place_of_both(source.below()?, destination.below()?, path, &copy.destination) {
            Some(root) => Whole::of(source, destination, &root, mtime),
            None => Ok(Whole::default()),
        }
    }

    /// What is taken; `leave_out` takes away from it what needs no contents.
    fn pick(&self, copy: &Copy, leave_out: impl Fn(&mut Picked)) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let choice = Choice { exclude: copy.exclude.clone(), parents: copy.parents };
        let files = self.from.files()?;
        for source in &copy.sources {
            match source {
                CopySource::Path(path) => {
                    for mut picked in select(&files, path, &choice)? {
                        leave_out(&mut picked);
                        self.from.fill(self.store, &mut picked)?;
                        pieces.push(self.piece(picked, copy.unpack.unwrap_or(copy.is_add))?);
                    }
                }
                CopySource::Heredoc(InlineFile { name, content }) => {
                    let content = Content::Bytes(content.clone().into_bytes());
                    pieces.push(Piece::Files(single(name, content, None, 0o644)));
                }
                CopySource::Url(url) => {
                    let picked = download(self.store, &self.options.fetch, url, copy.checksum.as_deref())?;
                    pieces.push(self.piece(picked, copy.unpack.unwrap_or_default())?);
                }
                CopySource::Git(url) => {
                    pieces.push(self.repository(url, copy)?);
                }
            }
        }
        Ok(pieces)
    }

    /// The files of a repository: all of them, as of a directory.
    fn repository(&self, url: &str, copy: &Copy) -> Result<Piece> {
        let remote = || redact(url);
        let source = GitSource::parse(url).ok_or_else(|| ErrorKind::SourceNotFound { path: remote() })?;
        let source = source.at_commit(copy.checksum.as_deref());
        let source = source.keeping_records(copy.keep_git_dir.unwrap_or_default());
        let git = self.options.git.as_ref().ok_or_else(|| ErrorKind::NoGit { remote: remote() })?;
        let context = Context::new(source.files(self.store, git)?);
        let choice = Choice { exclude: copy.exclude.clone(), parents: false };
        let mut files = Vec::new();
        for mut picked in select(context.files(), "/", &choice)? {
            context.fill(self.store, &mut picked.files)?;
            files.push(picked);
        }
        files.pop().map(Piece::Files).ok_or_else(|| ErrorKind::SourceNotFound { path: remote() }.into())
    }

    /// What was picked; unpacked if it is an archive and archives are to be unpacked.
    fn piece(&self, picked: Picked, unpack: bool) -> Result<Piece> {
        if let (true, false, [file]) = (unpack, picked.is_directory, &picked.files[..])
            && let Some(content) = file.node.entry.kind.content()
            && let Some(files) = unpacked(self.store, content)?
        {
            return Ok(Piece::Unpacked(files));
        }
        Ok(Piece::Files(picked))
    }
}

impl Origin<'_, '_> {
    /// All its files, without the contents of those that are in layers.
    pub(crate) fn files(&self) -> Result<Cow<'_, FileSet>> {
        Ok(match self {
            Self::Context(context) => Cow::Borrowed(context.files()),
            Self::Stage(stage) => Cow::Owned(stage.files()?),
            Self::Image(stage) => Cow::Owned(stage.files()?),
            Self::Nothing => Cow::Owned(FileSet::default()),
        })
    }

    /// Puts contents and digests into what was picked.
    pub(crate) fn fill(&self, store: &Store, picked: &mut Picked) -> Result<()> {
        match self {
            Self::Context(context) => context.fill(store, &mut picked.files),
            Self::Stage(stage) => fill_from(stage, picked),
            Self::Image(stage) => fill_from(stage, picked),
            Self::Nothing => Ok(()),
        }
    }
}

fn fill_from(stage: &StageState<'_>, picked: &mut Picked) -> Result<()> {
    for file in &mut picked.files {
        if matches!(file.node.entry.kind, Kind::File(_)) {
            file.node.entry.kind = Kind::File(stage.content(&file.place)?);
            file.node.digest = Some(stage.digest(&file.place)?);
        }
    }
    Ok(())
}

fn named(source: &CopySource) -> String {
    match source {
        CopySource::Path(text) => text.clone(),
        CopySource::Url(url) | CopySource::Git(url) => redact(url),
        CopySource::Heredoc(file) => format!("{}\0{}", file.name, Digest::of(file.content.as_bytes())),
    }
}
