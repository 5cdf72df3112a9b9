//! One line of comma-separated values, as `--mount`, `--device` and the options of `docker buildx build` have them.

/// The fields of a line. A field in double quotes may hold commas, and doubled quotes.
pub fn fields(line: &str) -> Result<Vec<String>, String> {
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err("there is nothing in it".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(fields),
        }
    }
}

fn plain_field(text: &str) -> Result<(String, Option<&str>), String> {
    let (field, behind) = text.split_once(',').map_or((text, None), |(field, behind)| (field, Some(behind)));
    if field.contains('"') {
        return Err(format!("`{field}` has a quote in the middle"));
    }
    Ok((field.to_owned(), behind))
}

fn quoted_field(text: &str) -> Result<(String, Option<&str>), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, behind) =
            rest.split_once('"').ok_or_else(|| format!("the quote of `\"{text}` does not end"))?;
        field.push_str(part);
        if let Some(behind) = behind.strip_prefix('"') {
            field.push('"');
            rest = behind;
        } else if behind.is_empty() {
            return Ok((field, None));
        } else {
            let behind = behind.strip_prefix(',').ok_or_else(|| format!("`{behind}` follows a quote"))?;
            return Ok((field, Some(behind)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split() {
        assert_eq!(fields("a=b,,c").unwrap(), ["a=b", "", "c"]);
        assert_eq!(fields("\"a,\"\"b\",c,").unwrap(), ["a,\"b", "c", ""]);
    }

    #[test]
    fn quotes_are_whole() {
        for line in ["", "a\"b", "\"a", "\"a\"b"] {
            assert!(fields(line).is_err(), "{line}");
        }
    }
}
