//! Deflates the description of the API, so that the binary need not hold half a megabyte of text for one route.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;

const DOCUMENT: &str = "../../docs/openapi.json";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let folder = std::env::var_os("OUT_DIR").expect("cargo sets it for every build script");
    let file = File::create(Path::new(&folder).join("openapi.json.deflate"))?;
    let mut deflated = DeflateEncoder::new(file, Compression::best());
    deflated.write_all(&fs::read(DOCUMENT)?)?;
    deflated.finish()?;
    Ok(())
}
