//! What bad input gets: a problem document with a stable type, the field and what to do; nothing
//! written, nothing changed in SageMaker.

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{
    AsyncInferenceConfig, AsyncInferenceOutputConfig, ProductionVariant,
    ProductionVariantInstanceType, ProductionVariantServerlessConfig,
};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::aws::loopback::sdk_config;
use tests::{ENDPOINT, NEW, OLD, World, specification, specification_with};

/// Calls that write a record or change something in SageMaker.
pub(super) fn effects(world: &World) -> usize {
    let changing = [
        "TransactWriteItems",
        "PutItem",
        "DeleteItem",
        "UpdateItem",
        "CreateEndpointConfig",
        "DeleteEndpointConfig",
        "UpdateEndpoint",
        "UpdateEndpointWeightsAndCapacities",
        "Invoke",
        "Publish",
        "PutEvents",
        "RegisterScalableTarget",
    ];
    changing
        .iter()
        .map(|operation| world.count_calls(operation))
        .sum()
}

/// Holds an answer against the problem it must be.
pub(super) fn assert_problem(
    answer: &(StatusCode, Value),
    status: u16,
    kind: &str,
    field: Option<&str>,
) {
    let (found, problem) = answer;
    assert_eq!(found.as_u16(), status, "{problem}");
    assert_eq!(
        problem["type"].as_str(),
        Some(format!("urn:sagemaker-canary:problem:{kind}").as_str()),
        "{problem}"
    );
    assert_eq!(problem["field"].as_str(), field, "{problem}");
    assert_eq!(problem["status"].as_u64(), Some(u64::from(status)));
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.len() > 10 && !detail.chars().any(char::is_control)),
        "{problem}"
    );
    assert!(
        problem["title"]
            .as_str()
            .is_some_and(|title| !title.is_empty())
    );
}

/// POST /deploy and POST /plan refuse the same way, and nothing happens.
pub(super) async fn refused(
    world: &World,
    body: &[u8],
    status: u16,
    kind: &str,
    field: Option<&str>,
) {
    let before = effects(world);
    for path in ["/deploy", "/plan"] {
        let answer = world
            .request(
                Method::POST,
                path,
                &[("content-type", "application/json")],
                body.to_vec(),
            )
            .await;
        assert_problem(&answer, status, kind, field);
    }
    world.stack.simulator.run_functions().await;
    assert_eq!(
        effects(world),
        before,
        "nothing written, nothing called: {}",
        String::from_utf8_lossy(&body[..body.len().min(200)])
    );
}

async fn refused_specification(world: &World, changes: Value, field: &str) {
    let body = specification_with(changes).to_string();
    refused(
        world,
        body.as_bytes(),
        422,
        "invalid-specification",
        Some(field),
    )
    .await;
}

fn stages(weights: &[Value]) -> Value {
    let stages: Vec<Value> = weights
        .iter()
        .map(|weight| json!({"weight": weight, "bake": "5m"}))
        .collect();
    json!({"plan": {"stages": stages}})
}

#[tokio::test]
async fn weights_that_are_no_plan() {
    let world = World::new().await;
    let cases = [
        (
            stages(&[json!(50), json!(10), json!(100)]),
            "plan.stages[1].weight",
        ),
        (
            stages(&[json!(10), json!(10), json!(100)]),
            "plan.stages[1].weight",
        ),
        (stages(&[json!(10), json!(101)]), "plan.stages[1].weight"),
        (stages(&[json!(0), json!(100)]), "plan.stages[0].weight"),
        (stages(&[json!(-5), json!(100)]), "plan.stages[0].weight"),
        (stages(&[json!(0.1), json!(100)]), "plan.stages[0].weight"),
        (stages(&[json!("10%"), json!(100)]), "plan.stages[0].weight"),
        (stages(&[json!("NaN"), json!(100)]), "plan.stages[0].weight"),
        (stages(&[json!(null), json!(100)]), "plan.stages[0].weight"),
        (stages(&[json!(10), json!(90)]), "plan.stages"),
        (stages(&[]), "plan.stages"),
        (
            json!({"plan": {"preset": "linear", "stages": [{"weight": 100}]}}),
            "plan",
        ),
        (json!({"plan": {"preset": "fast"}}), "plan.preset"),
        (
            json!({"plan": {"linear": {"initial": 10, "step": 0, "every": "10m"}}}),
            "plan.linear.step",
        ),
    ];
    for (changes, field) in cases {
        refused_specification(&world, changes, field).await;
    }
}

#[tokio::test]
async fn durations_rates_and_numbers_that_mean_nothing() {
    let world = World::new().await;
    let bake =
        |bake: Value| json!({"plan": {"stages": [{"weight": 10, "bake": bake}, {"weight": 100}]}});
    let cases = [
        (bake(json!("0m")), "plan.stages[0].bake"),
        (bake(json!("-5m")), "plan.stages[0].bake"),
        (bake(json!(300)), "plan.stages[0].bake"),
        (bake(json!("5")), "plan.stages[0].bake"),
        (bake(json!("5 minutes")), "plan.stages[0].bake"),
        (bake(json!("999999999999999999999d")), "plan.stages[0].bake"),
        (bake(json!("NaN")), "plan.stages[0].bake"),
        (bake(json!("5m🚀")), "plan.stages[0].bake"),
        (bake(json!("🚀")), "plan.stages[0].bake"),
        (
            json!({"plan": {"preset": "linear", "deadline": "10m"}}),
            "plan.deadline",
        ),
        (
            json!({"plan": {"preset": "linear", "change_windows": ["Mon-Fri 09:00-17:00 Mars/Base"]}}),
            "plan.change_windows[0]",
        ),
        (
            json!({"policy": {"error_rate": {"limit": 0.01}}}),
            "policy.error_rate.limit",
        ),
        (
            json!({"policy": {"error_rate": {"limit": "0.01"}}}),
            "policy.error_rate.limit",
        ),
        (
            json!({"policy": {"error_rate": {"limit": "101%"}}}),
            "policy.error_rate.limit",
        ),
        (
            json!({"policy": {"error_rate": {"limit": "NaN%"}}}),
            "policy.error_rate.limit",
        ),
        (
            json!({"policy": {"error_rate": {"limit": "1%", "checks": 0}}}),
            "policy.error_rate.checks",
        ),
        (
            json!({"policy": {"error_rate": {"limit": "1%", "checks": 2, "for": "5m"}}}),
            "policy.error_rate",
        ),
        (
            json!({"policy": {"error_rate": {"limit": "1%", "for": "0s"}}}),
            "policy.error_rate.for",
        ),
        (
            json!({"policy": {"latency_p99": {"limit": 100}}}),
            "policy.latency_p99.limit",
        ),
        (
            json!({"policy": {"latency_p99": {"limit": "0ms"}}}),
            "policy.latency_p99.limit",
        ),
        (
            json!({"policy": {"latency_p99": {"ratio": 0.5}}}),
            "policy.latency_p99.ratio",
        ),
        (json!({"policy": {"min_samples": 0}}), "policy.min_samples"),
        (json!({"policy": {"min_samples": -1}}), "policy.min_samples"),
        (
            json!({"policy": {"blind_limit": "10s"}}),
            "policy.blind_limit",
        ),
        (
            json!({"policy": {"comparison": {"alpha": "0%"}}}),
            "policy.comparison.alpha",
        ),
        (json!({"policy": {"on_drift": "ignore"}}), "policy.on_drift"),
        (json!({"canary": {"instances": 0}}), "canary.instances"),
        (
            json!({"canary": {"instance_type": "c6i.large"}}),
            "canary.instance_type",
        ),
        (json!({"notify": {"topic": "releases"}}), "notify.topic"),
        (
            json!({"notify": {"audiences": {"finops": "https://example.com"}}}),
            "notify.audiences.finops",
        ),
    ];
    for (changes, field) in cases {
        refused_specification(&world, changes, field).await;
    }
}

/// A further check with these fields beside (or in place of) those it needs, as the second one.
fn check_with(changes: Value) -> Value {
    let mut check = json!({
        "name": "wrong",
        "bad": {"namespace": "Canary/Model", "metric": "Wrong"},
        "of": {"namespace": "Canary/Model", "metric": "Labelled"},
    });
    let first = check.clone();
    if let (Some(fields), Value::Object(changes)) = (check.as_object_mut(), changes) {
        fields.insert("name".to_owned(), json!("second"));
        fields.extend(changes);
    }
    json!({"policy": {"checks": [first, check]}})
}

#[tokio::test]
async fn checks_that_judge_nothing_or_count_nothing() {
    let world = World::new().await;
    let metric = |more: Value| {
        let mut metric = json!({"namespace": "Shop", "metric": "Refunds"});
        if let (Some(fields), Value::Object(more)) = (metric.as_object_mut(), more) {
            fields.extend(more);
        }
        metric
    };
    let cases = [
        (json!({"name": "wrong"}), "name"),
        (json!({"name": "errors"}), "name"),
        (json!({"name": "Wrong 🍷"}), "name"),
        (json!({"compare": false}), "compare"),
        (json!({"limit": "0%"}), "limit"),
        (json!({"limit": 0.05}), "limit"),
        (json!({"min_samples": -1}), "min_samples"),
        (json!({"direction": "up"}), "direction"),
        (json!({"severity": "urgent"}), "severity"),
        (json!({"on_breach": "panic"}), "on_breach"),
        (json!({"wieght": 1}), "wieght"),
        (json!({"bad": metric(json!({"stat": "p99"}))}), "bad.stat"),
        (json!({"of": metric(json!({"stat": "TC(2:1)"}))}), "of.stat"),
        (
            json!({"of": metric(json!({"namespace": ":Shop"}))}),
            "of.namespace",
        ),
        (json!({"bad": metric(json!({"metric": ""}))}), "bad.metric"),
        (
            json!({"bad": metric(json!({"dimensions": {"VariantName": "blue"}}))}),
            "bad.dimensions.VariantName",
        ),
        (
            json!({"bad": metric(json!({"dimensions": {"Model": 3}}))}),
            "bad.dimensions.Model",
        ),
    ];
    for (changes, field) in cases {
        let field = format!("policy.checks[1].{field}");
        refused_specification(&world, check_with(changes), &field).await;
    }
}

#[tokio::test]
async fn consequences_and_words_that_contradict_each_other() {
    let world = World::new().await;
    let cases = [
        (
            json!({"policy": {"error_rate": {"severity": "urgent"}}}),
            "policy.error_rate.severity",
        ),
        (
            json!({"policy": {"latency_p99": {"on_breach": "roll_back"}}}),
            "policy.latency_p99.on_breach",
        ),
        (
            json!({"policy": {"latency_p50": {"severity": "low"}}}),
            "policy.latency_p50",
        ),
        (
            json!({"policy": {"comparison": {"slowness": {"muted": "yes"}}}}),
            "policy.comparison.slowness.muted",
        ),
        (
            json!({"policy": {"safe_gate": true, "error_rate": {"limit": "0%"}}}),
            "policy.safe_gate",
        ),
        (
            json!({"accept_baseline": true, "policy": {"accept_baseline": false}}),
            "accept_baseline",
        ),
    ];
    for (changes, field) in cases {
        refused_specification(&world, changes, field).await;
    }
}

#[tokio::test]
async fn names_that_are_none_and_fields_nobody_knows() {
    let world = World::new().await;
    for name in [
        "",
        &"a".repeat(64),
        "wine🍷",
        "wine\u{7}",
        "wine quality",
        "-wine",
        "wine-",
        "wine_quality",
        "../wine",
    ] {
        refused_specification(&world, json!({"endpoint": name}), "endpoint").await;
        refused_specification(&world, json!({"model": name}), "model").await;
    }
    refused_specification(&world, json!({"wieght": 10}), "wieght").await;
    refused_specification(
        &world,
        json!({"plan": {"preset": "linear", "sock": "1h"}}),
        "plan.sock",
    )
    .await;
    refused_specification(
        &world,
        json!({"policy": {"error_rate": {"limits": "1%"}}}),
        "policy.error_rate.limits",
    )
    .await;
    refused_specification(&world, json!({"endpoint": 5}), "endpoint").await;
    refused_specification(&world, json!({"endpoint": null}), "endpoint").await;
    for field in ["endpoint", "model"] {
        let mut lacking = specification();
        lacking.as_object_mut().expect("an object").remove(field);
        refused(
            &world,
            lacking.to_string().as_bytes(),
            422,
            "invalid-specification",
            Some(field),
        )
        .await;
    }
    refused_specification(
        &world,
        json!({"model_package": "arn:aws:sagemaker:eu-central-1:123456789012:model-package/x/1"}),
        "model_package",
    )
    .await;
}

/// A short form of what must be written out.
#[tokio::test]
async fn wrong_shapes_are_told_what_to_write_instead() {
    let world = World::new().await;
    let topic = "arn:aws:sns:eu-central-1:123456789012:releases";
    for (changes, field, example) in [
        (
            json!({"plan": "linear"}),
            "plan",
            r#"{"preset": "linear"}, not the text `linear`"#,
        ),
        (
            json!({"policy": {"error_rate": "1%"}}),
            "policy.error_rate",
            r#"{"limit": "1%"}, not the text `1%`"#,
        ),
        (
            json!({"plan": {"stages": [10, 50]}}),
            "plan.stages[0]",
            r#"{"weight": 10, "bake": "1h"}, not 10"#,
        ),
        (
            json!({"rollback": "gradual"}),
            "rollback",
            r#""every": "1h"}, not the text `gradual`"#,
        ),
        (
            json!({"cleanup": "1h"}),
            "cleanup",
            r#"{"after": "1h"}, not the text `1h`"#,
        ),
        (
            json!({"notify": topic}),
            "notify",
            r#":releases"}, not the text `arn:aws:sns:"#,
        ),
        (
            json!({"policy": []}),
            "policy",
            r#"{"error_rate": {"limit": "1%"}}, not a list"#,
        ),
    ] {
        let answer = world.post("/plan", &specification_with(changes)).await;
        assert_problem(&answer, 422, "invalid-specification", Some(field));
        let said = answer.1["detail"].as_str().unwrap_or_default();
        assert!(said.contains(example), "{field}: {said}");
        assert!(!said.contains("struct") && !said.contains("Raw"), "{said}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_specification() {
    let world = World::new().await;
    for body in [
        "",
        "{",
        "endpoint: wine",
        "\u{1F377}",
        "{\"endpoint\": NaN}",
    ] {
        refused(&world, body.as_bytes(), 400, "not-json", None).await;
    }
    refused(&world, &[0xff, 0xfe, 0x00], 400, "not-json", None).await;
    for (body, detail) in [
        ("[]", "this must be a specification, such as {"),
        (
            "null",
            "the specification is empty: it needs at least `endpoint`",
        ),
        ("3", "this must be a specification, such as {"),
        ("\"wine\"", "this must be a specification, such as {"),
    ] {
        refused(&world, body.as_bytes(), 422, "invalid-specification", None).await;
        let (_, problem) = world
            .request(Method::POST, "/plan", &[], body.as_bytes().to_vec())
            .await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.starts_with(detail), "{body}: {said}");
    }
    refused(
        &world,
        &vec![b' '; 1024 * 1024],
        413,
        "body-too-large",
        None,
    )
    .await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    refused(&world, deep.as_bytes(), 400, "not-json", None).await;
    let (status, problem) = world
        .post(
            "/deploy",
            &specification_with(json!({"routing": "x".repeat(70 * 1024)})),
        )
        .await;
    assert_eq!(
        (status.as_u16(), problem["type"].as_str()),
        (
            422,
            Some("urn:sagemaker-canary:problem:invalid-specification")
        ),
        "past the size of a record"
    );
}

#[tokio::test]
async fn what_is_not_there_or_not_ready() {
    let world = World::new().await;
    let body = |changes| specification_with(changes).to_string().into_bytes();
    refused(
        &world,
        &body(json!({"endpoint": "nobody"})),
        422,
        "endpoint-not-found",
        Some("endpoint"),
    )
    .await;
    refused(
        &world,
        &body(json!({"endpoint": ENDPOINT.to_ascii_uppercase()})),
        422,
        "endpoint-spelled-otherwise",
        Some("endpoint"),
    )
    .await;
    refused(
        &world,
        &body(json!({"model": "nobody"})),
        422,
        "model-not-found",
        Some("model"),
    )
    .await;
    for status in ["Updating", "SystemUpdating", "Failed", "OutOfService"] {
        world.simulator().sagemaker().set_status(
            ENDPOINT,
            status,
            world.now() + SignedDuration::from_mins(1),
        );
        refused(
            &world,
            &body(json!({})),
            422,
            "endpoint-not-in-service",
            Some("endpoint"),
        )
        .await;
    }
}

fn variant(name: &str, model: &str) -> ProductionVariant {
    let variant = ProductionVariant::builder()
        .variant_name(name)
        .model_name(model)
        .initial_instance_count(1);
    variant
        .instance_type(ProductionVariantInstanceType::from("ml.c6i.large"))
        .initial_variant_weight(1.0)
        .build()
}

/// An endpoint of this name on a config of these variants.
async fn endpoint_of(
    world: &World,
    name: &str,
    production: Vec<ProductionVariant>,
    shadow: Option<ProductionVariant>,
    is_async: bool,
) {
    let sagemaker = Client::new(&sdk_config(world.stack.simulator.http_client()));
    let mut config = sagemaker
        .create_endpoint_config()
        .endpoint_config_name(name)
        .set_production_variants(Some(production));
    if let Some(shadow) = shadow {
        config = config.shadow_production_variants(shadow);
    }
    if is_async {
        let output = AsyncInferenceOutputConfig::builder()
            .s3_output_path("s3://bucket/out")
            .build();
        config = config.async_inference_config(
            AsyncInferenceConfig::builder()
                .output_config(output)
                .build(),
        );
    }
    config
        .send()
        .await
        .expect("a config that the simulator takes");
    sagemaker
        .create_endpoint()
        .endpoint_name(name)
        .endpoint_config_name(name)
        .send()
        .await
        .expect("a new endpoint");
    world.pass(SignedDuration::from_mins(2)).await;
}

#[tokio::test]
async fn endpoints_that_cannot_take_a_canary() {
    let world = World::new().await;
    let serverless = ProductionVariantServerlessConfig::builder()
        .memory_size_in_mb(2048)
        .max_concurrency(5)
        .build();
    let serverless = ProductionVariant::builder()
        .variant_name("only")
        .model_name(OLD)
        .serverless_config(serverless)
        .build();
    let components = ProductionVariant::builder()
        .variant_name("only")
        .initial_instance_count(1);
    let components = components
        .instance_type(ProductionVariantInstanceType::from("ml.c6i.large"))
        .build();
    endpoint_of(&world, "serverless", vec![serverless], None, false).await;
    endpoint_of(&world, "components", vec![components], None, false).await;
    endpoint_of(
        &world,
        "asynchronous",
        vec![variant("only", OLD)],
        None,
        true,
    )
    .await;
    endpoint_of(
        &world,
        "shadowed",
        vec![variant("only", OLD)],
        Some(variant("shadow", NEW)),
        false,
    )
    .await;
    endpoint_of(
        &world,
        "two",
        vec![variant("blue", OLD), variant("green", NEW)],
        None,
        false,
    )
    .await;
    let cases = [
        ("serverless", "serverless-variant"),
        ("components", "inference-components"),
        ("asynchronous", "async-endpoint"),
        ("shadowed", "shadow-variant"),
        ("two", "several-variants"),
    ];
    for (endpoint, kind) in cases {
        refused(
            &world,
            specification_with(json!({"endpoint": endpoint}))
                .to_string()
                .as_bytes(),
            422,
            kind,
            Some("endpoint"),
        )
        .await;
    }
}

#[tokio::test]
async fn an_endpoint_whose_config_was_deleted() {
    let world = World::new().await;
    let sagemaker = Client::new(&sdk_config(world.stack.simulator.http_client()));
    sagemaker
        .delete_endpoint_config()
        .endpoint_config_name(tests::CONFIG)
        .send()
        .await
        .expect("a config");
    refused(
        &world,
        specification().to_string().as_bytes(),
        422,
        "endpoint-config-not-found",
        Some("endpoint"),
    )
    .await;
}
