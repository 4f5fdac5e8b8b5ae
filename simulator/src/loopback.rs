//! Who may ask. Requests on loopback need no valid signature, so a page in the person's browser must
//! not be able to make them: neither in its own name nor by a name of its own for this address.

use http::{HeaderMap, HeaderValue, header};

/// Whether the Host is loopback, and the Origin too where there is one.
pub fn is_from_loopback(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or("?"))
    };
    let host_fits = text(header::HOST).is_none_or(is_loopback);
    let origin_fits = text(header::ORIGIN)
        .is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_loopback));
    host_fits && origin_fits
}

/// `127.0.0.1:8686`, `localhost`, `[::1]:8686`.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}
