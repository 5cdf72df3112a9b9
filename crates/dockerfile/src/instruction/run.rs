//! `RUN`.

use crate::diagnostic::{Code, Diagnostic};
use crate::instruction::flags::{Flags, Takes};
use crate::instruction::{CommandLine, MountFields, command_line, csv};
use crate::span::Word;
use crate::step::{Device, Network};
use crate::suggest;
use crate::syntax::{Heredoc, Node, is_bool};

const FLAGS: [(&str, Takes); 4] =
    [("mount", Takes::Texts), ("network", Takes::Text), ("security", Takes::Text), ("device", Takes::Texts)];

/// A `RUN`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunInstruction {
    /// The command.
    pub command: CommandLine,
    /// The heredocs behind it.
    pub heredocs: Vec<Heredoc>,
    /// The values of `--mount`.
    pub mounts: Vec<Word>,
    /// What each mount is from, as it is written; no variable can name it.
    pub mounts_from: Vec<Option<String>>,
    /// `--network`
    pub network: Network,
    /// `--security=insecure`
    pub insecure: bool,
    /// `--device`
    pub devices: Vec<Device>,
}

/// Reads the instruction.
pub(super) fn parse(node: &Node) -> Result<RunInstruction, Diagnostic> {
    let flags = Flags::parse(node, &FLAGS)?;
    let mounts: Vec<Word> = flags.texts("mount").collect();
    Ok(RunInstruction {
        command: command_line(node),
        heredocs: node.heredocs.clone(),
        mounts_from: mounts.iter().map(MountFields::from_of).collect::<Result<_, _>>()?,
        mounts,
        devices: flags.texts("device").map(|flag| device(&flag)).collect::<Result<_, _>>()?,
        network: flags.texts("network").next().map_or(Ok(Network::Default), |flag| network(&flag))?,
        insecure: flags.texts("security").next().map_or(Ok(false), |flag| security(&flag))?,
    })
}

fn network(flag: &Word) -> Result<Network, Diagnostic> {
    match flag.value.as_str() {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        value => Err(problem(flag, format!("there is no network `{value}`"))
            .with_help("it is one of `default`, `none`, `host`")),
    }
}

fn security(flag: &Word) -> Result<bool, Diagnostic> {
    match flag.value.as_str() {
        "sandbox" => Ok(false),
        "insecure" => Ok(true),
        value => Err(problem(flag, format!("there is no security mode `{value}`"))
            .with_help("it is one of `sandbox`, `insecure`")),
    }
}

/// `name`, or `name=…,required`. Anything else with a `=` is the name, if there is none yet.
fn device(flag: &Word) -> Result<Device, Diagnostic> {
    let mut device = Device::default();
    for field in csv::fields(&flag.value).map_err(|message| problem(flag, message))? {
        let (key, value) =
            field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        match (key.to_lowercase().as_str(), value) {
            ("required", None) => device.required = true,
            ("required", Some(value)) => {
                let wrong = || problem(flag, format!("`required` cannot be `{value}`"));
                device.required = is_bool(value).ok_or_else(wrong)?;
            }
            ("name", Some(value)) if device.name.is_empty() => value.clone_into(&mut device.name),
            ("name", Some(_)) => {
                return Err(problem(flag, format!("the device is `{}` already", device.name)));
            }
            _ if device.name.is_empty() => device.name.clone_from(&field),
            (key, _) => {
                let help = suggest::did_you_mean(key, ["name", "required"]);
                return Err(Diagnostic { help, ..problem(flag, format!("a device has no field `{field}`")) });
            }
        }
    }
    Ok(device)
}

fn problem(flag: &Word, message: String) -> Diagnostic {
    Diagnostic::new(Code::FlagValue, message, flag.span)
}
