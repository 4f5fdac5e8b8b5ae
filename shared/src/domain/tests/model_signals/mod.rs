//! What the model says about itself: how good, how fair and how different it is.
//!
//! | module | holds |
//! |---|---|
//! | `labels` | how good its predictions are, once labels came |
//! | `scores` | where its scores lie, and answers that can't be read |
//! | `groups` | whether groups are treated alike |
//! | `routing` | users who are asked of one model by name |

mod groups;
mod labels;
mod routing;
mod scores;

use super::builders::*;
use crate::domain::comparison::Counts;
use crate::domain::decide::{Decision, decide};
use crate::domain::observation::ArmMinute;

/// A stage without guards that is over as soon as nothing speaks against it.
fn baking(at: u8) -> Case {
    Case::baking(at).with(|case| case.deployment.terms.policy.guards.clear())
}

fn after(case: &mut Case, count: i64, canary: &ArmMinute, production: &ArmMinute) -> Decision {
    let metrics = last_minutes(case, count, Some(canary), Some(production));
    let seen = seen(split(case.deployment.state.weight.percent())).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

fn counted(mut minute: ArmMinute, name: &str, n: u64, x: u64) -> ArmMinute {
    minute
        .checks
        .insert(name.to_owned(), Counts::new(n, x).unwrap());
    minute
}
