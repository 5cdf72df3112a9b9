//! `cartwheel images`.

use std::io::{self, Write};

use cartwheel_build::list_images;
use cartwheel_oci::Reference;
use cartwheel_store::Store;
use indicatif::DecimalBytes;

use crate::args::ImagesArguments;
use crate::error::Failure;
use crate::settings::Settings;

/// Lists the images in the local store.
pub(crate) fn images(arguments: &ImagesArguments) -> Result<(), Failure> {
    let store = Store::open(&Settings::read()?.home)?;
    let images = list_images(&store);
    let mut out = io::stdout().lock();
    if arguments.quiet {
        return Ok(images.iter().try_for_each(|image| writeln!(out, "{}", image.manifest.digest))?);
    }
    writeln!(out, "{:<40} {:<20} {:<14} {:<21} SIZE", "REPOSITORY", "TAG", "IMAGE ID", "CREATED")?;
    for image in images {
        let name = image.name.parse::<Reference>()?;
        let familiar = name.familiar();
        let tag = name.tag().unwrap_or("<none>");
        let repository = familiar.strip_suffix(&format!(":{tag}")).unwrap_or(&familiar);
        let digest = image.manifest.digest.hex();
        let (short, size) = (&digest[..12], DecimalBytes(image.size));
        writeln!(out, "{repository:<40} {tag:<20} {short:<14} {:<21} {size}", image.created)?;
    }
    Ok(())
}
