//! Variables in the order in which BuildKit keeps them.

/// Variables by name. A variable that is set again moves to the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sets a variable, which is the last one then.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.variables.push((name, value.into()));
    }

    /// Takes a variable away.
    pub fn remove(&mut self, name: &str) {
        self.variables.retain(|(key, _)| key != name);
    }

    /// The variables in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The variables as pairs.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.variables
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut environment = Self::default();
        for (name, value) in pairs {
            environment.set(name, value);
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_again_is_last() {
        let mut environment = Environment::from_iter([("A", "1"), ("B", "2"), ("A", "3")]);
        assert_eq!(environment.iter().collect::<Vec<_>>(), [("B", "2"), ("A", "3")]);
        environment.remove("B");
        assert_eq!((environment.get("A"), environment.get("B")), (Some("3"), None));
    }
}
