//! Text inside a page.

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

    #[test]
    fn what_people_wrote_stays_text() {
        assert_eq!(
            escaped("<script>alert(\"a & b\")</script> 'x'"),
            "&lt;script&gt;alert(&quot;a &amp; b&quot;)&lt;/script&gt; &#39;x&#39;"
        );
    }
}
