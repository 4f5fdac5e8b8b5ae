//! Texts that people give and others read, in mails, chats, pages and terminals: reasons, names, who
//! vouches for what.

/// Whether a character does something to the text around it and can't be seen itself: control characters,
/// the separators of lines and paragraphs, the marks that turn the direction of writing, and what has no
/// width.
///
/// U+200C and U+200D are none of them: Persian and the scripts of India are written with them, and many an
/// emoji is several that U+200D joins.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// Whether a text says something, and nothing but what can be seen of it: 1 to `longest` characters, one of
/// them visible and none of them hidden.
pub fn is_readable(text: &str, longest: usize) -> bool {
    let is_visible = |character: char| {
        !character.is_whitespace() && !matches!(character, '\u{200c}' | '\u{200d}')
    };
    text.chars().any(is_visible) && text.chars().count() <= longest && !text.chars().any(is_hidden)
}

/// What can be seen of a text that may be left out: hidden characters are dropped, and a space stands for one that
/// breaks a line. Nothing where nothing visible is left.
pub fn visible(text: &str) -> Option<String> {
    let kept = text.chars().filter_map(|character| match character {
        seen if !is_hidden(seen) => Some(seen),
        broken if broken.is_whitespace() => Some(' '),
        _ => None,
    });
    let kept: String = kept.collect();
    is_readable(&kept, usize::MAX).then_some(kept)
}

/// What a person wrote, safe and short enough to repeat in an error, which goes to terminals and logs: the
/// first characters of it that can be seen.
pub fn excerpt(text: &str, longest: usize) -> String {
    let shown = text.chars().filter(|character| !is_hidden(*character));
    shown.take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_hides_or_breaks_a_text_is_refused() {
        for hidden in [
            '\0', '\n', '\u{7f}', '\u{85}', '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}',
            '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{2069}',
            '\u{feff}',
        ] {
            let text = format!("looks {hidden}good");
            assert!(!is_readable(&text, 500), "U+{:04X}", u32::from(hidden));
            assert_eq!(excerpt(&text, 500), "looks good");
        }
    }

    #[test]
    fn what_people_write_is_taken() {
        for text in [
            "v1 leaks connections",
            "süß, 漢字, שלום",
            // A technologist, and a word of Persian with its U+200C.
            "\u{1f469}\u{200d}\u{1f4bb} looked at it",
            "می\u{200c}خواهم",
            "\u{2764}\u{fe0f}",
            " with spaces around it ",
        ] {
            assert!(is_readable(text, 500), "{text}");
            assert_eq!(excerpt(text, 500), text);
        }
    }

    #[test]
    fn of_a_text_that_may_be_left_out_what_can_be_seen_is_kept() {
        for (given, kept) in [
            ("errors\u{200b}", Some("errors")),
            ("safe \u{202e}lla", Some("safe lla")),
            ("too slow\nby far", Some("too slow by far")),
            (
                "\u{1f469}\u{200d}\u{1f4bb}",
                Some("\u{1f469}\u{200d}\u{1f4bb}"),
            ),
            ("", None),
            (" \u{a0}", None),
            ("\u{200b}\n", None),
            ("\u{200d}", None),
        ] {
            assert_eq!(visible(given).as_deref(), kept, "{given:?}");
        }
    }

    #[test]
    fn a_text_says_something_and_has_an_end() {
        for blank in ["", " ", "\u{a0}\u{3000}", "\u{200d}", " \u{200c} "] {
            assert!(!is_readable(blank, 500), "{blank:?}");
        }
        let long = "é".repeat(500);
        assert!(is_readable(&long, 500) && !is_readable(&long, 499));
        assert_eq!(excerpt(&long, 40).chars().count(), 40);
    }
}
