//! What a policy may say, what it comes to, and which field is named when it makes no sense.

mod capacity;
mod checks;
mod gate;
mod model;
mod policy;
mod preconditions;
mod rollback;
mod routing;

use serde_json::{Value, json};

use super::super::{SpecificationError, parse};
use crate::domain::policy::{Consequence, Policy};

/// A specification with these top-level fields beside the two that are needed.
fn read(more: &Value) -> Result<Policy, SpecificationError> {
    let mut whole = json!({"endpoint": "wine-quality", "model": "wine-quality-v2"});
    let fields = whole.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    parse(&whole).map(|specification| specification.policy)
}

fn read_policy(policy: &Value) -> Result<Policy, SpecificationError> {
    read(&json!({"policy": policy}))
}

/// Refused with this field, a text that shows the way out, and nothing unprintable.
#[track_caller]
fn assert_refused(more: &Value, field: &str, way_out: &str) {
    let error = read(more).expect_err(&format!("{more} must be refused"));
    assert_eq!(error.field, field, "{more}: {error}");
    assert!(error.detail.contains(way_out), "{more}: {error}");
    assert!(!error.detail.chars().any(char::is_control), "{error:?}");
}

#[track_caller]
fn assert_policy_refused(policy: &Value, field: &str, way_out: &str) {
    assert_refused(&json!({"policy": policy}), field, way_out);
}

/// A guard's consequence.
#[track_caller]
fn of_guard(policy: &Policy, name: &str) -> Consequence {
    let guard = policy.guards.iter().find(|guard| guard.name == name);
    guard.expect(name).consequence
}

/// A signal's consequence.
#[track_caller]
fn of_signal(policy: &Policy, name: &str) -> Consequence {
    let rule = policy.signals.iter().find(|rule| rule.name == name);
    rule.expect(name).consequence
}
