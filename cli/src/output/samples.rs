//! Answers of the API as fixed JSON, for the tests.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::domain::history::Entry;
use shared::domain::judge::MinuteReport;
use shared::wire::api::{DeploymentView, PlanView};

/// The id of the sample.
pub(crate) const ID: &str = "01931f0a-7c00-7abc-8def-0123456789ab";

/// A deployment in its third stage.
pub(crate) fn baking() -> DeploymentView {
    read(baking_json())
}

/// The same as JSON.
pub(crate) fn baking_json() -> Value {
    let links = json!({
        "self": format!("/deployments/{ID}"),
        "history": format!("/deployments/{ID}/history"),
        "checks": format!("/deployments/{ID}/checks"),
    });
    json!({
        "deployment_id": ID,
        "status": "IN_PROGRESS",
        "phase": "Baking",
        "endpoint": "wine-quality",
        "model": "wine-quality-v2",
        "former_model": "wine-quality-v1",
        "canary_variant": "canary-456789ab",
        "production_variant": "AllTraffic",
        "weight": 50,
        "target_weight": 50,
        "stage": 2,
        "stage_count": 3,
        "reason": "the canary serves 50 % and is judged for 20m",
        "version": 17,
        "created_at": "2026-11-21T10:00:00Z",
        "created_by": "Release",
        "updated_at": "2026-11-21T10:14:05Z",
        "as_of": "2026-11-21T10:18:30Z",
        "expected_end": "2026-11-21T11:04:00Z",
        "stages": [
            {"weight": 10, "bake": "10m", "approval": false, "begins_at": "2026-11-21T10:00:00Z"},
            {"weight": 50, "bake": "20m", "approval": true, "begins_at": "2026-11-21T10:10:00Z"},
            {"weight": 100, "bake": "0s", "approval": false, "begins_at": "2026-11-21T10:30:00Z"},
        ],
        "soak": "30m",
        "deadline": "4h",
        "deadline_used": "805s",
        "measured": {
            "judged_through": "2026-11-21T10:16:00Z",
            "canary": {"invocations": 3120, "errors_4xx": 2, "errors_5xx": 5},
            "production": {"invocations": 9210, "errors_4xx": 7, "errors_5xx": 0},
            "stage_samples": 2400,
            "canary_per_minute": 599.6,
        },
        "links": links,
    })
}

/// A deployment that was rolled back.
pub(crate) fn rolled_back() -> DeploymentView {
    read(rolled_back_json())
}

/// The same as JSON.
pub(crate) fn rolled_back_json() -> Value {
    let mut view = baking_json();
    view["status"] = json!("ROLLED_BACK");
    view["phase"] = json!("Ended");
    view["weight"] = json!(0);
    view["target_weight"] = json!(0);
    view["version"] = json!(21);
    view["reason"] = json!("5XX errors of the canary: 3.10% over 500 requests in 1 min");
    view["expected_end"] = Value::Null;
    view
}

/// What happened on the way there, over midnight.
pub(crate) fn entries() -> Vec<Entry> {
    read(entries_json())
}

/// The same as JSON.
pub(crate) fn entries_json() -> Value {
    json!([
        {
            "seq": 1, "at": "2026-11-21T23:50:00Z", "event": "deployment.started",
            "severity": "info", "reason": "wine-quality-v2 is to replace wine-quality-v1",
            "value": "", "limit": "", "status": "PENDING", "phase": "Provisioning",
            "weight": 0, "by": "Release",
        },
        {
            "seq": 2, "at": "2026-11-21T23:56:10Z", "event": "traffic.shifted",
            "severity": "detail", "reason": "the canary serves 10 %",
            "value": "10 %", "limit": "10 %", "status": "IN_PROGRESS", "phase": "Baking",
            "weight": 10,
        },
        {
            "seq": 3, "at": "2026-11-22T00:01:20Z", "event": "deployment.rolling_back",
            "severity": "critical",
            "reason": "5XX errors of the canary: 3.10% over 500 requests in 1 min",
            "value": "3.10%", "limit": "1%", "status": "ROLLING_BACK", "phase": "Reverting",
            "weight": 0,
        },
    ])
}

/// Two minutes, one of them without a canary.
pub(crate) fn minutes() -> Vec<MinuteReport> {
    read(minutes_json())
}

/// The same as JSON.
pub(crate) fn minutes_json() -> Value {
    let arm = |requests: u64, errors: u64, p99: f64| {
        json!({
            "invocations": requests, "errors_4xx": 0, "errors_5xx": errors,
            "latency": {
                "samples": requests, "p50_ms": 4.0, "p90_ms": 6.0, "p95_ms": 7.5, "p99_ms": p99,
            },
            "overhead_ms": 1.0, "cpu_percent": null, "memory_percent": null,
        })
    };
    json!([
        {
            "minute": "2026-11-21T10:16:00Z", "weight": 50,
            "canary": arm(600, 18, 12.34), "production": arm(598, 0, 11.0),
            "guards": {
                "error_rate.limit": {
                    "finding": "broken", "sentence": "3.00%, past the limit of 1%",
                    "breaches": 2, "gathered": 0,
                },
            },
            "signals": {"errors": errors_standing()},
            "verdict": "unhealthy", "sentence": "5XX errors of the canary: 3.00%",
        },
        {
            "minute": "2026-11-21T10:15:00Z", "weight": 50,
            "canary": null, "production": arm(1201, 0, 11.0),
            "guards": {}, "verdict": "inconclusive", "sentence": "blind: no points of the canary",
        },
    ])
}

/// Evidence against the canary.
fn errors_standing() -> Value {
    json!({
        "minute": {"n": 600, "x": 18}, "production_minute": {"n": 598, "x": 0},
        "canary": {"n": 1200, "x": 30}, "production": {"n": 1198, "x": 1},
        "canary_rate": 0.025, "production_rate": 0.0008, "ratio": 29.9,
        "interval": {"low": 4.1, "high": 220.0}, "tolerated": 1.25, "limit": null,
        "ln_e": 6.2, "odds": "about 490 to 1", "minutes": 2, "acts": "rollback",
        "sentence": "5XX errors: canary 2.50% (30 of 1200), production 0.083% (1 of 1198)",
    })
}

/// What a specification would do.
pub(crate) fn plan() -> PlanView {
    read(plan_json())
}

/// The same as JSON.
pub(crate) fn plan_json() -> Value {
    let mut stages = baking_json()["stages"].clone();
    for (stage, instances) in stages.as_array_mut().into_iter().flatten().zip([1, 1, 2]) {
        stage["instances"] = json!(instances);
        stage["dollars_per_hour"] = json!(0.102 * f64::from(instances));
        if stage["weight"] != json!(100) {
            stage["canary_requests"] = json!(1000);
            stage["catches"] = json!({
                "errors": {"rate": 0.0125, "production_rate": 0.002, "ratio": 6.25, "minutes": 9},
                "slowness": {"rate": 0.031, "production_rate": 0.01, "ratio": 3.1, "slowdown": 1.31, "minutes": 8},
            });
        }
    }
    json!({
        "endpoint": "wine-quality",
        "model": "wine-quality-v2",
        "former_model": "wine-quality-v1",
        "requests_per_minute": 1000.0,
        "stages": stages,
        "soak": "30m",
        "duration": "1h",
        "ends_at": "2026-11-21T11:00:00Z",
        "extra_instances": 2,
        "instance_dollars": 0.153,
        "quotas": [
            {"name": "ml.c6i.large for endpoint usage", "instance_type": "ml.c6i.large", "instances": 6},
        ],
        "guards": ["5XX errors above 1% in 2 checks in a row", "p99 latency above 100ms in 3 checks in a row"],
        "signals": ["5XX errors: more than 1.25 times production's odds"],
        "rollback": "at once; after 3 step backs at the most",
        "warnings": ["the stage at 10 % sees about 1000 canary requests"],
    })
}

/// The same of a model that is asked about itself.
pub(crate) fn speaking_plan() -> PlanView {
    let mut plan = plan_json();
    plan["model_signals"] = json!({
        "custom_metrics": 34, "rollout_dollars": 0.112, "month_dollars": 10.2,
        "log_line_bytes": 653, "log_rollout_dollars": 0.0196, "log_month_dollars": 14.3,
        "labels": {
            "accuracy": {
                "of": "labels", "waits_for": 500, "all_bad": arrivals([7, 3, 3, 300]),
                "twice": {"rate": 0.3, "caught": arrivals([169, 18, 5, 500])},
            },
            "fairness.equal_opportunity": {
                "of": "labelled actual positives", "waits_for": 100, "groups": ["north", "south"], "all_bad": [],
            },
            "recall": {"of": "labels that are positive", "all_bad": arrivals([7, 3, 3, 300])},
        },
    });
    read(plan)
}

/// The minutes at each pace, and the labels of the minute that has all of them.
fn arrivals([one, ten, hundred, at_once]: [u64; 4]) -> Value {
    let all = [(1, one), (10, ten), (100, hundred), (at_once, 1)];
    let all = all.map(|(labels_a_minute, minutes)| {
        json!({"labels_a_minute": labels_a_minute, "minutes": minutes})
    });
    json!(all)
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the samples have the API's shape")
}
