//! JSON as it travels: the specification, the API's answers, the functions' events, the items of
//! the table, and the messages to people.

pub mod api;
pub mod base64url;
pub mod events;
pub mod form;
#[cfg(test)]
mod fuzz;
pub mod html;
pub mod inference_id;
pub mod items;
pub mod json;
pub mod messages;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod predictions;
pub mod problem;
pub mod report;
pub mod specification;
pub mod trace;

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hexadecimal(&Sha256::digest(bytes))
}

/// Two digits for each byte.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits = |byte: &u8| {
        [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
    };
    bytes.iter().flat_map(digits).collect()
}
