//! What an endpoint serves: the split by weight, model errors, and the instances that carry the load.

use super::*;

#[tokio::test]
async fn invocations_follow_current_weights_and_target_variants() {
    let simulator = with_canary().await;
    let shift = json!([
        {"VariantName": "production", "DesiredWeight": 3.0},
        {"VariantName": "canary", "DesiredWeight": 1.0},
    ]);
    adjust(&simulator, shift).await.expect("accepted");
    let served = |response: &Response<Bytes>| {
        assert_eq!(response.status(), 200);
        response.headers()["x-amzn-invoked-production-variant"] == "canary"
    };
    for _ in 0..50 {
        assert!(!served(&invoke(&simulator, "wine", &[]).await));
    }
    simulator.advance(SignedDuration::from_secs(15)).await;
    let mut canary = 0;
    for _ in 0..400 {
        canary += i32::from(served(&invoke(&simulator, "wine", &[]).await));
    }
    assert!((70..130).contains(&canary), "{canary} of 400");
    let pinned = [("X-Amzn-SageMaker-Target-Variant", "canary")];
    assert!(served(&invoke(&simulator, "wine", &pinned).await));
    let unknown = [("X-Amzn-SageMaker-Target-Variant", "nobody")];
    assert_eq!(invoke(&simulator, "wine", &unknown).await.status(), 400);
}

#[tokio::test]
async fn a_failing_model_is_a_model_error() {
    let simulator = in_service().await;
    let failing = Distribution {
        error_rate: 1.0,
        ..Distribution::default()
    };
    simulator.set_backend("m1", Backend::Distribution(failing));
    let response = invoke(&simulator, "wine", &[]).await;
    assert_eq!(response.status(), 424);
    assert_eq!(response.headers()["x-amzn-errortype"], "ModelError");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(body["OriginalStatusCode"], 500);
    let nothing_listens = "http://127.0.0.1:1".to_owned();
    simulator.set_backend(
        "m1",
        Backend::Http {
            url: nothing_listens,
        },
    );
    let response = invoke(&simulator, "wine", &[]).await;
    assert_eq!(response.status(), 424);
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(body["OriginalStatusCode"], 0);
}

/// What is served, requests and bulk traffic alike, goes wrong as long as it is told to; another model is left
/// alone, and what there is none of is not disturbed.
#[tokio::test]
async fn a_model_misbehaves_until_its_time_is_over() {
    let simulator = in_service().await;
    let end = simulator.clock().now() + SignedDuration::from_mins(2);
    let failing = Disturbance {
        error_rate: 1.0,
        until: Some(end),
        ..Disturbance::default()
    };
    assert!(!simulator.disturb("nobody", failing));
    assert!(simulator.disturb("m1", failing));
    assert_eq!(simulator.disturbances(), [("m1".to_owned(), failing)]);
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 424);
    // A server that is there is not asked either.
    let nothing_listens = "http://127.0.0.1:1".to_owned();
    simulator.set_backend(
        "m1",
        Backend::Http {
            url: nothing_listens,
        },
    );
    let response = invoke(&simulator, "wine", &[]).await;
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(body["OriginalStatusCode"], 500);
    simulator.set_backend("m1", Backend::Distribution(Distribution::default()));
    simulator.advance(SignedDuration::from_mins(2)).await;
    assert!(simulator.disturbances().is_empty());
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 200);
    assert!(simulator.disturb(
        "m1",
        Disturbance {
            until: None,
            ..failing
        }
    ));
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 424);
    simulator.inject(Fault {
        service: service::SNS.to_owned(),
        operation: None,
        skip: 0,
        times: 1,
        kind: FaultKind::Throttle,
    });
    simulator.undisturb();
    assert_eq!(
        (simulator.disturbances(), simulator.faults()),
        (Vec::new(), Vec::new())
    );
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 200);
}

#[tokio::test]
async fn a_variant_without_traffic_shrinks_to_its_floor_and_a_raised_floor_grows_it() {
    let simulator = in_service().await;
    let id = "endpoint/wine/variant/production";
    let bounds = json!({"ResourceId": id, "MinCapacity": 1, "MaxCapacity": 8});
    scaling(&simulator, "RegisterScalableTarget", bounds)
        .await
        .expect("registered");
    let policy = json!({
        "ResourceId": id, "PolicyName": "load", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 200.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance",
            },
        },
    });
    scaling(&simulator, "PutScalingPolicy", policy)
        .await
        .expect("put");
    let count = async || {
        describe(&simulator).await["ProductionVariants"][0]["CurrentInstanceCount"].clone()
    };
    simulator.advance(SignedDuration::from_mins(20)).await;
    assert_eq!(count().await, 1);
    let floor = json!({"ResourceId": id, "MinCapacity": 3});
    scaling(&simulator, "RegisterScalableTarget", floor)
        .await
        .expect("registered");
    assert_eq!(
        simulator.autoscaling().bounds("wine", "production"),
        Some((3, 8))
    );
    simulator.advance(SignedDuration::from_mins(3)).await;
    assert_eq!(count().await, 3);
    simulator.set_traffic("wine", 1_000.0);
    simulator.advance(SignedDuration::from_mins(6)).await;
    assert_eq!(count().await, 5);
    let deregister = json!({"ResourceId": id});
    scaling(&simulator, "DeregisterScalableTarget", deregister)
        .await
        .expect("deregistered");
    let policies = scaling(&simulator, "DescribeScalingPolicies", json!({}))
        .await
        .expect("described");
    assert_eq!(policies["ScalingPolicies"], json!([]));
}

#[tokio::test]
async fn a_variant_of_burstable_instances_is_not_scaled() {
    let simulator = in_service().await;
    let mut small = variant("production", "m1", 2, 1.0);
    small["InstanceType"] = "ml.t2.medium".into();
    config(&simulator, "small", &[small]).await;
    update(&simulator, "small", json!({})).await.expect("taken");
    simulator.advance(SignedDuration::from_mins(3)).await;
    let bounds = json!({"ResourceId": "endpoint/wine/variant/production", "MinCapacity": 1, "MaxCapacity": 2});
    let outcome = scaling(&simulator, "RegisterScalableTarget", bounds).await;
    assert_refused(outcome, "ValidationException", "ml.t2.medium");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let simulator = with_canary().await;
        let both = json!([
            {"VariantName": "production", "DesiredWeight": 1.0},
            {"VariantName": "canary", "DesiredWeight": 1.0},
        ]);
        adjust(&simulator, both).await.expect("accepted");
        simulator.advance(SignedDuration::from_mins(1)).await;
        let mut variants = Vec::new();
        for _ in 0..50 {
            let response = invoke(&simulator, "wine", &[]).await;
            let variant = &response.headers()["x-amzn-invoked-production-variant"];
            variants.push(variant.clone());
        }
        runs.push(variants);
    }
    assert_eq!(runs[0], runs[1]);
}
