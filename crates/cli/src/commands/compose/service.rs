//! A service as what `cartwheel build` takes, or the key of its `build` that asks for what cannot be done.

use std::error::Error;
use std::path::{Path, PathBuf};

use cartwheel_compose::{Build, Place, Project, Secret, SecretSource, Service};
use cartwheel_oci::{Platform, Reference};

use crate::args::{BuildArguments, ComposeBuildArguments, InlineDockerfile, KeyValue, RunArguments};
use crate::error::Failure;
use crate::settings::Settings;

/// What is wanted of all services.
pub(super) struct Wishes<'a> {
    pub(super) project: &'a Project,
    pub(super) build: &'a ComposeBuildArguments,
    pub(super) settings: &'a Settings,
}

impl Wishes<'_> {
    /// The build of one service.
    pub(super) fn arguments(&self, service: &Service) -> Result<BuildArguments, Failure> {
        // `build_order` gives services with a build only.
        let Some(build) = &service.build else { return Ok(BuildArguments::default()) };
        refuse_what_is_not_there(build)?;
        let all = self.build;
        Ok(BuildArguments {
            context: PathBuf::from(&build.context),
            file: build.dockerfile.as_deref().map(|file| dockerfile(build, file)),
            inline: inline(build),
            tags: self.names(service, build)?,
            target: build.target.clone(),
            build_args: self.build_args(build),
            build_contexts: self.contexts(build)?,
            own_images: self.own_images(build)?,
            platforms: self.platforms(service, build)?,
            labels: self.labels(service, build),
            push: all.push && service.image.is_some(),
            load: all.load,
            pull: all.pull || build.pull,
            no_cache: all.no_cache || build.no_cache,
            no_cache_filter: build.no_cache_filter.clone(),
            progress: all.progress,
            quiet: all.quiet,
            run: self.run(build)?,
            ..BuildArguments::default()
        })
    }

    fn names(&self, service: &Service, build: &Build) -> Result<Vec<Reference>, Failure> {
        let place = if service.image.is_some() { &service.place } else { build.place_of("context") };
        let image = self.project.image_name(service);
        let image = image.parse().map_err(|error| wrong(place, "image", &error))?;
        let tags = build
            .tags
            .iter()
            .map(|tag| tag.parse().map_err(|error| wrong(build.place_of("tags"), "tags", &error)));
        std::iter::once(Ok(image)).chain(tags).collect()
    }

    fn build_args(&self, build: &Build) -> Vec<String> {
        let given = self.build.build_args.iter().map(|given| match self.project.variables.get(given) {
            Some(value) => format!("{given}={value}"),
            None => given.clone(),
        });
        build.args.iter().map(|(name, value)| format!("{name}={value}")).chain(given).collect()
    }

    /// What a service's image is called is where its image is found, for it was built before.
    fn contexts(&self, build: &Build) -> Result<Vec<KeyValue>, Failure> {
        let context = |(key, value): (&String, &String)| {
            let value = match value.strip_prefix("service:") {
                Some(name) => {
                    format!("docker-image://{}", self.project.image_name(self.project.service(name)?))
                }
                None => value.clone(),
            };
            Ok(KeyValue { key: key.clone(), value })
        };
        build.additional_contexts.iter().map(context).collect()
    }

    fn own_images(&self, build: &Build) -> Result<Vec<Reference>, Failure> {
        let image = |name| Ok(self.project.image_name(self.project.service(name)?).parse()?);
        build.services().map(image).collect()
    }

    /// Those of the build, or that of the service, or that of the environment, as `docker compose build` has them.
    fn platforms(&self, service: &Service, build: &Build) -> Result<Vec<Platform>, Failure> {
        let default = self.project.variables.get("DOCKER_DEFAULT_PLATFORM").filter(|text| !text.is_empty());
        let one: Vec<String> = service.platform.iter().chain(default).take(1).cloned().collect();
        let platforms = if build.platforms.is_empty() { &one } else { &build.platforms };
        let parse = |text: &String| {
            let failed = |why| Failure::user(why).within(at(build.place_of("platforms"), "platforms"));
            crate::settings::platform(text).map_err(failed)
        };
        platforms.iter().map(parse).collect()
    }

    /// Those of the build, and those by which Compose finds the images of a project again.
    fn labels(&self, service: &Service, build: &Build) -> Vec<KeyValue> {
        let own = [
            ("com.docker.compose.project", &self.project.name),
            ("com.docker.compose.service", &service.name),
        ];
        let given = build.labels.iter().map(|(key, value)| (key.as_str(), value));
        let label = |(key, value): (&str, &String)| KeyValue { key: key.to_owned(), value: value.clone() };
        given.chain(own).map(label).collect()
    }

    fn run(&self, build: &Build) -> Result<RunArguments, Failure> {
        let ssh = build.ssh.iter().map(|(id, path)| match path {
            Some(path) => format!("{id}={path}"),
            None => id.clone(),
        });
        Ok(RunArguments {
            secrets: self.secrets(build)?,
            ssh: ssh.collect(),
            hosts: build.extra_hosts.iter().map(|(host, address)| format!("{host}={address}")).collect(),
            network: build.network.clone(),
            shm_size: build.shm_size.map(|bytes| bytes.to_string()),
            ulimits: build.ulimits.clone(),
            allow: entitlements(build).map(str::to_owned).collect(),
            ..RunArguments::default()
        })
    }

    fn secrets(&self, build: &Build) -> Result<Vec<String>, Failure> {
        let spec = |secret: &Secret| match &secret.source {
            SecretSource::File(path) => Ok(format!("id={},src={path}", secret.id)),
            SecretSource::Variable(name) if self.settings.variables.contains_key(name) => {
                Ok(format!("id={},env={name}", secret.id))
            }
            SecretSource::Variable(name) => {
                let why = format!(
                    "secret `{}` is the variable `{name}`, which is not in the environment",
                    secret.id
                );
                Err(refused(build, "secrets", &why))
            }
            SecretSource::External => {
                let why = format!("secret `{}` is external: only a cluster has it", secret.id);
                Err(refused(build, "secrets", &why))
            }
        };
        build.secrets.iter().map(spec).collect()
    }
}

/// A Dockerfile is in the context, wherever this is.
fn dockerfile(build: &Build, file: &str) -> PathBuf {
    let context = Path::new(&build.context);
    if context.is_absolute() { context.join(file) } else { PathBuf::from(file) }
}

/// What commands may ask for. That they may do everything is one of these, as `docker compose` has it.
fn entitlements(build: &Build) -> impl Iterator<Item = &str> {
    let privileged = build.privileged.then_some("security.insecure");
    build.entitlements.iter().map(String::as_str).chain(privileged)
}

fn inline(build: &Build) -> Option<InlineDockerfile> {
    let name = format!("{} (dockerfile_inline)", build.place_of("dockerfile_inline"));
    build.dockerfile_inline.clone().map(|text| InlineDockerfile { name, text })
}

/// An option that cannot be honoured is an error, never a warning.
fn refuse_what_is_not_there(build: &Build) -> Result<(), Failure> {
    let off = |value: &Option<String>| matches!(value.as_deref(), None | Some("" | "false"));
    let is_known = |name: &str| ["network.host", "security.insecure"].contains(&name);
    let network = build.network.as_deref().unwrap_or("default");
    let keys = [
        ("cache_from", !build.cache_from.is_empty(), "caches are in the local store only"),
        ("cache_to", !build.cache_to.is_empty(), "caches are in the local store only"),
        (
            "entitlements",
            !entitlements(build).all(is_known),
            "there are `network.host` and `security.insecure`",
        ),
        ("isolation", build.isolation.as_deref().is_some_and(|kind| kind != "default"), "there is one kind"),
        ("provenance", !off(&build.provenance), "images have no attestations"),
        ("sbom", !off(&build.sbom), "images have no attestations"),
        ("network", !["default", "host", "none"].contains(&network), "it is `default`, `host` or `none`"),
    ];
    match keys.iter().find(|(_, asked, _)| *asked) {
        Some((key, _, why)) => Err(refused(build, key, why)),
        None => Ok(()),
    }
}

fn refused(build: &Build, key: &str, why: &str) -> Failure {
    Failure::user(format!("{}: {why}", at(build.place_of(key), key)))
}

/// A value that is not what its key takes.
fn wrong(place: &Place, key: &str, error: &dyn Error) -> Failure {
    Failure::user(error.to_string()).within(at(place, key))
}

fn at(place: &Place, key: &str) -> String {
    format!("{place}: `{key}` asks for what cannot be done")
}
