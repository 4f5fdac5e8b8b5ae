//! Rust source with its comments and literals blanked out, and the identifiers that are left.
//!
//! It knows just enough of the language to tell code from what is not: comments (nested too), strings
//! (raw, byte and C too) and characters, as against lifetimes. Line numbers stay as they were.

/// An identifier or a path joined by `::`, and the line it starts on, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) line: usize,
    pub(super) text: String,
}

/// The names in the code of a source file, in order; `a :: b` reads as `a::b`.
pub(super) fn names(source: &str) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    // Whether the last thing seen was `::` right after a name.
    let mut joins = false;
    for (index, line) in blanked(source).lines().enumerate() {
        let mut rest = line;
        while let Some(character) = rest.chars().next() {
            let length = rest
                .find(|character: char| !is_name(character))
                .unwrap_or(rest.len());
            if length > 0 {
                let (word, after) = rest.split_at(length);
                match found.last_mut() {
                    Some(last) if joins => {
                        last.text.push_str("::");
                        last.text.push_str(word);
                    }
                    _ => found.push(Name {
                        line: index + 1,
                        text: word.to_owned(),
                    }),
                }
                joins = false;
                rest = after;
            } else if let Some(after) = rest.strip_prefix("::") {
                joins = !found.is_empty();
                rest = after;
            } else {
                joins &= character.is_whitespace();
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    found
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The source with every comment and every literal's inside replaced by spaces.
fn blanked(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    // A letter before a quote or an `r` makes it part of a name (`bar"` is no raw string).
    let mut after_name = false;
    while let Some(character) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if character == '"' {
            quoted(rest)
        } else if character == '\'' {
            character_literal(rest)
        } else if character == 'r' && !after_name {
            raw_string(rest)
        } else {
            0
        };
        // `b` and `c` before a quote are a prefix of the literal, not a name.
        let is_prefix = matches!(character, 'b' | 'c') && !after_name;
        after_name = is_name(character) && !is_prefix;
        let length = if skipped == 0 {
            code.push(character);
            character.len_utf8()
        } else {
            after_name = false;
            code.extend(rest[..skipped].chars().map(|inside| match inside {
                '\n' => '\n',
                _ => ' ',
            }));
            skipped
        };
        rest = &rest[length..];
    }
    code
}

/// The length of the comment that the text starts with.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += character.len_utf8();
        }
    }
    text.len()
}

/// The length of the string that the text starts with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string that the text starts with, or 0 if it starts with none.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..]
        .chars()
        .take_while(|character| *character == '#')
        .count();
    let inside = 1 + hashes + 1;
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    text[inside..]
        .find(&end)
        .map_or(text.len(), |at| inside + at + end.len())
}

/// The length of the character that the text starts with, or 0 if that is a lifetime.
fn character_literal(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        // The second character belongs to the escape, be it a quote; the end comes after it.
        Some((_, '\\')) => text
            .char_indices()
            .skip(3)
            .find(|(_, character)| *character == '\'')
            .map_or(0, |(at, _)| at + 1),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        names(source).into_iter().map(|name| name.text).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_names() {
        let source = r##"
            /// doc
            let a = "str \" ing"; // line
            /* block /* nested */ still */ let b = 'x';
            let c = r#"raw " string"#; let d = b"bytes"; let e = '\''; let f = '\u{41}';
            let g = br"raw bytes";
        "##;
        let names = texts(source);
        let expect = [
            "let", "a", "let", "b", "let", "c", "let", "d", "b", "let", "e",
        ];
        assert_eq!(names[..expect.len()], expect);
        assert_eq!(names[expect.len()..], ["let", "f", "let", "g", "b"]);
    }

    #[test]
    fn lifetimes_are_not_characters_and_paths_are_one_name() {
        assert_eq!(
            texts("fn f<'a>(x: &'a str) -> std :: time::\n Instant { 'out: loop {} }"),
            [
                "fn",
                "f",
                "a",
                "x",
                "a",
                "str",
                "std::time::Instant",
                "out",
                "loop"
            ]
        );
        assert_eq!(texts("::std::env; a b"), ["std::env", "a", "b"]);
    }

    #[test]
    fn lines_are_counted_through_what_is_blanked() {
        let found = names("/* one\ntwo */ let s = \"three\nfour\";\nlast");
        let last = found.last().expect("there are names");
        assert_eq!((last.line, last.text.as_str()), (4, "last"));
    }
}
