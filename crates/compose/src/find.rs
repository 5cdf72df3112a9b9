//! Which files make a project, which variables they see, and what it is called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dotenv::{self, Variables};
use crate::error::{ErrorKind, Result};
use crate::location::{Base, clean};
use crate::template::{Scope, substitute};
use crate::yaml::documents;

/// What the user asked for, and what is around.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The Compose files, each adding to those before; none for those that are found.
    pub files: Vec<PathBuf>,
    /// What relative paths are relative to, if not the directory of the first file.
    pub project_directory: Option<PathBuf>,
    /// The name of the project.
    pub name: Option<String>,
    /// Which services are used besides those that always are.
    pub profiles: Vec<String>,
    /// Files of variables instead of `.env`.
    pub env_files: Vec<PathBuf>,
    /// The environment, which counts before such files.
    pub variables: BTreeMap<String, String>,
    /// Where the user is.
    pub current_directory: PathBuf,
    /// Whether the files must be there that services have their variables and labels from. No build reads them.
    pub checks_env_files: bool,
}

/// What Compose files are called, best first, and what a file is called that changes what they say.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What is read for a project.
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) directory: PathBuf,
    pub(crate) variables: Variables,
    pub(crate) name: String,
    pub(crate) profiles: Vec<String>,
}

/// Finds the files, variables and name of a project.
pub(crate) fn find(options: &LoadOptions) -> Result<Found> {
    let here = Base { directory: options.current_directory.clone(), home: None };
    let absolute = |path: &PathBuf| clean(&here.directory.join(path));
    let given: Vec<PathBuf> = options.files.iter().map(absolute).collect();
    let directory = |files: &[PathBuf]| {
        let first = files.first().and_then(|file| file.parent()).map(Path::to_owned);
        options.project_directory.as_ref().map(absolute).or(first).unwrap_or_else(|| here.directory.clone())
    };
    let mut variables = options.variables.clone();
    // The variables say which files there are, and the files where there are more variables.
    add_env_files(options, &directory(&given), &mut variables)?;
    let files = if given.is_empty() { search(&directory(&given), &here, &variables)? } else { given };
    let directory = directory(&files);
    add_env_files(options, &directory, &mut variables)?;
    let name = name(options, &files, &directory, &variables)?;
    variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let profiles = match variables.get("COMPOSE_PROFILES") {
        Some(profiles) if options.profiles.is_empty() => {
            profiles.split(',').map(|profile| profile.trim().to_owned()).collect()
        }
        _ => options.profiles.clone(),
    };
    Ok(Found { files, directory, variables, name, profiles })
}

/// The files that `COMPOSE_FILE` names, or those in the directory or the nearest one above that has any.
fn search(directory: &Path, here: &Base<'_>, variables: &Variables) -> Result<Vec<PathBuf>> {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    if let Some(files) = set("COMPOSE_FILE") {
        let separator = set("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
        return Ok(files.split(separator).map(|file| here.absolute(file)).collect());
    }
    let first = |directory: &Path, names: &[&str]| {
        names.iter().map(|name| directory.join(name)).find(|file| file.exists())
    };
    let found = directory.ancestors().find_map(|above| Some((above, first(above, &FILES)?)));
    let (above, file) = found.ok_or_else(|| ErrorKind::NoFile { directory: directory.to_owned() })?;
    Ok([Some(file), first(above, &OVERRIDES)].into_iter().flatten().collect())
}

fn add_env_files(options: &LoadOptions, directory: &Path, variables: &mut Variables) -> Result<()> {
    let mut files: Vec<PathBuf> = options.env_files.clone();
    if let Some(named) = variables.get("COMPOSE_ENV_FILES").filter(|_| files.is_empty()) {
        files = named.split(',').filter(|file| !file.is_empty()).map(PathBuf::from).collect();
    }
    for file in &mut files {
        *file = clean(&options.current_directory.join(&*file));
    }
    if files.is_empty() && !is_switched_off(variables) {
        files.extend(Some(directory.join(".env")).filter(|file| file.is_file()));
    }
    let mut read = Variables::new();
    for file in &files {
        dotenv::read(file, variables, &mut read)?;
    }
    for (name, value) in read {
        variables.entry(name).or_insert(value);
    }
    Ok(())
}

fn is_switched_off(variables: &Variables) -> bool {
    let value = variables.get("COMPOSE_DISABLE_ENV_FILE").map(String::as_str);
    matches!(value, Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// The name that the user gave, that the files give, or that of the directory.
fn name(options: &LoadOptions, files: &[PathBuf], directory: &Path, variables: &Variables) -> Result<String> {
    let given = options.name.as_ref().or_else(|| variables.get("COMPOSE_PROJECT_NAME"));
    if let Some(given) = given.filter(|name| !name.is_empty()) {
        let normal = normal_name(given) == *given;
        return if normal { Ok(given.clone()) } else { Err(ErrorKind::ProjectName(given.clone()).into()) };
    }
    let mut name = String::new();
    for file in files {
        name = name_in(file, variables).unwrap_or(name);
    }
    if name.is_empty() {
        name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    match normal_name(&name) {
        name if name.is_empty() => Err(ErrorKind::ProjectName(name).into()),
        name => Ok(name),
    }
}

/// The name that a file gives. One that cannot be read is found wrong when it is read as a whole.
fn name_in(file: &Path, variables: &Variables) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let documents = documents(&text, file).ok()?;
    let name = documents.iter().rev().find_map(|document| document.root.text_of("name"))?;
    let lookup = |name: &str| variables.get(name).cloned();
    substitute(name, &mut Scope::new(&lookup)).ok().filter(|name| !name.is_empty())
}

/// A name without what names of projects cannot have.
fn normal_name(name: &str) -> String {
    let lower = name.to_lowercase();
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(*c);
    lower.chars().filter(allowed).collect::<String>().trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_normal() {
        for (name, expected) in [("My Project", "myproject"), ("_a.b", "ab"), ("-1_x", "1_x"), ("é", "")] {
            assert_eq!(normal_name(name), expected);
        }
    }
}
