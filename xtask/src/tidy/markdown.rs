//! As much of Markdown as the checks of documents need: what is code, what is a heading, what is a link.

use std::collections::BTreeMap;

/// A line, and whether it stands in a fenced block of code.
pub(super) struct Line<'text> {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: &'text str,
    pub(super) is_code: bool,
}

pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut fence: Option<&str> = None;
    let mut found = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let marker = text.trim_start();
        let is_code = if let Some(opened) = fence {
            if marker.starts_with(opened) && marker.trim_matches(['`', '~']).trim().is_empty() {
                fence = None;
            }
            true
        } else {
            fence = ["```", "~~~"]
                .into_iter()
                .find(|fence| marker.starts_with(fence));
            fence.is_some()
        };
        found.push(Line {
            number: index + 1,
            text,
            is_code,
        });
    }
    found
}

/// The spans between backticks of a line outside fenced code.
pub(super) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The line with its spans between backticks taken out.
pub(super) fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Where the links and pictures of a line lead: `[…](here)`, `[…]: here`, `src="here"`, `href="here"`.
pub(super) fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut found = Vec::new();
    for after in line.split("](").skip(1) {
        // A title may follow the target, and the target may stand in angle brackets.
        let inside = after.split([')', ' ']).next().unwrap_or_default();
        found.push(inside.trim_matches(['<', '>']).to_owned());
    }
    let definition = line.trim_start();
    if definition.starts_with('[')
        && let Some((_, after)) = definition.split_once("]: ")
    {
        let target = after.split_whitespace().next().unwrap_or_default();
        found.push(target.trim_matches(['<', '>']).to_owned());
    }
    for attribute in ["src=\"", "href=\""] {
        for after in line.split(attribute).skip(1) {
            found.push(after.split('"').next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The anchors of a document's headings, as code hosts make them: lower case, punctuation gone, spaces
/// to hyphens, and a number after the second of a kind.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for line in lines(text).iter().filter(|line| !line.is_code) {
        let title = line.text.trim_start_matches('#');
        if title.len() == line.text.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect();
        let times = seen.entry(anchor.clone()).or_default();
        found.push(match *times {
            0 => anchor,
            again => format!("{anchor}-{again}"),
        });
        *times += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_in_every_notation_and_not_in_code() {
        let line = r#"[a](one.md "title") ![b](<two.png>) `[c](no.md)` <img src="three.svg">"#;
        assert_eq!(targets(line), ["one.md", "two.png", "three.svg"]);
        assert_eq!(targets("[name]: four.md"), ["four.md"]);
        assert_eq!(targets("a [x] b: c"), Vec::<String>::new());
    }

    #[test]
    fn headings_become_anchors() {
        let text = "# The API, v2\n## A `b`-c\n```sh\n# a comment\n```\n## A `b`-c\n#tag\n";
        assert_eq!(anchors(text), ["the-api-v2", "a-b-c", "a-b-c-1"]);
    }

    #[test]
    fn a_fence_ends_only_at_its_own_kind() {
        let code: Vec<bool> = lines("x\n```rust\n~~~\n```\ny\n")
            .iter()
            .map(|line| line.is_code)
            .collect();
        assert_eq!(code, [false, true, true, true, false]);
    }
}
