//! SageMaker's control plane: what the adapters read of an endpoint, what they change, and how they
//! sort what is refused.

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{ProductionVariant, ProductionVariantInstanceType};
use aws_smithy_types::body::SdkBody;
use serde_json::json;
use shared::app::ports::{Class, Endpoints as _, Recipe};
use shared::domain::observation::{EndpointStatus, EndpointView};

use super::Case;
use crate::account::Account;

const IMAGE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1";
const PRODUCTION: &str = "production";
const CANARY: &str = "canary";

pub(crate) fn cases() -> Vec<Case> {
    super::cases!("sagemaker":
        an_endpoint_is_seen_as_it_was_made,
        what_is_not_there_is_none,
        a_deleted_endpoint_is_none,
        an_endpoint_made_twice_is_invalid,
        a_model_made_twice_is_invalid,
        weights_move,
        weights_move_and_leave_the_instances,
        single_precision_weights_come_back_as_they_were_sent,
        instances_change_and_leave_the_weights,
        weights_of_no_endpoint_are_refused,
        weights_of_no_variant_are_refused,
        instances_of_no_endpoint_are_refused,
        an_update_of_no_endpoint_is_refused,
        an_update_to_no_config_is_refused,
        an_update_deploys_a_config_and_keeps_what_is_live,
        a_config_is_made_once,
        a_config_of_no_model_is_invalid,
        a_config_out_of_no_config_is_invalid,
        a_config_is_deleted_once,
        a_config_of_a_live_endpoint_can_be_deleted,
        a_config_is_seen_as_it_was_made,
        a_field_that_the_sdk_does_not_know_is_seen,
    )
}

/// An endpoint `wine` on a config `base` with `production` alone, at rest.
pub(super) async fn serving(account: &Account) -> String {
    let production = variant(account, PRODUCTION, "old", 1.0);
    made(account, "wine", "base", vec![production]).await
}

/// An endpoint that has had a canary from its beginning: not every backend lets one in later.
async fn pair(account: &Account) -> String {
    let variants = vec![
        variant(account, PRODUCTION, "old", 1.0),
        variant(account, CANARY, "new", 0.0),
    ];
    made(account, "pair", "pair-config", variants).await
}

/// An instance type that every backend's list has.
const INSTANCE: &str = "ml.m5.large";

fn variant(account: &Account, name: &str, model: &str, weight: f32) -> ProductionVariant {
    ProductionVariant::builder()
        .variant_name(name)
        .model_name(account.name(model))
        .initial_instance_count(2)
        .instance_type(ProductionVariantInstanceType::from(INSTANCE))
        .initial_variant_weight(weight)
        .build()
}

async fn made(
    account: &Account,
    endpoint: &str,
    config: &str,
    variants: Vec<ProductionVariant>,
) -> String {
    for model in ["old", "new"] {
        let made = account.aws.create_model(&account.name(model), IMAGE).await;
        made.expect("a new model");
    }
    let client = Client::new(&account.sdk);
    client
        .create_endpoint_config()
        .endpoint_config_name(account.name(config))
        .set_production_variants(Some(variants))
        .send()
        .await
        .expect("a new config");
    client
        .create_endpoint()
        .endpoint_name(account.name(endpoint))
        .endpoint_config_name(account.name(config))
        .send()
        .await
        .expect("a new endpoint");
    account.settle().await;
    account.name(endpoint)
}

async fn seen(account: &Account, endpoint: &str) -> EndpointView {
    account
        .aws
        .endpoint(endpoint)
        .await
        .expect("a readable endpoint")
        .expect("an endpoint")
}

fn weights(view: &EndpointView) -> Vec<(&str, f64)> {
    let variants = view.variants.iter();
    variants
        .map(|variant| (variant.name.as_str(), variant.current_weight))
        .collect()
}

fn instances(view: &EndpointView) -> Vec<(&str, u32, u32)> {
    let variants = view.variants.iter();
    variants
        .map(|one| {
            (
                one.name.as_str(),
                one.current_instances,
                one.desired_instances,
            )
        })
        .collect()
}

fn class<T>(found: Result<T, shared::app::ports::PortError>) -> Result<T, Class> {
    found.map_err(|error| error.class)
}

fn with_canary(account: &Account, source: &str) -> Recipe {
    Recipe::WithCanary {
        source: account.name(source),
        name: account.name("copy"),
        production: PRODUCTION.to_owned(),
        canary: CANARY.to_owned(),
        model: account.name("new"),
        instances: 1,
        instance_type: None,
        deployment_id: "one".to_owned(),
    }
}

async fn an_endpoint_is_seen_as_it_was_made(account: &Account) {
    let before = account.clock.now();
    let endpoint = serving(account).await;
    let view = seen(account, &endpoint).await;
    assert_eq!(
        (view.status, view.config.as_str(), &view.failure),
        (
            EndpointStatus::InService,
            account.name("base").as_str(),
            &None
        )
    );
    assert_eq!(weights(&view), [(PRODUCTION, 1.0)]);
    assert_eq!(instances(&view), [(PRODUCTION, 2, 2)]);
    let made = view.created_at.duration_since(before).abs();
    assert!(made.as_secs() < 60, "made at {}", view.created_at);
    let again = seen(account, &endpoint).await;
    assert_eq!(
        again.created_at, view.created_at,
        "an endpoint is known by it"
    );
}

async fn what_is_not_there_is_none(account: &Account) {
    // One with a longer name: it is told by the whole name that is listed.
    serving(account).await;
    let missing = account.name("win");
    assert_eq!(account.aws.endpoint(&missing).await, Ok(None));
    assert_eq!(account.aws.endpoint_config(&missing).await, Ok(None));
}

async fn a_deleted_endpoint_is_none(account: &Account) {
    let endpoint = serving(account).await;
    let client = Client::new(&account.sdk);
    let deleted = client.delete_endpoint().endpoint_name(&endpoint).send();
    deleted.await.expect("an endpoint to delete");
    account.settle().await;
    assert_eq!(account.aws.endpoint(&endpoint).await, Ok(None));
}

async fn an_endpoint_made_twice_is_invalid(account: &Account) {
    let endpoint = serving(account).await;
    let (config, model) = (account.name("another"), account.name("old"));
    let again = account
        .aws
        .create_endpoint(&endpoint, &config, PRODUCTION, &model, 2)
        .await;
    assert_eq!(class(again), Err(Class::Invalid));
}

async fn a_model_made_twice_is_invalid(account: &Account) {
    serving(account).await;
    let again = account.aws.create_model(&account.name("old"), IMAGE).await;
    assert_eq!(class(again), Err(Class::Invalid));
}

async fn weights_move(account: &Account) {
    let endpoint = pair(account).await;
    let shares = [(PRODUCTION, 0.75), (CANARY, 0.25)];
    let moved = account.aws.set_weights(&endpoint, &shares).await;
    moved.expect("an endpoint at rest");
    account.settle().await;
    let view = seen(account, &endpoint).await;
    assert_eq!(weights(&view), [(PRODUCTION, 0.75), (CANARY, 0.25)]);
    assert_eq!(view.status, EndpointStatus::InService);
}

async fn weights_move_and_leave_the_instances(account: &Account) {
    let endpoint = pair(account).await;
    let shares = [(PRODUCTION, 0.75), (CANARY, 0.25)];
    let moved = account.aws.set_weights(&endpoint, &shares).await;
    moved.expect("an endpoint at rest");
    account.settle().await;
    let view = seen(account, &endpoint).await;
    assert_eq!(instances(&view), [(PRODUCTION, 2, 2), (CANARY, 2, 2)]);
}

async fn single_precision_weights_come_back_as_they_were_sent(account: &Account) {
    let endpoint = pair(account).await;
    let shares = [(PRODUCTION, 0.9), (CANARY, 0.1)];
    let moved = account.aws.set_weights(&endpoint, &shares).await;
    moved.expect("an endpoint at rest");
    account.settle().await;
    let share = seen(account, &endpoint).await.share(CANARY);
    let share = share.expect("the canary");
    assert!(
        (share - 0.1).abs() < shared::domain::observation::TOLERANCE,
        "{share}"
    );
}

async fn instances_change_and_leave_the_weights(account: &Account) {
    let endpoint = pair(account).await;
    let changed = account.aws.set_instances(&endpoint, CANARY, 5).await;
    changed.expect("an endpoint at rest");
    account.settle().await;
    let view = seen(account, &endpoint).await;
    assert_eq!(instances(&view), [(PRODUCTION, 2, 2), (CANARY, 5, 5)]);
    assert_eq!(weights(&view), [(PRODUCTION, 1.0), (CANARY, 0.0)]);
}

async fn weights_of_no_endpoint_are_refused(account: &Account) {
    let missing = account.name("missing");
    let moved = account
        .aws
        .set_weights(&missing, &[(PRODUCTION, 1.0)])
        .await;
    assert_eq!(class(moved), Err(Class::Refused));
}

async fn weights_of_no_variant_are_refused(account: &Account) {
    let endpoint = pair(account).await;
    let moved = account.aws.set_weights(&endpoint, &[("nobody", 1.0)]).await;
    assert_eq!(class(moved), Err(Class::Refused));
}

async fn instances_of_no_endpoint_are_refused(account: &Account) {
    let missing = account.name("missing");
    let changed = account.aws.set_instances(&missing, PRODUCTION, 2).await;
    assert_eq!(class(changed), Err(Class::Refused));
}

async fn an_update_of_no_endpoint_is_refused(account: &Account) {
    serving(account).await;
    let missing = account.name("missing");
    let updated = account.aws.update(&missing, &account.name("base")).await;
    assert_eq!(class(updated), Err(Class::Refused));
}

async fn an_update_to_no_config_is_refused(account: &Account) {
    let endpoint = serving(account).await;
    let updated = account
        .aws
        .update(&endpoint, &account.name("missing"))
        .await;
    assert_eq!(class(updated), Err(Class::Refused));
}

async fn an_update_deploys_a_config_and_keeps_what_is_live(account: &Account) {
    let endpoint = serving(account).await;
    let grown = account.aws.set_instances(&endpoint, PRODUCTION, 4).await;
    grown.expect("an endpoint at rest");
    account.settle().await;
    let made = account.aws.make_config(&with_canary(account, "base")).await;
    made.expect("a new config");
    let updated = account.aws.update(&endpoint, &account.name("copy")).await;
    updated.expect("an endpoint at rest");
    account.settle().await;
    let view = seen(account, &endpoint).await;
    assert_eq!(view.config, account.name("copy"));
    assert_eq!(weights(&view), [(PRODUCTION, 1.0), (CANARY, 0.0)]);
    assert_eq!(instances(&view), [(PRODUCTION, 4, 4), (CANARY, 1, 1)]);
}

async fn a_config_is_made_once(account: &Account) {
    serving(account).await;
    for _ in 0..2 {
        let made = account.aws.make_config(&with_canary(account, "base")).await;
        made.expect("made once, and found the second time");
    }
}

async fn a_config_of_no_model_is_invalid(account: &Account) {
    serving(account).await;
    let (config, model) = (account.name("another"), account.name("missing"));
    let made = account
        .aws
        .create_endpoint(&account.name("win"), &config, PRODUCTION, &model, 2)
        .await;
    assert_eq!(class(made), Err(Class::Invalid));
}

async fn a_config_out_of_no_config_is_invalid(account: &Account) {
    serving(account).await;
    let made = account
        .aws
        .make_config(&with_canary(account, "missing"))
        .await;
    assert_eq!(class(made), Err(Class::Invalid));
}

async fn a_config_is_deleted_once(account: &Account) {
    serving(account).await;
    let made = account.aws.make_config(&with_canary(account, "base")).await;
    made.expect("a new config");
    let copy = account.name("copy");
    for _ in 0..2 {
        let deleted = account.aws.delete_config(&copy).await;
        deleted.expect("gone, and gone the second time");
        assert_eq!(account.aws.endpoint_config(&copy).await, Ok(None));
    }
}

async fn a_config_of_a_live_endpoint_can_be_deleted(account: &Account) {
    let endpoint = serving(account).await;
    let base = account.name("base");
    account.aws.delete_config(&base).await.expect("a config");
    assert_eq!(account.aws.endpoint_config(&base).await, Ok(None));
    assert_eq!(seen(account, &endpoint).await.config, base);
}

async fn a_config_is_seen_as_it_was_made(account: &Account) {
    let before = account.clock.now();
    pair(account).await;
    let name = account.name("pair-config");
    let found = account.aws.endpoint_config(&name).await;
    let found = found.expect("a readable config").expect("a config");
    let made = found.created_at.duration_since(before).abs();
    assert!(made.as_secs() < 60, "made at {}", found.created_at);
    assert_eq!((found.shadow_variants, found.is_async), (0, false));
    assert_eq!(found.unknown_fields, Vec::<String>::new());
    let [production, canary] = found.variants.as_slice() else {
        panic!("two variants, not {:?}", found.variants);
    };
    assert_eq!(production.name, PRODUCTION);
    assert_eq!(canary.model, Some(account.name("new")));
    for variant in [production, canary] {
        assert_eq!(variant.instance_type.as_deref(), Some(INSTANCE));
        assert_eq!(
            (variant.initial_instances, variant.is_serverless),
            (2, false)
        );
    }
}

/// The SDK would not send it either, so the request is made by hand inside the SDK's own.
async fn a_field_that_the_sdk_does_not_know_is_seen(account: &Account) {
    serving(account).await;
    let name = account.name("newer");
    let newer = json!({
        "EndpointConfigName": name,
        "ProductionVariants": [{
            "VariantName": PRODUCTION,
            "ModelName": account.name("old"),
            "InstanceType": INSTANCE,
            "InitialInstanceCount": 2,
            "FieldOfTheFuture": {"On": true},
        }],
    });
    let body = newer.to_string();
    Client::new(&account.sdk)
        .create_endpoint_config()
        .endpoint_config_name(&name)
        .customize()
        .mutate_request(move |request| {
            let length = body.len().to_string();
            request.headers_mut().insert("content-length", length);
            *request.body_mut() = SdkBody::from(body.as_str());
        })
        .send()
        .await
        .expect("a new config");
    let found = account.aws.endpoint_config(&name).await;
    let found = found.expect("a readable config").expect("a config");
    assert_eq!(found.unknown_fields, ["FieldOfTheFuture"]);
}
