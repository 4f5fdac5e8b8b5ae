//! The way back: at once or down by steps, and how often a stage is tried again.

use serde_json::{Value, json};

use super::super::super::parse;
use super::assert_refused;
use crate::domain::quantity::{Span, Weight};
use crate::domain::retreat::{Rollback, Steps};

fn read(rollback: &Value) -> Rollback {
    let whole = json!({"endpoint": "wine", "model": "wine-v2", "rollback": rollback});
    parse(&whole).expect("a way back").rollback
}

#[test]
fn at_once_unless_steps_are_named() {
    let usual = Rollback {
        steps: None,
        step_backs: 3,
    };
    for said in [json!(null), json!({}), json!({"mode": "immediate"})] {
        assert_eq!(read(&said), usual, "{said}");
    }
    assert_eq!(read(&json!({"step_backs": 0})).step_backs, 0);
    assert_eq!(read(&json!({"step_backs": 10})).step_backs, 10);
    let shortest = read(&json!({"mode": "gradual", "weights": [25], "every": "5m"}));
    assert_eq!(shortest.every(), Span::from_mins(5));
    let gradual = read(&json!({"mode": "gradual", "weights": [99, 25, 1], "every": "1h"}));
    let weights = [99, 25, 1].map(|percent| Weight::new(percent).expect("a percentage"));
    let steps = Steps {
        weights: weights.to_vec(),
        every: Span::from_hours(1),
    };
    assert_eq!(gradual.steps, Some(steps));
    assert_eq!(
        gradual.to_string(),
        "by steps below critical severity: 99 %, 25 %, 1 %, each kept for 1h, then all of it; after 3 steps back at the most"
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let gradual = |weights: Value, every: Value| json!({"mode": "gradual", "weights": weights, "every": every});
    let rows = [
        (
            json!({"mode": "gradual"}),
            "rollback.weights",
            "like [25, 10]",
        ),
        (
            gradual(json!([]), json!("1h")),
            "rollback.weights",
            "1 to 20 shares",
        ),
        (
            gradual(json!([25, 25]), json!("1h")),
            "rollback.weights[1]",
            "does not fall below 25",
        ),
        (
            gradual(json!([10, 25]), json!("1h")),
            "rollback.weights[1]",
            "does not fall below 10",
        ),
        (
            gradual(json!([100, 25]), json!("1h")),
            "rollback.weights[0]",
            "from 99 to 1",
        ),
        (
            gradual(json!([0]), json!("1h")),
            "rollback.weights[0]",
            "whole",
        ),
        (
            gradual(json!(["25%"]), json!("1h")),
            "rollback.weights[0]",
            "whole",
        ),
        (
            gradual(json!([25]), json!(null)),
            "rollback.every",
            "how long each share is kept",
        ),
        (
            gradual(json!([25]), json!("299s")),
            "rollback.every",
            "from 5m to 24h",
        ),
        (
            gradual(json!([25]), json!("25h")),
            "rollback.every",
            "from 5m to 24h",
        ),
        (
            json!({"weights": [25]}),
            "rollback.weights",
            "mode: gradual",
        ),
        (
            json!({"mode": "immediate", "every": "1h"}),
            "rollback.every",
            "mode: gradual",
        ),
        (json!({"step_backs": 11}), "rollback.step_backs", "0 to 10"),
        (json!({"mode": "slow"}), "rollback.mode", "gradual"),
        (json!({"steps": 3}), "rollback.steps", "step_backs"),
    ];
    for (rollback, field, way_out) in rows {
        assert_refused(&json!({"rollback": rollback}), field, way_out);
    }
}
