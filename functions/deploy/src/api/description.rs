//! `GET /openapi.json`: docs/openapi.json, which `cargo xtask openapi` makes and the build script deflates.
//!
//! It is inflated here and not sent as it lies: API Gateway hands bytes on only where the whole API is told
//! to, and a client that asks for no compression has to be answered as well.

use std::io::{self, Read as _};

use axum::response::IntoResponse;
use flate2::read::DeflateDecoder;

use crate::request::NoParameters;

const DEFLATED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.deflate"));

/// The document, as it is committed.
pub(super) async fn openapi(_: NoParameters) -> impl IntoResponse {
    let text = inflated().expect("the build script deflated a text");
    ([("content-type", "application/json")], text)
}

fn inflated() -> io::Result<String> {
    let mut text = String::new();
    DeflateDecoder::new(DEFLATED).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_holds_the_committed_text_in_a_tenth_of_its_length() {
        let committed = include_str!("../../../../docs/openapi.json");
        assert!(inflated().expect("a text") == committed);
        let length = DEFLATED.len();
        assert!(length * 10 < committed.len(), "{length} bytes");
    }
}
