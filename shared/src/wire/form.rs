//! Queries, and what a page's form sends (`application/x-www-form-urlencoded`): fields with their values,
//! read to the letter.
//!
//! What is no UTF-8 is an error. With U+FFFD in its place two users would become one.

/// A name or a value whose bytes are no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no text: its bytes are no UTF-8; write each byte of its UTF-8 as `%` and two digits, like `%C3%BC`"
)]
pub struct NoText {
    /// The field whose value it is; empty where the name itself can't be read.
    pub field: String,
}

/// The fields in their order. One without `=` has an empty value.
pub fn fields(text: &str) -> Result<Vec<(String, String)>, NoText> {
    let fields = text.split('&').filter(|field| !field.is_empty());
    let fields = fields.map(|field| -> Result<(String, String), NoText> {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let no_text = |field: &str| NoText {
            field: field.to_owned(),
        };
        let name = decoded(name).ok_or_else(|| no_text(""))?;
        let value = decoded(value).ok_or_else(|| no_text(&name))?;
        Ok((name, value))
    });
    fields.collect()
}

/// What signs a request in its query instead of in its headers. It says who asks, and is no parameter of a route.
const OF_A_SIGNATURE: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// The fields of a request's query, but for those of its signature.
pub fn parameters(query: &str) -> Result<Vec<(String, String)>, NoText> {
    let mut fields = fields(query)?;
    fields.retain(|(name, _)| !OF_A_SIGNATURE.contains(&name.as_str()));
    Ok(fields)
}

/// `+` is a space, and `%` with two digits a byte; nothing where the bytes are no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16);
                digit(high)
                    .zip(digit(low))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let read = |text: &str| {
            let fields = fields(text).expect(text);
            let joined = fields.iter().map(|(name, value)| format!("{name}:{value}"));
            joined.collect::<Vec<_>>().join("|")
        };
        assert_eq!(
            read("reason=looks+good%2C+50+%25"),
            "reason:looks good, 50 %"
        );
        assert_eq!(read("a=b&reason=%C3%BC&%61=c"), "a:b|reason:\u{fc}|a:c");
        assert_eq!(read("reason=%zz%4&b"), "reason:%zz%4|b:");
        assert_eq!(read("a=b=c&&d="), "a:b=c|d:");
        assert_eq!(read(""), "");
    }

    #[test]
    fn what_signs_a_request_is_no_parameter_of_it() {
        let signed = OF_A_SIGNATURE.map(|name| format!("{name}=x")).join("&");
        let found = parameters(&format!("a=1&{signed}&X-Amz-Other=2&x-amz-date=3"));
        let found = found.expect("texts").into_iter().map(|(name, _)| name);
        let found: Vec<String> = found.collect();
        assert_eq!(found, ["a", "X-Amz-Other", "x-amz-date"]);
        assert_eq!(parameters(&signed), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_text_is_named_and_not_replaced() {
        for (text, field) in [
            ("user=%FF", "user"),
            ("endpoint=wine&user=a%C3", "user"),
            ("user=%ED%A0%80", "user"),
            ("us%FFer=a", ""),
        ] {
            let error = fields(text).expect_err(text);
            assert_eq!(error.field, field, "{text}");
        }
        // The mark itself is a text like any other.
        let mark = fields("user=%EF%BF%BD").expect("a text");
        assert_eq!(mark, [("user".to_owned(), "\u{fffd}".to_owned())]);
    }
}
