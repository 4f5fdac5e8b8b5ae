//! Events, bodies, cursors and problem documents as nobody sends them: read or refused, never a
//! panic, and what is accepted comes back as it was.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulator::malformed::{self, Choices};

use super::api::{CommandBody, WeightBody};
use super::events::Wake;
use super::items::{is_check_key, is_created_key};
use super::problem::Problem;

/// Reads broken versions of a valid document, and writes again what could be read.
fn assert_total<T>(valid: &Value)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    serde_json::from_value::<T>(valid.clone()).expect("valid before it is broken");
    let text = valid.to_string();
    bolero::check!()
        .with_iterations(1000)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let broken = match choices.below(2) {
                0 => malformed::json(valid, &mut choices).into_bytes(),
                _ => malformed::bytes(text.as_bytes(), &mut choices),
            };
            let Ok(read) = serde_json::from_slice::<T>(&broken) else {
                return;
            };
            let written = serde_json::to_string(&read).expect("it came from JSON");
            let again: T = serde_json::from_str(&written).expect("what was written can be read");
            assert_eq!(again, read);
        });
}

#[test]
fn every_wake_is_read_or_refused() {
    assert_total::<Wake>(&json!({"deployment_id": "019cad9b-92e0", "version": 7}));
}

#[test]
fn every_command_is_read_or_refused() {
    assert_total::<CommandBody>(&json!({"reason": "the alarm was ours"}));
    assert_total::<WeightBody>(&json!({"weight": 25, "reason": "a slow day"}));
}

#[test]
fn every_problem_is_read_or_refused() {
    let problem = Problem::new(422, "invalid-specification", "not a rate")
        .field("policy.error_rate.limit")
        .deployment("019cad9b-92e0");
    assert_total::<Problem>(&serde_json::to_value(problem).expect("a problem is JSON"));
}

#[test]
fn a_wake_names_the_field_it_lacks() {
    for (event, named) in [
        ("{}", "deployment_id"),
        (r#"{"deployment_id": "x"}"#, "version"),
        (
            r#"{"deployment_id": "x", "version": 1, "force": true}"#,
            "force",
        ),
    ] {
        let error = serde_json::from_str::<Wake>(event).expect_err("refused");
        assert!(error.to_string().contains(named), "{error}");
    }
}

/// What passes goes into a query as it is: it must be what a page ended with, to the letter.
#[test]
fn a_cursor_is_one_that_was_given_out() {
    const CREATED: &str = "2026-03-02T08:13:00Z#019cad9b-92e0-76b4-987c-1ba72b1a1183";
    const CHECK: &str = "CHECK#2026-03-02T08:14:00Z";
    assert!(is_created_key(CREATED) && is_check_key(CHECK));
    bolero::check!()
        .with_iterations(5000)
        .with_max_len(32)
        .for_each(|bytes: &[u8]| {
            let created = malformed::text(CREATED, &mut Choices::new(bytes));
            if is_created_key(&created) {
                let (at, id) = created.split_once('#').expect("two parts");
                assert_eq!(
                    (
                        at.parse::<jiff::Timestamp>().expect("a time").to_string(),
                        id.len()
                    ),
                    (at.to_owned(), 36)
                );
            }
            let check = malformed::text(CHECK, &mut Choices::new(bytes));
            assert!(!is_check_key(&check) || check.is_ascii());
        });
}
