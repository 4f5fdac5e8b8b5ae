//! What the fields of a specification may hold, beside their types: the schema of what `check` checks.
//!
//! Left to the checks, because JSON Schema can't say it: sums of durations, figures that rise from row to
//! row, names that differ from one another, and what the preset makes of a field that is left out.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::check::{
    EVERY, GROUP_SAMPLES, LABELS, LONGEST_CHECK_NAME, LONGEST_DIMENSION_VALUE,
    LONGEST_IN_CLOUDWATCH, LONGEST_ROUTING, LONGEST_WORD, MOST_CHECKS, MOST_DIMENSIONS,
    MOST_SAMPLES, MOST_STEPS,
};
use super::check::{LONGEST_BY, LONGEST_LINK, MOST_PRECONDITIONS};
use super::raw::{Instances, QuotedText, Raw, WholePercent};
use crate::domain::deployment::{Cleanup, Watch};
use crate::domain::fairness::FairnessRule;
use crate::domain::gate::{MOST_ROWS, Rules};
use crate::domain::model_signals::OTHER;
use crate::domain::plan::{Plan, Preset};
use crate::domain::policy::Policy;
use crate::domain::retreat::Rollback;
use crate::domain::signal;
use crate::wire::api::LONGEST_REASON;
use crate::wire::openapi::{NO_CONTROL_CHARACTERS, READABLE, Schemas, add, refine};

/// The pattern of a name in SageMaker, as `domain::specification::is_name` has it.
pub const NAME: &str = "^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$";
/// The ARN of a version of a model package, as `domain::registry::PackageArn` has it.
const PACKAGE: &str = "^arn:aws[!-9;-~]*:sagemaker:[!-9;-~]+:[0-9]{12}:model-package/[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?/[1-9][0-9]{0,8}$";
/// Printable ASCII that is not blank and does not start with a colon.
const CLOUDWATCH_NAME: &str = "^( +[!-~]|[!-9;-~])[ -~]*$";
const STATISTIC: &str = r"^(Sum|SampleCount|TC\(([0-9]{1,15}(\.[0-9]{1,10})?:([0-9]{1,15}(\.[0-9]{1,10})?)?|:[0-9]{1,15}(\.[0-9]{1,10})?)\))$";

/// The specification and all that it is made of.
pub(crate) fn add_all(all: &mut Schemas) {
    add::<Raw>(all);
    refine_top(all);
    refine_plan(all);
    refine_policy(all);
    refine_model(all);
    refine_checks(all);
    refine_rollback(all);
    refine_clearance(all);
}

fn refine_top(all: &mut Schemas) {
    refine(all, "Specification.endpoint", json!({"pattern": NAME}));
    refine(all, "Specification.model", json!({"pattern": NAME}));
    refine(
        all,
        "Specification.model_package",
        json!({"pattern": PACKAGE, "maxLength": 176, "examples": ["arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3"]}),
    );
    // One of the two; what is null is not given.
    let given = |field: &str, other: &str| {
        json!({
            "required": [field],
            "properties": {field: {"type": "string"}, other: {"type": "null"}},
        })
    };
    refine(
        all,
        "Specification",
        json!({
            "required": ["endpoint"],
            "oneOf": [given("model", "model_package"), given("model_package", "model")],
        }),
    );
    for field in ["model_name", "salt"] {
        refine(
            all,
            &format!("Routing.{field}"),
            json!({"minLength": 1, "maxLength": LONGEST_ROUTING, "pattern": NO_CONTROL_CHARACTERS}),
        );
    }
    refine(all, "Canary.instances", json!({"default": "match"}));
    refine(
        all,
        "Canary.instance_type",
        json!({"pattern": r"^ml\.[a-z0-9.-]{0,37}$", "examples": ["ml.c6i.large"]}),
    );
    for field in ["min", "max"] {
        let instances = json!({"minimum": 1, "maximum": 1000});
        refine(all, &format!("Autoscaling.{field}"), instances);
    }
    refine(
        all,
        "Autoscaling.invocations_per_instance",
        json!({"minimum": 1, "maximum": 10_000_000}),
    );
    let after = Cleanup::AFTER.to_string();
    refine(all, "Cleanup.after", json!({"default": after}));
    let usual = Watch::USUAL.to_string();
    refine(all, "Watch.for", json!({"examples": [usual, "0s"]}));
    refine(all, "Cleanup.keep_old_variant", json!({"default": false}));
    for topic in [
        "Notify.topic",
        "Audiences.on_call",
        "Audiences.ml_team",
        "Audiences.finops",
    ] {
        let arn = json!({
            "pattern": "^arn:[^:]*:sns:[^:]*:[^:]*:[^:]*$",
            "examples": ["arn:aws:sns:eu-central-1:123456789012:releases"],
        });
        refine(all, topic, arn);
    }
}

fn refine_clearance(all: &mut Schemas) {
    let usual = Rules::default();
    for (field, default) in [
        ("recall", json!(usual.recall)),
        ("fpr", json!(usual.fpr)),
        ("latency", json!(usual.latency)),
        ("max_age", json!(usual.max_age)),
    ] {
        refine(all, &format!("Gate.{field}"), json!({"default": default}));
    }
    let ratio = json!({"minimum": 0.1, "maximum": 10, "default": usual.f1_ratio});
    refine(all, "Gate.f1_ratio", ratio);
    refine(all, "Gate.leave_out", json!({"maxItems": 4}));
    for field in ["both", "champion", "challenger", "neither"] {
        let rows = json!({"minimum": 0, "maximum": MOST_ROWS});
        refine(all, &format!("GateRows.{field}"), rows);
    }
    let rows = json!({"minimum": 0, "maximum": MOST_ROWS});
    refine(all, "GateLatency.rows", rows);
    for field in ["p95_ms", "low_ms", "high_ms"] {
        refine(all, &format!("GateLatency.{field}"), json!({"minimum": 0}));
    }
    for field in ["model", "champion"] {
        let name = json!({"minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"});
        refine(all, &format!("GateResults.{field}"), name);
    }
    let digest = json!({"pattern": "^[0-9a-fA-F]{64}$"});
    refine(all, "GateResults.predictions", digest);
    let reason = json!({"minLength": 1, "maxLength": LONGEST_REASON, "pattern": READABLE});
    refine(all, "Hotfix.reason", reason);
    let most = json!({"maxItems": MOST_PRECONDITIONS, "default": []});
    refine(all, "Specification.preconditions", most);
    let name = json!({"pattern": "^[a-z][a-z0-9_]{0,39}$", "not": {"const": "gate"}});
    refine(all, "Attestation.name", name);
    let link = json!({
        "maxLength": LONGEST_LINK, "examples": ["https://wiki.example.com/cards/wine"],
        "pattern": r"^https://[!$-&(-.0-;=A-\[\]-_a-~]+([/?#][!#-&(-;=?-\[\]-_a-~]*)?$",
    });
    refine(all, "Attestation.link", link);
    let by = json!({"minLength": 1, "maxLength": LONGEST_BY, "pattern": READABLE});
    refine(all, "Attestation.by", by);
}

fn presets_in_words() -> String {
    let presets = [
        Preset::Linear,
        Preset::Playbook,
        Preset::Quick,
        Preset::Phased,
    ];
    let lines = presets.map(|preset| {
        let name = serde_json::to_value(preset).expect("a name");
        let stages = preset.stages().into_iter().map(|stage| {
            if stage.bake.is_zero() {
                stage.weight.to_string()
            } else {
                format!("{} for {}", stage.weight, stage.bake)
            }
        });
        let stages = stages.collect::<Vec<_>>().join(", ");
        format!("- `{}`: {stages}", name.as_str().unwrap_or_default())
    });
    format!(
        "Named stages, each with a policy of its own where the specification says nothing:\n\n{}",
        lines.join("\n")
    )
}

/// A field that is not given, or given as nothing.
fn left_out() -> Value {
    json!({"type": "null"})
}

fn refine_plan(all: &mut Schemas) {
    let deadline = Plan::DEADLINE.to_string();
    refine(
        all,
        "PlanSpecification.deadline",
        json!({"default": deadline}),
    );
    refine(
        all,
        "PlanSpecification.stages",
        json!({"minItems": 1, "maxItems": Plan::MOST_STAGES}),
    );
    refine(
        all,
        "StageSpecification.approval",
        json!({"default": false}),
    );
    refine(all, "Preset", json!({"description": presets_in_words()}));
    let preset = serde_json::to_value(Preset::Linear).expect("a name");
    let forms = json!([
        {
            "title": "A preset",
            "description": "The linear one if none is named.",
            "properties": {"linear": left_out(), "stages": left_out()},
        },
        {
            "title": "A line",
            "required": ["linear"],
            "properties": {
                "linear": {"type": "object"},
                "stages": left_out(),
                "preset": {"enum": [preset, null]},
            },
        },
        {
            "title": "A list",
            "required": ["stages"],
            "properties": {
                "stages": {"type": "array"},
                "linear": left_out(),
                "preset": left_out(),
            },
        },
    ]);
    refine(all, "PlanSpecification", json!({"oneOf": forms}));
}

fn refine_policy(all: &mut Schemas) {
    refine(
        all,
        "Policy.min_samples",
        json!({"minimum": 1, "maximum": MOST_SAMPLES, "default": Policy::MIN_SAMPLES}),
    );
    let blind_limit = Policy::BLIND_LIMIT.to_string();
    refine(all, "Policy.blind_limit", json!({"default": blind_limit}));
    refine(all, "Policy.safe_gate", json!({"default": false}));
    refine(
        all,
        "Policy.alarms",
        json!({"maxItems": 100, "items": {"type": "string", "minLength": 1, "maxLength": 255}}),
    );
    refine(all, "Policy.on_drift", json!({"default": "hold"}));
    refine(all, "Policy.checks", json!({"maxItems": MOST_CHECKS}));
    for guard in ["ErrorRateGuard", "LatencyGuard"] {
        let checks = format!("{guard}.checks");
        refine(all, &checks, json!({"minimum": 1, "maximum": 1000}));
        let both = json!({
            "required": ["checks", "for"],
            "properties": {"checks": {"type": "integer"}, "for": {"type": "string"}},
        });
        refine(all, guard, json!({"not": both}));
        refine(all, &format!("{guard}.for"), json!({"pattern": "[1-9]"}));
    }
    refine(all, "LatencyGuard.ratio", json!({"minimum": 1}));
    refine(all, "MemoryGuard.limit", json!({"default": "95%"}));
    let lasting = json!({"pattern": "[1-9]", "default": "5m"});
    refine(all, "MemoryGuard.for", lasting);
    let comparison = Policy::preset(Preset::Linear).comparison;
    refine(
        all,
        "Comparison.alpha",
        json!({"default": comparison.alpha.to_string()}),
    );
    refine(
        all,
        "Comparison.tolerate",
        json!({"minimum": 1, "maximum": 100, "default": comparison.tolerate}),
    );
}

fn refine_rollback(all: &mut Schemas) {
    let (shortest, longest) = EVERY;
    refine(all, "Rollback.mode", json!({"default": "immediate"}));
    refine(
        all,
        "Rollback.weights",
        json!({"minItems": 1, "maxItems": MOST_STEPS, "examples": [[25, 10]]}),
    );
    refine(
        all,
        "Rollback.every",
        json!({"description": format!(
            "How long each share is kept, from its confirmation on, from {shortest} to {longest}; needed with `gradual`, and only there."
        ), "examples": ["1h"]}),
    );
    refine(
        all,
        "Rollback.step_backs",
        json!({"minimum": 0, "maximum": Rollback::MOST_STEP_BACKS, "default": Rollback::STEP_BACKS}),
    );
    let forms = json!([
        {
            "title": "At once",
            "properties": {
                "mode": {"enum": ["immediate"]},
                "weights": left_out(),
                "every": left_out(),
            },
        },
        {
            "title": "Down by steps",
            "required": ["mode", "weights", "every"],
            "properties": {
                "mode": {"enum": ["gradual"]},
                "weights": {"type": "array"},
                "every": {"type": "string"},
            },
        },
    ]);
    refine(all, "Rollback", json!({"oneOf": forms}));
}

fn refine_model(all: &mut Schemas) {
    const WORD: &str = "^[A-Za-z0-9._-]+$";
    let share = || json!({"exclusiveMinimum": 0, "exclusiveMaximum": 1});
    for measure in [
        "demographic_parity",
        "equal_opportunity",
        "disparate_impact",
    ] {
        refine(all, &format!("FairnessGuard.{measure}"), share());
    }
    for (field, usual) in [
        ("min_samples", GROUP_SAMPLES),
        ("min_positives", FairnessRule::MIN_POSITIVES),
    ] {
        refine(
            all,
            &format!("FairnessGuard.{field}"),
            json!({"minimum": 1, "maximum": MOST_SAMPLES, "default": usual}),
        );
    }
    refine(
        all,
        "QualityGuard.min_labels",
        json!({"minimum": 0, "maximum": MOST_SAMPLES, "default": 0}),
    );
    refine(
        all,
        "StageSpecification.min_labels",
        json!({"minimum": 0, "maximum": MOST_SAMPLES, "default": 0}),
    );
    refine(
        all,
        "CostGuard.ratio",
        json!({"minimum": 1, "default": 1.5}),
    );
    refine(
        all,
        "CostGuard.for",
        json!({"pattern": "[1-9]", "default": "1h"}),
    );
    let price = json!({"type": "number", "minimum": 0.000_001, "exclusiveMaximum": 10_000});
    refine(
        all,
        "CostGuard.prices",
        json!({"additionalProperties": price, "default": {}}),
    );
    refine(
        all,
        "ModelSignals.score",
        json!({"maxLength": LONGEST_WORD, "pattern": r"^(/[\s\S]*)?$", "default": ""}),
    );
    refine(all, "ModelSignals.positive_from", json!({"default": 0.5}));
    refine(
        all,
        "ModelSignals.positive_label",
        json!({"minLength": 1, "maxLength": LONGEST_WORD}),
    );
    refine(
        all,
        "Group.attribute",
        json!({"minLength": 1, "maxLength": LONGEST_WORD, "pattern": WORD}),
    );
    let (fewest, most) = LABELS;
    let label = json!({
        "type": "string", "minLength": 1, "maxLength": LONGEST_WORD, "pattern": WORD,
        "not": {"const": OTHER},
    });
    refine(
        all,
        "Group.labels",
        json!({"minItems": fewest, "maxItems": most, "uniqueItems": true, "items": label}),
    );
}

fn refine_checks(all: &mut Schemas) {
    let pattern = format!("^[a-z][a-z0-9_-]{{0,{}}}$", LONGEST_CHECK_NAME - 1);
    let built_in = [signal::ERRORS, signal::CLIENT_ERRORS, signal::SLOWNESS];
    refine(
        all,
        "CheckSpecification.name",
        json!({"pattern": pattern, "not": {"enum": built_in}}),
    );
    refine(
        all,
        "CheckSpecification.min_samples",
        json!({"minimum": 0, "maximum": MOST_SAMPLES}),
    );
    refine(all, "CheckSpecification.compare", json!({"default": true}));
    refine(
        all,
        "CheckSpecification.direction",
        json!({"default": "higher_is_worse"}),
    );
    refine(
        all,
        "Metric.namespace",
        json!({"maxLength": LONGEST_IN_CLOUDWATCH, "pattern": CLOUDWATCH_NAME, "examples": ["Canary/Model"]}),
    );
    refine(
        all,
        "Metric.metric",
        json!({"maxLength": LONGEST_IN_CLOUDWATCH, "pattern": READABLE, "examples": ["WrongPredictions"]}),
    );
    refine(
        all,
        "Metric.stat",
        json!({"pattern": STATISTIC, "default": "Sum", "examples": ["TC(0.5:)"]}),
    );
    refine(
        all,
        "Metric.dimensions",
        json!({
            "maxProperties": MOST_DIMENSIONS,
            "propertyNames": {"pattern": CLOUDWATCH_NAME, "maxLength": LONGEST_IN_CLOUDWATCH},
        }),
    );
}

impl PartialSchema for WholePercent {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some(
                "A share of the traffic in whole percent, without a sign.",
            ))
            .minimum(Some(1))
            .maximum(Some(100))
            .into()
    }
}

impl ToSchema for WholePercent {
    fn name() -> Cow<'static, str> {
        "WholePercent".into()
    }
}

impl PartialSchema for Instances {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(1000));
        let word = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["match"]));
        OneOfBuilder::new()
            .description(Some("`match`, or a number of instances."))
            .item(word)
            .item(number)
            .into()
    }
}

impl ToSchema for Instances {
    fn name() -> Cow<'static, str> {
        "Instances".into()
    }
}

impl PartialSchema for QuotedText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Printable ASCII. In YAML it stands in quotes: bare, `{variant}` is a map.",
            ))
            .max_length(Some(LONGEST_DIMENSION_VALUE))
            .pattern(Some("^ *[!-~][ -~]*$"))
            .examples([json!("{variant}")])
            .into()
    }
}

impl ToSchema for QuotedText {
    fn name() -> Cow<'static, str> {
        "DimensionValue".into()
    }
}
