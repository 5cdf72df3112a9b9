//! Symbolic links: where a path leads in a tree that is not on disk.

/// Links are followed so many times at most (Linux: `ELOOP` after 40).
pub(crate) const LINK_LIMIT: usize = 40;

/// Follows every link in `path`, the last part's too, inside the root, where `..` stays as it does for the kernel;
/// `link` gives the target of the link at a place. `None` if the links go round in circles.
pub fn follow_links<'t>(path: &str, link: impl Fn(&str) -> Option<&'t str>) -> Option<String> {
    let mut place = String::new();
    let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match part.as_str() {
            "" | "." => {}
            ".." => place.truncate(place.rfind('/').unwrap_or(0)),
            name => {
                let next = join(&place, name);
                let Some(target) = link(&next) else {
                    place = next;
                    continue;
                };
                links += 1;
                if links > LINK_LIMIT {
                    return None;
                }
                if target.starts_with('/') {
                    place.clear();
                }
                todo.extend(target.split('/').rev().map(str::to_owned));
            }
        }
    }
    Some(place)
}

/// A name in a directory, whose path is empty for the root.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(path: &str) -> Option<String> {
        let links = [
            ("lib", "usr/lib"),
            ("usr/lib/a", "/opt/../b"),
            ("usr/lib/up", "../../.."),
            ("loop", "there"),
            ("there", "./loop"),
        ];
        let link = |place: &str| links.into_iter().find(|(at, _)| *at == place).map(|(_, target)| target);
        follow_links(path, link)
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let inside = |place: &str| Some(place.to_owned());
        assert_eq!(follow("lib/x"), inside("usr/lib/x"));
        assert_eq!(follow("/lib/./a/c/"), inside("b/c"));
        assert_eq!(follow("usr/../lib/.."), inside("usr"));
        assert_eq!(follow(""), inside(""));
        assert_eq!(follow("../x"), inside("x"));
        assert_eq!(follow("lib/up/x"), inside("x"));
        assert_eq!(follow("loop/x"), None);
    }

    #[test]
    fn as_many_links_are_followed_as_linux_follows() {
        let links: Vec<String> = (0..=LINK_LIMIT).map(|number| (number + 1).to_string()).collect();
        let link = |place: &str| links.get(place.parse::<usize>().ok()?).map(String::as_str);
        let last = (LINK_LIMIT + 1).to_string();
        assert_eq!(follow_links("1", link), Some(last));
        assert_eq!(follow_links("0", link), None);
    }
}
