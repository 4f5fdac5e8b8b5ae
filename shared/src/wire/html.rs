//! Text inside a page, and what a browser may make of a page.

use sha2::{Digest, Sha256};

use super::base64url;

/// A style or a script as a Content-Security-Policy names it: allowed by its digest and by nothing else.
pub fn by_digest(text: &str) -> String {
    // In this alphabet too browsers compare it, and with its padding.
    let digest = base64url::encode(&Sha256::digest(text.as_bytes()));
    format!("'sha256-{digest}='")
}

/// The text with everything escaped that a browser could take for more than text, in an element and in
/// a quoted attribute alike.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf %s 'q{}' | openssl dgst -sha256 -binary | base64`, in the other alphabet.
    #[test]
    fn a_style_is_named_as_browsers_name_it() {
        let golden = "'sha256-FlMaQ0fZAUi7V_3-Zcp2W-aPfc3UIytg3sJx2cioLkM='";
        assert_eq!(by_digest("q{}"), golden);
    }

    #[test]
    fn what_people_wrote_stays_text() {
        assert_eq!(
            escaped("<script>alert(\"a & b\")</script> 'x'"),
            "&lt;script&gt;alert(&quot;a &amp; b&quot;)&lt;/script&gt; &#39;x&#39;"
        );
    }
}
