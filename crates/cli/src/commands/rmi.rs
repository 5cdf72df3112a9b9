//! `cartwheel rmi`.

use std::io::{self, Write};

use cartwheel_build::forget_image;
use cartwheel_store::Store;

use crate::args::RmiArguments;
use crate::error::Failure;
use crate::location::stored;
use crate::settings::Settings;

/// Takes names away from images of the local store, all of them or none.
pub(crate) fn rmi(arguments: &RmiArguments) -> Result<(), Failure> {
    let store = Store::open(&Settings::read()?.home)?;
    if !arguments.force {
        arguments.names.iter().try_for_each(|name| stored(&store, name).map(drop))?;
    }
    for name in &arguments.names {
        if forget_image(&store, name)? {
            writeln!(io::stdout(), "untagged: {}", name.familiar())?;
        }
    }
    Ok(())
}
