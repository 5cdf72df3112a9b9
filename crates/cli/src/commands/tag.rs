//! `cartwheel tag`.

use cartwheel_build::{find_image, name_image};
use cartwheel_store::Store;

use crate::args::TagArguments;
use crate::error::Failure;
use crate::location::stored;
use crate::settings::Settings;

/// Gives an image of the local store another name.
pub(crate) fn tag(arguments: &TagArguments) -> Result<(), Failure> {
    let store = Store::open(&Settings::read()?.home)?;
    match find_image(&store, &arguments.source) {
        Some(image) => Ok(name_image(&store, &image, &arguments.name)?),
        None => stored(&store, &arguments.source).map(drop),
    }
}
