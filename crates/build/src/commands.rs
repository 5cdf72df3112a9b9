//! `RUN`: a command that is an install is done as one, and every other is run (`running`).
//!
//! Recognition is pure; here its result meets the stage. What it assumed is checked, its Python is found, the requirement
//! files that it names are read from the stage or from what is mounted, and what is installed below counts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::{CopyFrom, MountKind, Network, Run};
use cartwheel_oci::Below;
use cartwheel_python::{
    Files, InstallRules, InstalledDistribution, LockSelection, Requirements, Resolution, ResolveRequest,
    ResolveSource, Scheme, Tool,
};
use cartwheel_store::{Digest, Hasher};
use cartwheel_transfer::without_credentials;

use crate::bytecode::Compiling;
use crate::error::{ErrorKind, Result};
use crate::execute::{At, Done, Engine};
use crate::graph::CopyFrom as GraphCopyFrom;
use crate::install::{PackRecord, Place, plan_install};
use crate::installed::installed;
use crate::interpreter::Interpreter;
use crate::plan::StepState;
use crate::projects::planned;
use crate::recognise::{
    Asked, Assumption, Destination, InstallCommand, Installer, PythonChoice, Recognised, RequirementFile,
    RunCommand, RunMount, Script, Selection, recognise,
};
use crate::running::name_mounts;
use crate::scratch::Scratch;
use crate::stage::StageState;

/// Why a command has to be run.
type Reason = String;

impl<'a> Engine<'a> {
    /// Does what a `RUN` asks for, if it is an install that is understood to the last word.
    pub(crate) fn run_command(
        &self,
        at: At<'_>,
        (run, from): (&Run, &[GraphCopyFrom]),
        state: &mut StageState<'a>,
        done: &[StageState<'a>],
    ) -> Result<Done> {
        let mounts = Mounts { run, engine: self };
        // Where nothing can be run, nothing is compiled.
        let runs = self.can_run(&at.stage.platform).is_ok();
        let what = self.named(run, name_mounts(self, at, (run, from), done)?, runs);
        self.cached(at, state, &what, |state| {
            let recognised = match recognised(run, state)? {
                Ok(recognised) => recognised,
                Err(reason) => return self.has_to_run(at, (run, from), (state, done), &reason),
            };
            let mut stage = state.child();
            let mut made = PackRecord::default();
            let mut came = Done::new(StepState::Spliced);
            for (number, command) in recognised.installs.iter().enumerate() {
                let step = format!("{number} {}", at.op.created_by);
                match self.command(command, &mounts, (&stage, &step))? {
                    Ok(Installed { packed, details }) => {
                        stage.push_all(&packed, &at.op.created_by)?;
                        made.layers.extend(packed.layers);
                        made.warnings.extend(packed.warnings);
                        came.details.extend(details);
                    }
                    Err(reason) => return self.has_to_run(at, (run, from), (state, done), &reason),
                }
            }
            Ok((made, came))
        })
    }

    fn has_to_run(
        &self,
        at: At<'_>,
        command: (&Run, &[GraphCopyFrom]),
        (state, done): (&mut StageState<'a>, &[StageState<'a>]),
        reason: &str,
    ) -> Result<(PackRecord, Done)> {
        if self.only_plan {
            let done = Done { state: StepState::Sandbox, details: vec![reason.to_owned()] };
            return Ok((PackRecord::default(), done));
        }
        self.run_in_sandbox(at, command, (state, done), reason)
    }

    /// Names a command for the chain: its words, what it sees, and what is mounted. Credentials in URLs are no part of it.
    fn named(&self, run: &Run, mounts: String, runs: bool) -> String {
        let mut hasher = Hasher::default();
        for (name, value) in &run.env {
            hasher.update(format!("{name}={}\n", without_credentials(value)).as_bytes());
        }
        let index = &self.options.index;
        let places = [
            index.index_url.iter().cloned().collect(),
            index.extra_index_urls.clone(),
            index.find_links.clone(),
        ];
        let places: Vec<String> = places.concat().iter().map(|place| without_credentials(place)).collect();
        let words: Vec<String> = run.argv.iter().map(|word| without_credentials(word)).collect();
        let script = run.file.as_ref().map_or("", |file| &file.content);
        let is_alone = self.options.run.network_of(run) == Network::None;
        [
            "run".to_owned(),
            words.join("\0"),
            run.working_dir.clone(),
            run.user.clone(),
            hasher.finish().to_string(),
            places.join("\0"),
            format!("{} {}", index.no_index, index.pre),
            format!("{is_alone} {}", run.insecure),
            format!("{runs}"),
            Digest::of(script.as_bytes()).to_string(),
            mounts,
        ]
        .join("\n")
    }

    /// Installs what one command asks for. What was chosen for the same `step` of an older build is preferred.
    fn command(
        &self,
        command: &InstallCommand,
        mounts: &Mounts<'_, '_>,
        (state, step): (&StageState<'a>, &str),
    ) -> Result<Result<Installed, Reason>> {
        if let Some(reason) = beyond(command) {
            return Ok(Err(reason));
        }
        let path =
            mounts.run.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
        let interpreter = match Interpreter::choose(&command.python, path, state)? {
            Ok(interpreter) => interpreter,
            Err(reason) => return Ok(Err(reason)),
        };
        let below = state.below()?;
        let tool = tool(command.installer, &interpreter.scheme, below);
        let own = seen_by(tool, interpreter.scheme.clone(), &command.python, below);
        if let Some(path) = settings_file(command, &own, mounts.run, state)? {
            return Ok(Err(format!("`{path}` may say more about it")));
        }
        let scheme = scheme(&own, &command.destination, tool);
        if matches!(command.destination, Destination::Target(_))
            && below.children(scheme.library().trim_start_matches('/')).next().is_some()
        {
            return Ok(Err(format!("`{}` is not empty", scheme.library())));
        }
        let library = library(&own, &scheme, &command.destination, tool);
        let there = library.map(|library| installed(below, library)).unwrap_or_default();
        let scratch = Scratch::new(self.workshop.store)?;
        let source = match asked(command, mounts, state, &scratch)? {
            Ok(source) => source,
            Err(reason) => return Ok(Err(reason)),
        };
        // Requirements bring what the command says of indexes with them; a lock is compared with its project by uv.
        let index = match command.asked {
            Asked::Lock(_) => self.options.index.clone().with(&command.options),
            Asked::Requirements { .. } => self.options.index.clone(),
        };
        let request = ResolveRequest {
            uv: self.options.uv.clone().unwrap_or_default(),
            interpreter: self.options.interpreter.clone(),
            folder: PathBuf::from("/"),
            source,
            target: interpreter.target,
            index,
            no_dependencies: !command.dependencies,
            rules: InstallRules {
                strategy: command.strategy,
                installed: library.map(|library| distributions(below, library)).unwrap_or_default(),
                upgrade: command.upgrade.clone(),
                reinstall: command.reinstall,
            },
            previous: None,
        };
        let (resolution, fetch) = self.resolve(request, step)?;
        if let Some(name) = removed(command, &there, &resolution) {
            return Ok(Err(format!("it removes `{name}`, which the lockfile does not have")));
        }
        let compiling = if command.bytecode {
            self.compiling((state, &interpreter), &mounts.run.env)?
        } else {
            Compiling::default()
        };
        let place = Place {
            below,
            scheme: &scheme,
            installed: &there,
            epoch: self.options.epoch,
            budget: self.options.budget.saturating_sub(1),
            tool,
            bytecode: compiling.identity.clone(),
        };
        let plan = plan_install(self.workshop.store, resolution.packages, &place);
        let satisfied =
            resolution.satisfied.iter().map(|package| format!("{} (there already)", package.name));
        let details: Vec<String> = planned(&plan).details.into_iter().chain(satisfied).collect();
        if self.only_plan {
            return Ok(Ok(Installed { packed: PackRecord::default(), details }));
        }
        Ok(Ok(Installed { packed: self.install(&plan, &place, (&fetch, &compiling))?, details }))
    }
}

/// What a command asks for, as resolving takes it. `scratch` must be there until that is done.
fn asked(
    command: &InstallCommand,
    mounts: &Mounts<'_, '_>,
    state: &StageState<'_>,
    scratch: &Scratch,
) -> Result<Result<ResolveSource, Reason>> {
    let (words, wheels, files) = match &command.asked {
        Asked::Lock(selection) => return lock(selection, mounts, state, scratch).map(Ok),
        Asked::Requirements { words, wheels, files } => (words, wheels, files),
    };
    if let Some((place, _)) = wheels.first() {
        return Ok(Err(format!("`{}` is a wheel of the image", place.path)));
    }
    let mut requirements = Requirements { options: command.options.clone(), ..Requirements::default() };
    for word in words {
        requirements.add(word.clone());
    }
    // Variables in requirement files are those that the command sees.
    let variable =
        |name: &str| mounts.run.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let read = |path: &Path| mounts.read(state, path);
    let exists = |path: &Path| mounts.read(state, path).is_ok();
    let source = Files { read: &read, exists: &exists };
    for file in files {
        match file {
            RequirementFile::Requirements(place) => {
                requirements.add_file_from(source, Path::new(&place.path), false, &variable)?;
            }
            RequirementFile::Constraints(place) => {
                requirements.add_file_from(source, Path::new(&place.path), true, &variable)?;
            }
            RequirementFile::Project { place, .. } | RequirementFile::Pylock(place) => {
                return Ok(Err(format!("`{}` is no list of requirements", place.path)));
            }
        }
    }
    if let Err(reason) = copy_links(&mut requirements.options.find_links, mounts, state, scratch)? {
        return Ok(Err(reason));
    }
    Ok(Ok(ResolveSource::Requirements(requirements)))
}

/// Copies the wheels of the image's folders to where uv can read them.
fn copy_links(
    links: &mut [String],
    mounts: &Mounts<'_, '_>,
    state: &StageState<'_>,
    scratch: &Scratch,
) -> Result<Result<(), Reason>> {
    for (number, link) in links.iter_mut().enumerate().filter(|(_, link)| !link.contains("://")) {
        let is_mounted = |mount: &cartwheel_dockerfile::Mount| Path::new(link).starts_with(&mount.target);
        if !link.starts_with('/') || mounts.run.mounts.iter().any(is_mounted) {
            return Ok(Err(format!("`{link}` is no folder of the image")));
        }
        let below = state.below()?;
        let Some(folder) = below.resolve(link) else { return Ok(Err(format!("`{link}` leads nowhere"))) };
        let copy = scratch.folder(&format!("links-{number}"))?;
        for (path, _) in below.children(&folder) {
            let name = path.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
            if !name.contains('/')
                && name.strip_suffix(".whl").is_some()
                && let Some(bytes) = state.read_bytes(path)?
            {
                let copied = copy.join(name);
                std::fs::write(&copied, bytes).map_err(crate::Error::io("write", &copied))?;
            }
        }
        *link = copy.display().to_string();
    }
    Ok(Ok(()))
}

/// A project's lockfile, copied to where uv can read it.
fn lock(
    selection: &Selection,
    mounts: &Mounts<'_, '_>,
    state: &StageState<'_>,
    scratch: &Scratch,
) -> Result<ResolveSource> {
    let project = scratch.folder("project")?;
    for name in ["uv.lock", "pyproject.toml"] {
        let path = format!("{}/{name}", selection.project.trim_end_matches('/'));
        let read = mounts.read(state, Path::new(&path));
        let bytes = read.map_err(|_| ErrorKind::SourceNotFound { path: path.clone() })?;
        let copied = project.join(name);
        std::fs::write(&copied, bytes).map_err(crate::Error::io("write", &copied))?;
    }
    let selection = LockSelection { options: selection.options.clone(), frozen: selection.frozen };
    Ok(ResolveSource::UvLock { project, selection })
}

/// What a command came to.
struct Installed {
    packed: PackRecord,
    details: Vec<String>,
}

/// The bind mounts of a command, as far as their files matter.
struct Mounts<'m, 'a> {
    run: &'m Run,
    engine: &'m Engine<'a>,
}

impl Mounts<'_, '_> {
    /// A file that the command sees: of a mount, or of the stage.
    fn read(&self, state: &StageState<'_>, path: &Path) -> io::Result<Vec<u8>> {
        let text = path.to_string_lossy();
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        for mount in self.run.mounts.iter().rev() {
            let Some(rest) = text.strip_prefix(mount.target.as_str()) else { continue };
            if !(rest.is_empty() || rest.starts_with('/')) {
                continue;
            }
            let MountKind::Bind { from, source } = &mount.kind else { return Err(missing()) };
            let CopyFrom::Context = from else {
                return Err(io::Error::other("it is mounted from another stage or image"));
            };
            let context = self.engine.workshop.contexts.get(None).map_err(io::Error::other)?;
            let place = format!("{}{rest}", source.trim_end_matches('/'));
            return context.read(&place).map_err(io::Error::other)?.ok_or_else(missing);
        }
        let found = state.read_bytes(&text).map_err(io::Error::other)?;
        found.ok_or_else(missing)
    }
}

/// What a command does, if it is understood and what it assumes is true.
fn recognised(run: &Run, state: &StageState<'_>) -> Result<Result<Recognised, Reason>> {
    if run.file.is_some() {
        return Ok(Err("it is a script with a `#!` line".to_owned()));
    }
    if run.network == Network::None || run.insecure || !run.devices.is_empty() {
        return Ok(Err("it asks for a network, security or devices of its own".to_owned()));
    }
    let environment: BTreeMap<String, String> = run.env.iter().cloned().collect();
    let home = home(run, state)?;
    let mounts: Vec<RunMount> = run.mounts.iter().map(mount).collect();
    let script = match &run.script {
        Some(text) => Script::Shell { shell: &run.shell, text },
        None => Script::Exec(&run.argv),
    };
    let command = RunCommand {
        script,
        environment: &environment,
        working_dir: if run.working_dir.is_empty() { "/" } else { &run.working_dir },
        user: &run.user,
        home: home.as_deref(),
        mounts: &mounts,
    };
    let recognised = match recognise(&command) {
        Ok(recognised) => recognised,
        Err(not) => return Ok(Err(not.to_string())),
    };
    for assumption in &recognised.assumptions {
        if !holds(assumption, state.below()?) {
            return Ok(Err(match assumption {
                Assumption::Directory(path) => format!("`{path}` is no directory of the image"),
                Assumption::Absent(path) => format!("it removes `{path}`, which is there"),
                Assumption::Unmatched { pattern, .. } => format!("`{pattern}` is a pattern that files match"),
            }));
        }
    }
    Ok(Ok(recognised))
}

fn home(run: &Run, state: &StageState<'_>) -> Result<Option<String>> {
    if let Some((_, home)) = run.env.iter().rev().find(|(name, _)| name == "HOME") {
        return Ok(Some(home.clone()));
    }
    let user = run.user.split(':').next().unwrap_or_default();
    let passwd = state.read("etc/passwd")?.unwrap_or_default();
    let is_user = |line: &&str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next(), fields.nth(1));
        if user.is_empty() { number == Some("0") } else { name == Some(user) || number == Some(user) }
    };
    let home = passwd.lines().find(is_user).and_then(|line| line.split(':').nth(5)).map(str::to_owned);
    Ok(home.or_else(|| user.is_empty().then(|| "/root".to_owned())))
}

fn mount(mount: &cartwheel_dockerfile::Mount) -> RunMount {
    let target = mount.target.clone();
    match &mount.kind {
        MountKind::Bind { .. } => RunMount::Bind { target },
        MountKind::Cache { .. } => RunMount::Cache { target },
        MountKind::Tmpfs { .. } => RunMount::Unsupported("tmpfs".to_owned()),
        MountKind::Secret { .. } => RunMount::Unsupported("secret".to_owned()),
        MountKind::Ssh { .. } => RunMount::Unsupported("ssh".to_owned()),
    }
}

fn holds(assumption: &Assumption, below: &Below) -> bool {
    let at = |path: &str| below.resolve(path).and_then(|place| Some((below.get(&place)?, place)));
    match assumption {
        Assumption::Directory(path) => {
            path.trim_matches('/').is_empty() || at(path).is_some_and(|(node, _)| node.is_directory())
        }
        Assumption::Absent(path) => at(path).is_none(),
        Assumption::Unmatched { folder, pattern } => {
            let Some(folder) = below.resolve(folder) else { return false };
            let Some(glob) = cartwheel_dockerfile::Glob::parse(pattern) else { return true };
            let name =
                |path: &str| path.get(folder.len()..).unwrap_or_default().trim_start_matches('/').to_owned();
            !below.children(&folder).any(|(path, _)| glob.matches(&name(path)))
        }
    }
}

/// Why a command is beyond what is done without running it, although every word of it is understood.
fn beyond(command: &InstallCommand) -> Option<Reason> {
    let is_target = matches!(command.destination, Destination::Target(_));
    let is_lock = matches!(command.asked, Asked::Lock(_));
    let asks_project = match &command.asked {
        Asked::Lock(selection) => !selection.without_project,
        Asked::Requirements { .. } => false,
    };
    let reasons = [
        (command.reinstall && !is_target, "what is there would be removed and installed again"),
        (command.exact && !is_lock, "it removes what is not asked for"),
        (asks_project, "it may install the project itself (`--no-install-project` leaves it out)"),
        (command.certificates.is_some(), "it trusts certificates of the image"),
        (!command.python_path.is_empty(), "`PYTHONPATH` names more places of distributions"),
        (command.owner.is_some(), "it installs as another user than root"),
    ];
    reasons.into_iter().find(|(is_so, _)| *is_so).map(|(_, reason)| reason.to_owned())
}

/// A distribution that an exact command removes; those that uv spares are none.
fn removed<'i>(
    command: &InstallCommand,
    there: &'i BTreeMap<String, crate::installed::Installed>,
    resolution: &Resolution,
) -> Option<&'i str> {
    let stays = |name: &str| {
        matches!(name, "pip" | "setuptools" | "wheel")
            || resolution.packages.iter().any(|wheel| wheel.name == name)
            || resolution.satisfied.iter().any(|package| package.name == name)
    };
    there.keys().map(String::as_str).find(|name| command.exact && !stays(name))
}

/// What installs: pips of different ages write different scripts.
fn tool(installer: Installer, own: &Scheme, below: &Below) -> Tool {
    match installer {
        Installer::Pip => {
            installed(below, &own.purelib).get("pip").map_or(Tool::default(), |pip| Tool::pip(&pip.version))
        }
        Installer::Uv => Tool::Uv,
    }
}

/// The scheme of a Python as a tool sees it, which writes into scripts by which name it was called, or, as uv, found it.
fn seen_by(tool: Tool, own: Scheme, choice: &PythonChoice, below: &Below) -> Scheme {
    let bin = own.python.rsplit_once('/').map_or("", |(bin, _)| bin);
    let called = match choice {
        PythonChoice::Program(name) => name.rsplit('/').next().filter(|name| name.starts_with("python")),
        _ => None,
    };
    let names: &[&str] = if tool == Tool::Uv { &["python", "python3"] } else { &[] };
    let mut names = called.iter().chain(names).map(|name| format!("{bin}/{name}"));
    match names.find(|name| below.get(name.trim_start_matches('/')).is_some()) {
        Some(python) => Scheme { python, ..own },
        None => own,
    }
}

/// A file of the image in which the tool may find settings that nobody has read here.
fn settings_file(
    command: &InstallCommand,
    own: &Scheme,
    run: &Run,
    state: &StageState<'_>,
) -> Result<Option<String>> {
    let variable =
        |name: &str| run.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let home = home(run, state)?.unwrap_or_default();
    let user = variable("XDG_CONFIG_HOME").map_or(format!("{home}/.config"), str::to_owned);
    let below = state.below()?;
    let is_there = |path: &String| below.resolve(path).is_some_and(|place| below.get(&place).is_some());
    let mut files = match command.installer {
        Installer::Pip if variable("PIP_CONFIG_FILE") == Some("/dev/null") => Vec::new(),
        Installer::Pip => vec![
            "/etc/pip.conf".to_owned(),
            "/etc/xdg/pip/pip.conf".to_owned(),
            format!("{home}/.pip/pip.conf"),
            format!("{user}/pip/pip.conf"),
            format!("{}/pip.conf", own.data.trim_end_matches('/')),
        ],
        Installer::Uv => vec!["/etc/uv/uv.toml".to_owned(), format!("{user}/uv/uv.toml")],
    };
    if command.installer == Installer::Uv {
        let folders = Path::new(&run.working_dir).ancestors();
        files.extend(folders.map(|folder| folder.join("uv.toml").display().to_string()));
    }
    Ok(files.into_iter().find(is_there))
}

/// Where a command's packages go.
fn scheme(own: &Scheme, destination: &Destination, tool: Tool) -> Scheme {
    match destination {
        Destination::Default => own.clone(),
        Destination::Prefix(prefix) => own.with_prefix(prefix, tool),
        Destination::User(base) => own.with_user(base),
        Destination::Target(folder) => own.with_target(folder, tool),
    }
}

/// The Python whose packages count as installed for a command: pip sees those of its Python, uv those of the destination.
fn library<'s>(
    own: &'s Scheme,
    destined: &'s Scheme,
    destination: &Destination,
    tool: Tool,
) -> Option<&'s str> {
    match (destination, tool) {
        (Destination::Default, _) | (Destination::Prefix(_) | Destination::User(_), Tool::Pip(_)) => {
            Some(&own.purelib)
        }
        (Destination::Target(_), Tool::Pip(_)) => None,
        (_, Tool::Uv) => Some(destined.library()),
    }
}

/// The distributions that are installed in a library, with what they need.
fn distributions(below: &Below, library: &str) -> Vec<InstalledDistribution> {
    let library = library.trim_start_matches('/');
    let metadata = below.children(library).filter(|(path, _)| path.ends_with(".dist-info/METADATA"));
    metadata.filter_map(|(_, node)| InstalledDistribution::parse(node.extract()?)).collect()
}
