//! The order in which pip installs.

use std::collections::{BTreeMap, BTreeSet};

use crate::pylock::LockedWheel;

/// Who depends on a package: by the package's name, the names of those that need it.
pub(crate) type Dependents = BTreeMap<String, BTreeSet<String>>;

/// Dependencies first, as pip orders them.
///
/// pip takes away the packages that need nothing more, again and again; the earlier a package goes, the earlier it is
/// installed, and those that go together are installed in reverse alphabetical order. What remains are circles: there,
/// a package is installed the earlier, the longer a path from the requirements to it is.
pub(crate) fn installation_order(packages: Vec<LockedWheel>, dependents: &Dependents) -> Vec<LockedWheel> {
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut needs: BTreeMap<&str, BTreeSet<&str>> =
        names.iter().map(|name| (*name, BTreeSet::new())).collect();
    for (name, dependents) in dependents {
        for dependent in
            dependents.iter().filter(|dependent| names.contains(name.as_str()) && *dependent != name)
        {
            needs.entry(dependent.as_str()).or_default().insert(name);
        }
    }
    let mut weights: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        let leaves: Vec<&str> =
            needs.iter().filter(|(_, needed)| needed.is_empty()).map(|(name, _)| *name).collect();
        if leaves.is_empty() {
            break;
        }
        let weight = needs.len();
        weights.extend(leaves.iter().map(|leaf| ((*leaf).to_owned(), weight)));
        needs.retain(|_, needed| !needed.is_empty());
        for needed in needs.values_mut() {
            needed.retain(|name| !leaves.contains(name));
        }
    }
    weigh_circles(&needs, &mut weights);
    let mut packages = packages;
    packages.sort_by(|one, two| {
        let weight = |package: &LockedWheel| (weights.get(&package.name).copied(), package.name.clone());
        weight(two).cmp(&weight(one))
    });
    packages
}

/// Walks from each package that only circles are left of, remembering the longest path; pip walks from the
/// requirements. A package is visited a few times at most, as in pip, for the walk is exponential.
fn weigh_circles(needs: &BTreeMap<&str, BTreeSet<&str>>, weights: &mut BTreeMap<String, usize>) {
    let inner: BTreeSet<&str> = needs.values().flatten().copied().collect();
    let outer: Vec<&str> = needs.keys().copied().filter(|name| !inner.contains(name)).collect();
    let starts: Vec<&str> = if outer.is_empty() { needs.keys().copied().collect() } else { outer };
    let mut walk = Walk { needs, path: Vec::new(), found: BTreeMap::new() };
    for start in starts {
        walk.visit(start);
    }
    let found = walk
        .found
        .into_iter()
        .filter_map(|(name, weights)| Some((name.to_owned(), weights.into_iter().max()?)));
    weights.extend(found.collect::<Vec<_>>());
}

struct Walk<'a> {
    needs: &'a BTreeMap<&'a str, BTreeSet<&'a str>>,
    path: Vec<&'a str>,
    found: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, name: &'a str) {
        const VISITS: usize = 5;
        if self.path.contains(&name) || self.found.get(name).is_some_and(|found| found.len() >= VISITS) {
            return;
        }
        self.path.push(name);
        for needed in self.needs.get(name).into_iter().flatten() {
            self.visit(needed);
        }
        self.path.pop();
        // The path to the package, with the user's requirements as its first step.
        self.found.entry(name).or_default().push(self.path.len() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pylock::WheelLocation;
    use cartwheel_store::Digest;

    fn order(names: &[&str], edges: &[(&str, &str)]) -> Vec<String> {
        let packages = names.iter().map(|name| LockedWheel {
            name: (*name).to_owned(),
            version: "1".to_owned(),
            filename: String::new(),
            location: WheelLocation::Url(String::new()),
            size: None,
            digest: Digest::of(b""),
            direct: false,
            direct_url: None,
        });
        let mut dependents = Dependents::new();
        for (dependent, name) in edges {
            dependents.entry((*name).to_owned()).or_default().insert((*dependent).to_owned());
        }
        installation_order(packages.collect(), &dependents).into_iter().map(|package| package.name).collect()
    }

    #[test]
    fn dependencies_come_first_and_equals_in_reverse() {
        assert_eq!(order(&["a", "b", "c"], &[]), ["c", "b", "a"]);
        assert_eq!(order(&["a", "b", "c", "d"], &[("d", "a"), ("a", "b"), ("d", "c")]), ["c", "b", "a", "d"]);
    }

    #[test]
    fn circles_are_broken_and_lose_nothing() {
        assert_eq!(order(&["a", "b", "c"], &[("a", "b"), ("b", "a"), ("a", "c")])[0], "c");
        assert_eq!(
            order(&["a", "b", "c", "d"], &[("d", "a"), ("a", "b"), ("b", "a"), ("b", "c"), ("a", "a")]),
            ["c", "b", "a", "d"]
        );
    }
}
