//! The suites of the Dockerfile language.

use std::fs;

use cartwheel_dockerfile::{Environment, Lexer, Node, Syntax};
use serde_json::{Value, json};

use super::{Answer, field};

pub(super) fn lex(request: &Value) -> Answer {
    let environment: Environment =
        strings(request, "env").map(|variable| variable.split_once('=').unwrap_or((variable, ""))).collect();
    let escape = request.get("escape").and_then(Value::as_str).and_then(|text| text.chars().next());
    match Lexer::new(escape.unwrap_or('\\')).expand(field(request, "word")?, &environment) {
        Ok(expansion) => Ok(json!({ "result": expansion.text, "words": expansion.words })),
        Err(error) => Ok(json!({ "error": error.to_string(), "words_error": error.to_string() })),
    }
}

pub(super) fn parse(request: &Value) -> Answer {
    let text = text(request)?;
    let (syntax, diagnostics) = Syntax::parse(&text);
    if let Some(diagnostic) = diagnostics.into_iter().next() {
        return Err(diagnostic.into());
    }
    Ok(json!({ "nodes": syntax.nodes.iter().map(node).collect::<Vec<_>>() }))
}

fn node(node: &Node) -> Value {
    let heredocs = node.heredocs.iter().map(|heredoc| {
        json!({ "name": heredoc.name, "content": heredoc.content, "expand": heredoc.expand, "chomp": heredoc.chomp })
    });
    json!({
        "value": node.keyword.value,
        "args": node.flat_arguments(),
        "flags": node.flags.iter().map(|flag| &flag.value).collect::<Vec<_>>(),
        "start": node.lines.0,
        "end": node.lines.1,
        "heredocs": heredocs.collect::<Vec<_>>(),
    })
}

/// The Dockerfile of a request. Bytes that are no UTF-8 become replacement characters, one for each, as in Go.
fn text(request: &Value) -> Result<String, Box<dyn std::error::Error>> {
    if let Some(text) = request.get("text").and_then(Value::as_str) {
        return Ok(text.to_owned());
    }
    let bytes = fs::read(field(request, "path")?)?;
    let chunks = bytes.utf8_chunks();
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        format!("{}{}", chunk.valid(), "\u{fffd}".repeat(chunk.invalid().len()))
    };
    Ok(chunks.map(chunk).collect::<Vec<_>>().concat())
}

fn strings<'a>(request: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    request.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
