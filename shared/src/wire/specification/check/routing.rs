//! Which users are asked of the canary.

use super::super::raw::{RawRouting, StickyBy};
use super::super::{SpecificationError, wrong};
use crate::domain::routing::Sticky;

/// The longest model name and the longest salt, in bytes.
pub(in super::super) const LONGEST: usize = 128;

impl RawRouting {
    pub(super) fn check(self, endpoint: &str) -> Result<Sticky, SpecificationError> {
        // The only one there is: a second one would have to be told apart here.
        let StickyBy::UserId = self.sticky;
        let model_name = self.model_name.unwrap_or_else(|| endpoint.to_owned());
        for (field, text) in [
            ("routing.model_name", Some(&model_name)),
            ("routing.salt", self.salt.as_ref()),
        ] {
            let fits = |text: &String| {
                (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
            };
            if !text.is_none_or(fits) {
                return Err(wrong(
                    field,
                    "a text of 1 to 128 bytes without control characters; leave it out for none of its own",
                ));
            }
        }
        Ok(Sticky {
            model_name,
            salt: self.salt,
        })
    }
}
