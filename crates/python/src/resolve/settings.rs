//! Which indexes to ask.

use crate::requirements::RequirementOptions;
use cartwheel_transfer::without_credentials;

/// Where distributions come from, as pip's options and settings say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSettings {
    /// The index; without it, whatever uv's own settings say.
    pub index_url: Option<String>,
    /// More indexes, all equal.
    pub extra_index_urls: Vec<String>,
    /// Folders and pages of wheels.
    pub find_links: Vec<String>,
    /// Whether to ask no index.
    pub no_index: bool,
    /// Hosts whose certificates are not checked, as `host` or `host:port`.
    pub trusted_hosts: Vec<String>,
    /// A file of PEM certificates that replaces those of the system.
    pub certificates: Option<std::path::PathBuf>,
    /// Whether pre-releases are as good as releases.
    pub pre: bool,
}

impl IndexSettings {
    /// These settings and what requirements files add. An index URL in a file forgets those before it, as in pip.
    #[must_use]
    pub fn with(mut self, options: &RequirementOptions) -> Self {
        if options.index_url.is_some() {
            self.index_url.clone_from(&options.index_url);
            self.extra_index_urls.clear();
        }
        self.extra_index_urls.extend_from_slice(&options.extra_index_urls);
        self.find_links.extend_from_slice(&options.find_links);
        self.trusted_hosts.extend_from_slice(&options.trusted_hosts);
        self.no_index |= options.no_index;
        self.pre |= options.pre;
        self
    }

    /// Every URL in it, credentials and all.
    pub(super) fn urls(&self) -> impl Iterator<Item = &String> {
        self.index_url.iter().chain(&self.extra_index_urls).chain(&self.find_links)
    }

    /// What of it belongs to the question: what changes which distributions there are.
    pub(super) fn question(&self) -> String {
        let urls: Vec<String> = self.urls().map(|url| without_credentials(url)).collect();
        let kinds = (self.index_url.is_some(), self.extra_index_urls.len(), self.no_index, self.pre);
        format!("{} {} {} {} {}", kinds.0, kinds.1, kinds.2, kinds.3, urls.join(" "))
    }
}
