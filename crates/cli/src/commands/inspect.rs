//! `cartwheel inspect`.

use std::io::{self, Read, Write};

use cartwheel_oci::{Documents, Image, ImageConfig, Layer, Source};
use cartwheel_store::{Digest, Store};
use serde_json::{Value, json};

use crate::args::{InspectArguments, RegistryArguments};
use crate::error::Failure;
use crate::registries;
use crate::settings::{Settings, host_platform};

/// Shows an image as `docker image inspect` does, or its manifest as it is.
pub(crate) fn inspect(arguments: &InspectArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let client = registries::client(&settings, registries, true)?;
    let opened = arguments.image.open(&store, &client, &settings)?;
    let source: &dyn Source = &*opened.source;
    if arguments.raw {
        let mut text = Vec::new();
        let mut reader = source.open(&opened.descriptor)?.take(opened.descriptor.size);
        reader.read_to_end(&mut text).map_err(Failure::io("read", &source.place()))?;
        return Ok(io::stdout().write_all(&text)?);
    }
    let mut descriptor = opened.descriptor.clone();
    if descriptor.is_index() || arguments.platform.is_some() {
        let platform = arguments.platform.clone().unwrap_or_else(host_platform);
        Image::read(source, &descriptor, &platform)?;
        descriptor = Image::pick(source, &descriptor, &platform)?;
    }
    let (documents, layers) = Documents::read(source, &descriptor)?;
    let shown = shown(&documents, &layers, &arguments.image.to_string())?;
    Ok(writeln!(io::stdout(), "{:#}", Value::Array(vec![shown]))?)
}

/// The fields that scripts read from `docker image inspect`, under its names.
fn shown(documents: &Documents, layers: &[Layer], name: &str) -> Result<Value, Failure> {
    let config: ImageConfig = serde_json::from_slice(&documents.config).map_err(io::Error::from)?;
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    Ok(json!({
        "Id": Digest::of(&documents.config),
        "Name": name,
        "Digest": documents.descriptor.digest,
        "MediaType": documents.descriptor.media_type,
        "Created": config.created,
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": layers.iter().map(|layer| layer.descriptor.size).sum::<u64>(),
        "Config": config.config,
        "RootFS": {"Type": "layers", "Layers": diff_ids},
        "Layers": layers.iter().map(|layer| &layer.descriptor).collect::<Vec<_>>(),
        "History": config.history,
    }))
}
