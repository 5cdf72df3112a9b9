//! The tar in a layer as a blob of its own, so that its files can be read one by one.

use std::io;

use cartwheel_store::{Blob, Store};

use crate::error::{Error, Result};
use crate::image::Layer;
use crate::layer::decompress;

/// The uncompressed tar of a layer that is in the store: a blob named by the layer's diff ID, made if it is not there.
///
/// [`crate::FileFacts::offset`] counts in it.
pub fn uncompressed(store: &Store, layer: &Layer) -> Result<Blob> {
    let name = layer.diff_id.digest();
    if let Some(blob) = store.blob(name) {
        return Ok(blob);
    }
    let blob = store.expect_blob(layer.descriptor.digest)?;
    let failed = Error::io("decompress", blob.path());
    let mut writer = store.writer()?;
    decompress(blob.reader()).and_then(|mut tar| io::copy(&mut tar, &mut writer)).map_err(failed)?;
    Ok(writer.commit_as(name)?)
}
