//! `seeds TARGET FOLDER`: writes what a target begins with.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = &arguments[..] else { return Err(std::io::Error::other("seeds TARGET FOLDER")) };
    for (index, bytes) in cartwheel_fuzz::seeds(target).iter().enumerate() {
        std::fs::write(Path::new(folder).join(format!("seed-{index:04}")), bytes)?;
    }
    Ok(())
}
