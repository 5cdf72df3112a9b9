//! Lowering a bare project, one without a Dockerfile, to a graph.
//!
//! What a team would write by hand: the base, the requirements, the sources in `/app`, and uvicorn in front of the ASGI
//! application that is found where FastAPI's own command line looks for it.

use std::fs;
use std::path::{Path, PathBuf};

use cartwheel_oci::Platform;
use regex::Regex;

use crate::base::BaseReference;
use crate::context::{BuildContext, ContextKind};
use crate::error::{ErrorKind, Result};
use crate::graph::{ConfigChange, Graph, Op, OpKind, RequirementSource, Stage, StageBase};

/// Where the sources go.
const WORKING_DIR: &str = "/app";
/// The port that uvicorn listens on, its own default.
const PORT: &str = "8000";

/// Where an application is looked for, in this order (the order of `fastapi run`).
const PLACES: [&str; 7] =
    ["main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py", "app/__init__.py"];

/// What a user chose about a project's image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectOptions {
    /// Requirement files instead of those of the context.
    pub requirements: Vec<PathBuf>,
    /// `ENTRYPOINT` instead of none.
    pub entrypoint: Option<Vec<String>>,
    /// `CMD` instead of uvicorn.
    pub cmd: Option<Vec<String>>,
    /// `USER`.
    pub user: Option<String>,
}

/// An ASGI application: `app.main:app`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Application {
    /// Below which directory the module is found; empty for the context's root.
    folder: String,
    module: String,
    attribute: String,
}

/// Says what building the project in `context` takes.
pub fn lower_project(
    context: &BuildContext,
    base: BaseReference,
    platform: &Platform,
    options: &ProjectOptions,
) -> Result<Graph> {
    let mut ops = vec![
        op(OpKind::InstallProject(requirements(context, options)?), "install"),
        config(ConfigChange::WorkingDir(WORKING_DIR.to_owned())),
        op(
            OpKind::CopyProject { destination: WORKING_DIR.to_owned() },
            &format!("copy the project to {WORKING_DIR}"),
        ),
    ];
    if let Some(user) = &options.user {
        ops.push(config(ConfigChange::User(user.clone())));
    }
    if let Some(entrypoint) = &options.entrypoint {
        ops.push(config(ConfigChange::Entrypoint(entrypoint.clone())));
    }
    match (&options.cmd, &options.entrypoint) {
        (Some(cmd), _) => ops.push(config(ConfigChange::Cmd(cmd.clone()))),
        (None, Some(_)) => {}
        (None, None) => {
            let application = find_application(context)?;
            ops.push(config(ConfigChange::Expose(format!("{PORT}/tcp"))));
            ops.push(config(ConfigChange::Cmd(application.command())));
        }
    }
    let base = StageBase::Image(base);
    Ok(Graph {
        name: String::new(),
        stages: vec![Stage { name: None, base, platform: platform.clone(), ops, config: None }],
    })
}

fn op(kind: OpKind, text: &str) -> Op {
    let created_by = match &kind {
        OpKind::CopyProject { destination } => format!("COPY . {destination} # cartwheel"),
        kind => format!("{kind} # cartwheel"),
    };
    Op { line: None, text: text.to_owned(), created_by, kind }
}

fn config(change: ConfigChange) -> Op {
    let text = change.to_string();
    op(OpKind::Configure(change), &text)
}

fn requirements(context: &BuildContext, options: &ProjectOptions) -> Result<RequirementSource> {
    if !options.requirements.is_empty() {
        return Ok(RequirementSource::Files(options.requirements.clone()));
    }
    let file = |name: &str| Some(context.root().join(name)).filter(|path| path.is_file());
    // What pip would be given comes first; a lock before what it was made from.
    let found = file("requirements.txt")
        .map(|path| RequirementSource::Files(vec![path]))
        .or_else(|| file("uv.lock").map(|_| RequirementSource::UvLock(context.root().to_owned())))
        .or_else(|| file("pylock.toml").map(RequirementSource::Pylock))
        .or_else(|| file("pyproject.toml").map(RequirementSource::Pyproject));
    found.ok_or_else(|| ErrorKind::NoRequirements { path: context.root().to_owned() }.into())
}

fn find_application(context: &BuildContext) -> Result<Application> {
    let listed = |path: &str| {
        let found = context.files().iter().find(|file| file.path == path);
        found.is_some_and(|file| matches!(file.kind, ContextKind::File { .. }))
    };
    let places =
        ["", "src"].into_iter().flat_map(|folder| PLACES.into_iter().map(move |place| (folder, place)));
    for (folder, place) in places {
        let path = if folder.is_empty() { place.to_owned() } else { format!("{folder}/{place}") };
        if !listed(&path) {
            continue;
        }
        if let Some(attribute) = application_in(&context.root().join(&path)) {
            let module = place.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
            return Ok(Application { folder: folder.to_owned(), module, attribute });
        }
    }
    Err(ErrorKind::NoApplication { path: context.root().to_owned() }.into())
}

/// The name that an ASGI application is assigned to at the top level of a module; `app` and `api` before others.
fn application_in(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let assignment = Regex::new(
        r"(?m)^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)*(?:FastAPI|Starlette|Litestar|Quart|get_asgi_application)\s*\(",
    );
    let assignment = assignment.expect("invariant: the pattern is a constant that a test compiles");
    let names: Vec<&str> =
        assignment.captures_iter(&text).filter_map(|found| Some(found.get(1)?.as_str())).collect();
    let preferred = ["app", "api"].into_iter().find(|name| names.contains(name));
    preferred.or(names.first().copied()).map(str::to_owned)
}

impl Application {
    fn command(&self) -> Vec<String> {
        let target = format!("{}:{}", self.module, self.attribute);
        let mut words = vec!["uvicorn", &target, "--host", "0.0.0.0", "--port", PORT];
        if !self.folder.is_empty() {
            words.extend(["--app-dir", &self.folder]);
        }
        words.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(files: &[(&str, &str)]) -> (tempfile::TempDir, BuildContext) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let context = BuildContext::read(folder.path()).unwrap();
        (folder, context)
    }

    fn lower(files: &[(&str, &str)], options: &ProjectOptions) -> Result<String> {
        let (folder, context) = context(files);
        let base = "python:3.13-slim".parse().unwrap();
        let text = lower_project(&context, base, &"linux/amd64".parse().unwrap(), options)?.to_string();
        Ok(text.replace(&folder.path().display().to_string(), "$CONTEXT"))
    }

    #[test]
    fn a_fastapi_project_lowers_to_uvicorn() {
        let files = [
            ("requirements.txt", "fastapi\n"),
            ("app/main.py", "from fastapi import FastAPI\napp = FastAPI()\n"),
        ];
        let graph = lower(&files, &ProjectOptions::default()).unwrap();
        let expected = r#" 0 base python:3.13-slim
 1 install -r $CONTEXT/requirements.txt
 2 config WORKDIR /app
 3 copy . /app
 4 config EXPOSE 8000/tcp
 5 config CMD ["uvicorn","app.main:app","--host","0.0.0.0","--port","8000"]
"#;
        assert_eq!(graph, expected);
    }

    #[test]
    fn applications_are_found_where_fastapi_looks() {
        let found = |path: &str, text: &str| {
            let (_folder, context) = context(&[(path, text)]);
            find_application(&context).map(|application| application.command()[1..2].join(" ")).ok()
        };
        assert_eq!(found("main.py", "app: FastAPI = FastAPI(\n)").as_deref(), Some("main:app"));
        assert_eq!(found("app/__init__.py", "x = fastapi.FastAPI()").as_deref(), Some("app:x"));
        assert_eq!(found("src/main.py", "other = Starlette()\napi = FastAPI()").as_deref(), Some("main:api"));
        assert_eq!(found("main.py", "def f():\n    app = FastAPI()\n"), None);
        assert_eq!(found("tests/main.py", "app = FastAPI()\n"), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = lower(&[("main.py", "app = FastAPI()")], &ProjectOptions::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoRequirements { .. }));
        let error = lower(&[("requirements.txt", "")], &ProjectOptions::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoApplication { .. }));
        let options = ProjectOptions { cmd: Some(vec!["x".into()]), ..ProjectOptions::default() };
        assert!(
            lower(&[("pyproject.toml", "")], &options).unwrap().contains("install $CONTEXT/pyproject.toml")
        );
    }
}
