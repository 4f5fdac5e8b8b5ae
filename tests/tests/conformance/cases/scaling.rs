//! Application Auto Scaling: targets, floors and policies that come back as they were.

use std::collections::BTreeMap;

use shared::app::ports::{Class, Scaling as _};
use shared::domain::scaling::{CustomizedMetric, ScalableTarget, Suspension, TrackingPolicy};

use super::Case;
use super::endpoints::serving;
use crate::account::Account;

const VARIANT: &str = "production";

pub(crate) fn cases() -> Vec<Case> {
    super::cases!("autoscaling":
        a_variant_that_does_not_scale_has_no_target,
        a_target_comes_back_as_it_was_registered,
        a_policy_on_a_metric_of_cloudwatch_comes_back,
        a_suspended_target_comes_back_suspended,
        a_floor_moves_and_leaves_the_rest,
        a_floor_moves_and_leaves_what_is_suspended,
        a_floor_above_the_ceiling_is_refused,
        a_floor_of_no_target_is_refused,
        a_policy_put_twice_is_one_policy,
        a_target_is_deregistered_with_its_policies,
        a_target_that_is_gone_is_deregistered_already,
    )
}

fn policy(value: f64) -> TrackingPolicy {
    TrackingPolicy {
        name: "keep-up".to_owned(),
        target_value: value,
        metric: Some("SageMakerVariantInvocationsPerInstance".to_owned()),
        customized: None,
        scale_in_cooldown: Some(300),
        scale_out_cooldown: Some(60),
        disable_scale_in: Some(false),
    }
}

fn on_processors() -> TrackingPolicy {
    let dimension = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    TrackingPolicy {
        metric: None,
        customized: Some(CustomizedMetric {
            namespace: "/aws/sagemaker/Endpoints".to_owned(),
            metric: "CPUUtilization".to_owned(),
            dimensions: vec![
                dimension("EndpointName", "wine"),
                dimension("VariantName", CustomizedMetric::VARIANT),
            ],
            statistic: "Average".to_owned(),
            unit: Some("Percent".to_owned()),
        }),
        ..policy(70.0)
    }
}

fn target(policy: &TrackingPolicy) -> ScalableTarget {
    ScalableTarget {
        min: 2,
        max: 10,
        policies: vec![serde_json::to_string(policy).expect("a policy as JSON")],
        suspended: Suspension::default(),
        tags: BTreeMap::new(),
    }
}

/// The target's bounds and its policies, read.
async fn found(account: &Account, endpoint: &str) -> Option<(u32, u32, Vec<TrackingPolicy>)> {
    let target = account.aws.target(endpoint, VARIANT).await;
    let target = target.expect("a readable target")?;
    let policies = target
        .policies
        .iter()
        .map(|text| serde_json::from_str(text).expect("policies are kept as JSON"));
    Some((target.min, target.max, policies.collect()))
}

async fn registered(account: &Account, target: &ScalableTarget) -> String {
    let endpoint = serving(account).await;
    let registered = account.aws.register(&endpoint, VARIANT, target).await;
    registered.expect("a variant that can scale");
    endpoint
}

async fn suspended(account: &Account, endpoint: &str) -> Option<Suspension> {
    let target = account.aws.target(endpoint, VARIANT).await;
    target.expect("a readable target").map(|it| it.suspended)
}

async fn a_variant_that_does_not_scale_has_no_target(account: &Account) {
    let endpoint = serving(account).await;
    assert_eq!(found(account, &endpoint).await, None);
}

async fn a_target_comes_back_as_it_was_registered(account: &Account) {
    let endpoint = registered(account, &target(&policy(500.0))).await;
    let policies = vec![policy(500.0)];
    assert_eq!(found(account, &endpoint).await, Some((2, 10, policies)));
    assert_eq!(
        suspended(account, &endpoint).await,
        Some(Suspension::default())
    );
}

async fn a_policy_on_a_metric_of_cloudwatch_comes_back(account: &Account) {
    let endpoint = registered(account, &target(&on_processors())).await;
    let policies = vec![on_processors()];
    assert_eq!(found(account, &endpoint).await, Some((2, 10, policies)));
}

/// Scaling in and schedules wait, scaling out does not.
fn partly() -> ScalableTarget {
    ScalableTarget {
        suspended: Suspension {
            scale_in: true,
            scale_out: false,
            scheduled: true,
        },
        ..target(&policy(500.0))
    }
}

async fn a_suspended_target_comes_back_suspended(account: &Account) {
    let endpoint = registered(account, &partly()).await;
    let found = suspended(account, &endpoint).await;
    assert_eq!(found, Some(partly().suspended));
}

async fn a_floor_moves_and_leaves_the_rest(account: &Account) {
    let endpoint = registered(account, &target(&policy(500.0))).await;
    let raised = account.aws.set_floor(&endpoint, VARIANT, 4).await;
    raised.expect("a registered target");
    let policies = vec![policy(500.0)];
    assert_eq!(found(account, &endpoint).await, Some((4, 10, policies)));
}

async fn a_floor_moves_and_leaves_what_is_suspended(account: &Account) {
    let endpoint = registered(account, &partly()).await;
    let raised = account.aws.set_floor(&endpoint, VARIANT, 4).await;
    raised.expect("a registered target");
    let found = suspended(account, &endpoint).await;
    assert_eq!(found, Some(partly().suspended));
}

async fn a_floor_above_the_ceiling_is_refused(account: &Account) {
    let endpoint = registered(account, &target(&policy(500.0))).await;
    let raised = account.aws.set_floor(&endpoint, VARIANT, 11).await;
    assert_eq!(raised.map_err(|error| error.class), Err(Class::Invalid));
}

async fn a_floor_of_no_target_is_refused(account: &Account) {
    let endpoint = serving(account).await;
    let raised = account.aws.set_floor(&endpoint, VARIANT, 1).await;
    assert_eq!(raised.map_err(|error| error.class), Err(Class::Invalid));
    assert_eq!(found(account, &endpoint).await, None);
}

async fn a_policy_put_twice_is_one_policy(account: &Account) {
    let endpoint = registered(account, &target(&policy(500.0))).await;
    let again = target(&policy(250.0));
    let registered = account.aws.register(&endpoint, VARIANT, &again).await;
    registered.expect("a registered target");
    let policies = vec![policy(250.0)];
    assert_eq!(found(account, &endpoint).await, Some((2, 10, policies)));
}

async fn a_target_is_deregistered_with_its_policies(account: &Account) {
    let endpoint = registered(account, &target(&policy(500.0))).await;
    let removed = account.aws.deregister(&endpoint, VARIANT).await;
    removed.expect("a registered target");
    assert_eq!(found(account, &endpoint).await, None);
    let bare = ScalableTarget {
        policies: Vec::new(),
        ..target(&policy(500.0))
    };
    let registered = account.aws.register(&endpoint, VARIANT, &bare).await;
    registered.expect("a variant that can scale");
    assert_eq!(found(account, &endpoint).await, Some((2, 10, Vec::new())));
}

async fn a_target_that_is_gone_is_deregistered_already(account: &Account) {
    let endpoint = serving(account).await;
    for _ in 0..2 {
        assert_eq!(account.aws.deregister(&endpoint, VARIANT).await, Ok(()));
    }
}
