//! Names of projects and images.

use cartwheel_compose::{ErrorKind, Project};

use crate::Files;

#[test]
fn a_project_is_called_what_was_said_first() {
    let files = Files::new(&[
        ("My App/compose.yaml", "services: {web: {image: a}}"),
        ("b.yaml", "name: From.${X:-File}"),
    ]);
    let mut options = files.options();
    options.files = vec!["My App/compose.yaml".into()];
    let name = |options: &cartwheel_compose::LoadOptions| Project::load(options).map(|project| project.name);
    assert_eq!(name(&options).unwrap(), "myapp");
    options.files.push("b.yaml".into());
    assert_eq!(name(&options).unwrap(), "fromfile");
    options.variables.insert("COMPOSE_PROJECT_NAME".to_owned(), "variable".to_owned());
    assert_eq!(name(&options).unwrap(), "variable");
    options.name = Some("given".to_owned());
    assert_eq!(name(&options).unwrap(), "given");
    options.name = Some("Given".to_owned());
    assert!(matches!(name(&options).unwrap_err().kind(), ErrorKind::ProjectName(name) if name == "Given"));
}

#[test]
fn an_image_is_called_after_its_project_and_service() {
    let text = "name: p\nservices: {web: {build: .}, db: {build: ., image: example.org/db:1}}";
    let project = crate::project(text).unwrap();
    assert_eq!(project.image_name(&project.services["web"]), "p-web");
    assert_eq!(project.image_name(&project.services["db"]), "example.org/db:1");
}
