//! Preconditions: names that can be asked for, links that can be opened, and who vouches.

use super::super::{SpecificationError, wrong};
use crate::domain::clearance::{Attestation, GATE};
use crate::domain::text::is_readable;

/// The most of them.
pub(in super::super) const MOST: usize = 20;
/// Characters of a link.
pub(in super::super) const LONGEST_LINK: usize = 500;
/// Characters of a person's or a pipeline's name.
pub(in super::super) const LONGEST_BY: usize = 100;

pub(super) fn check_preconditions(given: &[Attestation]) -> Result<(), SpecificationError> {
    if given.len() > MOST {
        return Err(wrong("preconditions", format!("{MOST} at the most")));
    }
    for (place, attestation) in given.iter().enumerate() {
        let wrong =
            |field: &str, detail: String| wrong(format!("preconditions[{place}].{field}"), detail);
        let Attestation { name, link, by } = attestation;
        if name == GATE {
            let detail = "nobody can vouch for the gate; give the specification a `gate` with results that pass it";
            return Err(wrong("name", detail.to_owned()));
        }
        if !is_word(name) {
            let detail = "1 to 40 lower case letters, digits and underscores, with a letter first, like model_card";
            return Err(wrong("name", detail.to_owned()));
        }
        if given[..place].iter().any(|before| before.name == *name) {
            return Err(wrong("name", format!("{name} is there twice; keep one")));
        }
        if !is_link(link) {
            let detail = format!(
                "an address over https of at most {LONGEST_LINK} characters, like \"https://wiki.example.com/cards/wine\""
            );
            return Err(wrong("link", detail));
        }
        if !is_readable(by, LONGEST_BY) {
            let detail = format!(
                "the person or pipeline that gives it: 1 to {LONGEST_BY} characters that can be seen, on one line"
            );
            return Err(wrong("by", detail));
        }
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// People click on it: nothing but https, and nothing that hides where it leads.
fn is_link(text: &str) -> bool {
    let host = text.strip_prefix("https://").map(|rest| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        &rest[..end]
    });
    text.len() <= LONGEST_LINK
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>\"'`\\".contains(&byte))
        && host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
}
