//! The canary's instances, and how it scales by itself.

use serde_json::json;

use super::super::super::parse;
use super::assert_refused;
use crate::domain::quantity::Span;
use crate::domain::scaling::Autoscaling;

fn autoscaling(asked: &serde_json::Value) -> Option<Autoscaling> {
    let whole = json!({
        "endpoint": "wine-quality", "model": "wine-quality-v2", "canary": asked,
    });
    parse(&whole).expect("it makes sense").capacity.autoscaling
}

#[test]
fn left_out_the_canary_scales_as_production_does() {
    assert_eq!(autoscaling(&json!({})), None);
}

#[test]
fn what_is_not_named_is_usual() {
    let usual = autoscaling(&json!({"autoscaling": {}})).expect("it is asked for");
    assert_eq!(usual, Autoscaling::default());
    assert_eq!(
        (usual.min, usual.max, usual.invocations_per_instance),
        (1, 10, 1000)
    );
    let named = json!({"autoscaling": {"min": 2, "max": 4, "invocations_per_instance": 50, "scale_in_cooldown": "10m", "scale_out_cooldown": "0s"}});
    assert_eq!(
        autoscaling(&named),
        Some(Autoscaling {
            min: 2,
            max: 4,
            invocations_per_instance: 50,
            scale_in_cooldown: Span::from_mins(10),
            scale_out_cooldown: Span::ZERO,
        })
    );
}

#[test]
fn bounds_that_make_no_sense_are_refused() {
    let rows = [
        (
            json!({"min": 0}),
            "canary.autoscaling.min",
            "from 1 to 1000",
        ),
        (
            json!({"min": 20}),
            "canary.autoscaling.max",
            "from min to 1000",
        ),
        (
            json!({"max": 1001}),
            "canary.autoscaling.max",
            "from min to 1000",
        ),
        (
            json!({"invocations_per_instance": 0}),
            "canary.autoscaling.invocations_per_instance",
            "requests a minute for each instance",
        ),
        (
            json!({"scale_in_cooldown": "2d"}),
            "canary.autoscaling.scale_in_cooldown",
            "at most 24h",
        ),
        (
            json!({"scale_out_cooldown": "25h"}),
            "canary.autoscaling.scale_out_cooldown",
            "at most 24h",
        ),
    ];
    for (asked, field, way_out) in rows {
        assert_refused(&json!({"canary": {"autoscaling": asked}}), field, way_out);
    }
}
