//! Which users are asked of the canary.

use serde_json::{Value, json};

use super::{assert_refused, parse};
use crate::domain::routing::Sticky;

fn with(routing: &Value) -> Value {
    json!({"endpoint": "wine", "model": "wine-v2", "routing": routing})
}

#[test]
fn a_model_goes_by_its_endpoint_unless_it_is_named() {
    let routing = |given: &Value| parse(&with(given)).unwrap().routing;
    let sticky = |model_name: &str, salt: Option<&str>| {
        Some(Sticky {
            model_name: model_name.to_owned(),
            salt: salt.map(str::to_owned),
        })
    };
    assert_eq!(routing(&json!({"sticky": "user_id"})), sticky("wine", None));
    assert_eq!(
        routing(&json!({"sticky": "user_id", "model_name": "taste", "salt": "2026"})),
        sticky("taste", Some("2026"))
    );
    assert_eq!(routing(&Value::Null), None);
}

#[test]
fn what_tells_nobody_apart_is_refused_by_its_field() {
    for (given, field, way_out) in [
        (json!({}), "routing.sticky", "missing"),
        (json!({"sticky": "session"}), "routing.sticky", "user_id"),
        (json!({"sticky": true}), "routing.sticky", "user_id"),
        (
            json!({"sticky": "user_id", "salt": ""}),
            "routing.salt",
            "1 to 128 bytes",
        ),
        (
            json!({"sticky": "user_id", "salt": "s".repeat(129)}),
            "routing.salt",
            "1 to 128 bytes",
        ),
        (
            json!({"sticky": "user_id", "model_name": "a\nb"}),
            "routing.model_name",
            "control characters",
        ),
        (
            json!({"sticky": "user_id", "by": "hash"}),
            "routing.by",
            "model_name",
        ),
    ] {
        assert_refused(&with(&given), field, way_out);
    }
}
