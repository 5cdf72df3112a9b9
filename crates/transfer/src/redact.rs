//! Credentials leave no trace: whatever is shown or remembered goes through here first.

/// `text` with the user and password of every URL in it replaced by `****`.
///
/// An index token may be the whole of the user part (`https://TOKEN@host`), so that goes too. `git@` is kept: it is
/// no secret, and the URL would not say what it is without it.
pub fn redact(text: &str) -> String {
    replace_credentials(text, "****@")
}

/// `text` with the user and password of every URL in it gone, so that the URLs still work for whoever may use them.
pub fn without_credentials(text: &str) -> String {
    replace_credentials(text, "")
}

fn replace_credentials(text: &str, with: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        redacted.push_str(before);
        redacted.push_str("://");
        rest = after;
        let end = after.find(|c: char| "/?#\"`<>".contains(c) || c.is_whitespace());
        let authority = after.get(..end.unwrap_or(after.len())).unwrap_or(after);
        if let Some((user, _)) = authority.rsplit_once('@') {
            redacted.push_str(if user == "git" { "git@" } else { with });
            rest = after.get(user.len() + 1..).unwrap_or_default();
        }
    }
    redacted.push_str(rest);
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        for (text, shown) in [
            ("a https://u:p@example.org/x b", "a https://****@example.org/x b"),
            ("https://token@example.org", "https://****@example.org"),
            ("https://u:p%40@example.org:8080/@x", "https://****@example.org:8080/@x"),
            ("https://u:p@ss@example.org/", "https://****@example.org/"),
            ("http://a:b@x/ http://c:d@y/", "http://****@x/ http://****@y/"),
            ("git+ssh://git@example.org/a.git@v1", "git+ssh://git@example.org/a.git@v1"),
            ("https://example.org/a@b", "https://example.org/a@b"),
            ("user@example.org", "user@example.org"),
            ("https://u:é,';x@example.org", "https://****@example.org"),
        ] {
            assert_eq!(redact(text), shown);
            assert_eq!(without_credentials(text), shown.replace("****@", ""));
        }
    }
}
