//! What a command is run in: layers as directories, a directory for what it writes, and its user.

use std::path::PathBuf;

use cartwheel_oci::{Image, Layer, RegistryClient};
use cartwheel_sandbox::Sandbox;
use cartwheel_snapshot::{Marks, Shortfall, Snapshot, Snapshots};
use cartwheel_store::{Key, Store};

use crate::error::Result;
use crate::owner::{ProcessUser, process_user};
use crate::scratch::Scratch;
use crate::stage::StageState;

/// Sees to it that the store has a layer's bytes.
pub(crate) type Fetch<'f> = &'f (dyn Fn(&Layer) -> Result<()> + Sync);

/// The root file system of a command and its user. The layers stay, and what the command writes is kept, while this value lives.
#[derive(Debug)]
pub struct Container {
    layers: Vec<Snapshot>,
    lower: Vec<PathBuf>,
    upper: PathBuf,
    work: PathBuf,
    pub(crate) scratch: Scratch,
    pub(crate) user: ProcessUser,
}

impl Container {
    /// One of an image whose layers are in the store, or where it knows that they are. `user` is `user[:group]`, by name or number.
    pub fn of_image(store: &Store, image: Image, registries: &RegistryClient, user: &str) -> Result<Self> {
        let state = StageState::new(store, image, Some(registries));
        let user = known_user(store, &state, user)?;
        Self::new(store, &state, user)
    }

    /// One of a stage.
    pub(crate) fn of_stage(store: &Store, state: &StageState<'_>, user: &str) -> Result<Self> {
        Self::new(store, state, process_user(user, &|path| state.read(path))?)
    }

    /// One of layers, for root.
    pub(crate) fn of_layers(store: &Store, layers: &[Layer], fetch: Fetch<'_>) -> Result<Self> {
        let user = ProcessUser { uid: 0, gid: 0, groups: vec![0], home: "/root".to_owned() };
        Self::with(store, (layers, fetch), user)
    }

    fn new(store: &Store, state: &StageState<'_>, user: ProcessUser) -> Result<Self> {
        Self::with(store, (state.image.layers(), &|layer| state.fetch(layer)), user)
    }

    fn with(store: &Store, (layers, fetch): (&[Layer], Fetch<'_>), user: ProcessUser) -> Result<Self> {
        let snapshots = Snapshots::open(&store.root().join("snapshots"), marks())?;
        let layers = snapshots.stack(layers, |layer| {
            fetch(layer)?;
            Ok::<_, crate::Error>(store.expect_blob(layer.descriptor.digest)?)
        })?;
        let scratch = Scratch::new(store)?;
        let mut lower: Vec<PathBuf> = layers.iter().map(|layer| layer.path().to_owned()).collect();
        if lower.is_empty() {
            lower.push(scratch.folder("empty")?);
        }
        let (upper, work) = (scratch.folder("upper")?, scratch.folder("work")?);
        Ok(Self { layers, lower, upper, work, scratch, user })
    }

    /// A sandbox over its files for its user, with everything else as by default. It is run once.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox {
            lower: self.lower.clone(),
            upper: self.upper.clone(),
            work: self.work.clone(),
            uid: self.user.uid,
            gid: self.user.gid,
            groups: self.user.groups.clone(),
            ..Sandbox::default()
        }
    }

    /// The home of its user.
    pub fn home(&self) -> &str {
        &self.user.home
    }

    /// What of the layers is not there for commands, if not all is: without root, not everything can be extracted.
    pub fn lacking(&self) -> Option<String> {
        let sum =
            self.layers.iter().map(Snapshot::shortfall).fold(Shortfall::default(), |sum, more| Shortfall {
                owners: sum.owners + more.owners,
                devices: sum.devices + more.devices,
                attributes: sum.attributes + more.attributes,
            });
        let Shortfall { owners, devices, attributes } = sum;
        let text = format!(
            "commands see {owners} files that belong to another user than the image says, and neither {devices} of its devices nor {attributes} of its extended attributes: this user cannot make them"
        );
        (!sum.is_empty()).then_some(text)
    }
}

/// The user of an image, which is looked up once: to find `/etc/passwd`, one has to know what all layers have.
///
/// The state is that of nothing but the image, so its chain names the layers.
fn known_user(store: &Store, state: &StageState<'_>, user: &str) -> Result<ProcessUser> {
    let key = Key::new().with("layers", state.chain).with("user", user);
    if let Some(known) = store.get(&key) {
        return Ok(known);
    }
    let found = process_user(user, &|path| state.read(path))?;
    store.put(&key, &found)?;
    Ok(found)
}

/// How overlays of this process mark what was deleted.
pub(crate) fn marks() -> Marks {
    if cartwheel_sandbox::overlay_is_user() { Marks::User } else { Marks::Trusted }
}
