//! A layer that exists, compressed in another way: what an output asks for.

use cartwheel_store::{Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::descriptor::{Descriptor, media_type};
use crate::error::{Error, Result};
use crate::image::Layer;
use crate::layer::{Compression, compress, decompress};
use crate::source::Source;

/// A layer that was compressed anew.
#[derive(Serialize, Deserialize)]
struct RecompressedRecord {
    layer: Layer,
}

impl Record for RecompressedRecord {
    const KIND: &'static str = "recompressed-1";
}

/// The layer in this compression, in the store: itself if it is so already. `source` has its bytes if the store lacks them.
pub fn recompressed(
    store: &Store,
    source: &dyn Source,
    layer: &Layer,
    compression: Compression,
) -> Result<Layer> {
    if media_type::of_layer(&layer.descriptor.media_type) == compression.media_type() {
        return Ok(layer.clone());
    }
    let key = Key::<RecompressedRecord>::new()
        .with("compression", compression.media_type())
        .with("layer", layer.diff_id);
    let found = store.get(&key).map(|record| record.layer);
    let is_there = |found: &Layer| store.has_blob(found.descriptor.digest, found.descriptor.size);
    if let Some(found) = found.filter(is_there) {
        return Ok(found);
    }
    source.import(store, &layer.descriptor)?;
    let blob = store.expect_blob(layer.descriptor.digest)?;
    let mut writer = store.writer()?;
    let written = decompress(blob.reader()).and_then(|tar| compress(tar, compression, &mut writer));
    let written = written.map_err(Error::io("compress", blob.path()))?;
    if written.diff_id != layer.diff_id {
        let digest = layer.descriptor.digest;
        return Err(Error::invalid(format!("layer `{digest}` has another diff ID than its config says")));
    }
    let (digest, blob) = writer.commit()?;
    let descriptor = Descriptor::new(compression.media_type(), digest, blob.size());
    let layer = Layer { descriptor, diff_id: layer.diff_id };
    store.put(&key, &RecompressedRecord { layer: layer.clone() })?;
    Ok(layer)
}
