//! What let a deployment in, beside a specification that makes sense: the gate it passed, and the
//! preconditions that somebody vouches for (row P8).
//!
//! A precondition is a name, a link to the proof and the person or pipeline that gives it. Nothing
//! of it is checked here, and no link is followed: whoever reads the record can. What is held is that
//! those are there which the stack or the endpoint's owner asks for. Both add, and neither takes
//! away: an endpoint's tag can't waive what holds for the whole stack.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::authority::{Names, Tags};
use super::gate::{Gate, TOO_FEW};

/// The tag that names what an endpoint asks for, separated by spaces.
pub const PRECONDITIONS_TAG: &str = "canary:preconditions";
/// Required like a precondition, and met by a gate that was passed: nobody can vouch for it.
pub const GATE: &str = "gate";

/// One precondition, and who says that it is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"what is vouched for, such as {"name": "model_card", "link": "https://wiki.example.com/cards/wine", "by": "anna"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attestation {
    /// Which, like `model_card`, `security_scan`, `fairness_analysis`, `benchmark_report` or
    /// `rollback_test`.
    pub name: String,
    /// Where the proof is, over https.
    pub link: String,
    /// The person or pipeline that gives it.
    pub by: String,
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} ({})", self.name, self.by, self.link)
    }
}

/// What let a deployment in. Part of the terms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clearance {
    /// What the gate said, in words; absent without a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// What was vouched for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<Attestation>,
    /// Why it goes on through freezes and closed change windows; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<String>,
}

impl Clearance {
    /// In words, for the first line of history; absent where there is nothing to say.
    pub fn sentence(&self) -> Option<String> {
        let gate = self.gate.as_ref().map(|said| {
            if said.starts_with(TOO_FEW) {
                "it was accepted by the gate with too few rows".to_owned()
            } else {
                "it has passed the gate".to_owned()
            }
        });
        let attested = self.preconditions.iter().map(ToString::to_string);
        let attested = attested.collect::<Vec<_>>().join(", ");
        let attested = (!attested.is_empty()).then(|| format!("attested: {attested}"));
        let hotfix = self
            .hotfix
            .as_ref()
            .map(|why| format!("a hotfix, which waits for no freeze and no change window: {why}"));
        let parts: Vec<String> = gate.into_iter().chain(attested).chain(hotfix).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What is asked for, by the stack and by the endpoint's tag, and is not there.
pub fn missing(
    stack: &Names,
    tags: &Tags,
    given: &[Attestation],
    gate: Option<&Gate>,
) -> Vec<String> {
    let tag = tags.get(PRECONDITIONS_TAG).map(String::as_str);
    let asked = stack.and(&Names::parse(tag.unwrap_or_default()));
    let is_met = |name: &str| match name {
        GATE => gate.is_some(),
        _ => given.iter().any(|attestation| attestation.name == name),
    };
    let missing = asked.iter().filter(|name| !is_met(name));
    missing.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::Rules;

    fn attested(name: &str) -> Attestation {
        Attestation {
            name: name.to_owned(),
            link: "https://example.com/card".to_owned(),
            by: "anna".to_owned(),
        }
    }

    #[test]
    fn the_stack_and_the_tag_add_up() {
        let tags = |text: &str| Tags::from([(PRECONDITIONS_TAG.to_owned(), text.to_owned())]);
        let stack = Names::parse("model_card gate");
        let given = [attested("model_card"), attested("rollback_test")];
        let of = |tags: &Tags, gate| missing(&stack, tags, &given, gate);
        let gate = Gate {
            rules: Rules::default(),
            results: None,
        };
        assert_eq!(of(&Tags::new(), None), ["gate"]);
        assert_eq!(of(&Tags::new(), Some(&gate)), Vec::<String>::new());
        assert_eq!(of(&tags(""), None), ["gate"], "a tag takes nothing away");
        assert_eq!(
            of(&tags("security_scan  rollback_test"), Some(&gate)),
            ["security_scan"]
        );
        let nothing = missing(&Names::default(), &Tags::new(), &[], None);
        assert!(nothing.is_empty(), "nothing is asked for by default");
    }

    #[test]
    fn what_let_it_in_is_said_in_one_line() {
        assert_eq!(Clearance::default().sentence(), None);
        let clearance = Clearance {
            gate: Some("recall 97%".to_owned()),
            preconditions: vec![attested("model_card")],
            hotfix: None,
        };
        assert_eq!(
            clearance.sentence().as_deref(),
            Some("it has passed the gate; attested: model_card by anna (https://example.com/card)")
        );
    }
}
