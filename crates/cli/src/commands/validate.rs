//! `cartwheel debug validate`: what every image that a test makes goes through.

use std::path::Path;

use cartwheel_oci::{ImageLayout, validate as validate_image};

use crate::error::Failure;

/// Checks all images of a layout.
pub(crate) fn validate(path: &Path) -> Result<(), Failure> {
    let layout = ImageLayout::open(path)?;
    for descriptor in layout.images() {
        validate_image(&layout, descriptor)?;
        println!("{}", descriptor.digest);
    }
    Ok(())
}
