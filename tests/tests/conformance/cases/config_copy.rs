//! A copied endpoint config, field by field: what one config was made with is what the copy is
//! described with. One case a field, so that an emulator that drops one still vouches for the others.
//!
//! Fields are compared by the SDK's own `Debug` output, which shows every member of a type.

use std::sync::Arc;

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::operation::create_endpoint_config::builders::CreateEndpointConfigFluentBuilder;
use aws_sdk_sagemaker::operation::describe_endpoint_config::DescribeEndpointConfigOutput;
use aws_sdk_sagemaker::types::builders::ProductionVariantBuilder;
use aws_sdk_sagemaker::types::{ProductionVariant, ProductionVariantInstanceType, Tag};
use shared::app::ports::{Endpoints as _, Recipe};
use shared::aws::config_copy::{COPIED, DEPLOYMENT_TAG, VARIANT_FIELDS};
use tests::configs::{SetVariant, config_fields, variant_fields};

use super::Case;
use crate::account::Account;

const PRODUCTION: &str = "production";
const SHADOWS: &str = "shadow_production_variants";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = super::cases!("none": every_field_of_a_config_has_its_case);
    cases.extend(super::cases!("sagemaker":
        the_copy_has_the_teams_tags_and_our_own,
        the_former_config_is_one_variant_with_all_the_weight,
    ));
    for (field, set) in config_fields() {
        let name = format!("a copied config keeps {field}");
        cases.push(Case::new("sagemaker", &name, move |account| {
            Box::pin(async move { keeps(&account, field, set).await })
        }));
    }
    let name = format!("a copied config keeps {SHADOWS}");
    cases.push(Case::new("sagemaker", &name, |account| {
        Box::pin(async move {
            let shadow = plain(&account).variant_name("shadow").build();
            let set = |config: CreateEndpointConfigFluentBuilder| {
                config.shadow_production_variants(shadow)
            };
            keeps(&account, SHADOWS, set).await;
        })
    }));
    for (field, set) in variant_fields() {
        let name = format!("a copied variant keeps {field}");
        cases.push(Case::new("sagemaker", &name, move |account| {
            Box::pin(async move { variant_keeps(account, set).await })
        }));
    }
    cases
}

/// A field of `COPIED` as the SDK shows it.
fn shown(field: &str, found: &DescribeEndpointConfigOutput) -> String {
    match field {
        "data_capture_config" => format!("{:?}", found.data_capture_config()),
        "kms_key_id" => format!("{:?}", found.kms_key_id()),
        "async_inference_config" => format!("{:?}", found.async_inference_config()),
        "explainer_config" => format!("{:?}", found.explainer_config()),
        SHADOWS => format!("{:?}", found.shadow_production_variants()),
        "execution_role_arn" => format!("{:?}", found.execution_role_arn()),
        "vpc_config" => format!("{:?}", found.vpc_config()),
        "enable_network_isolation" => format!("{:?}", found.enable_network_isolation()),
        "metrics_config" => format!("{:?}", found.metrics_config()),
        other => panic!("{other} is shown nowhere"),
    }
}

/// A variant with what every one needs.
fn plain(account: &Account) -> ProductionVariantBuilder {
    ProductionVariant::builder()
        .variant_name(PRODUCTION)
        .model_name(account.name("old"))
        .initial_instance_count(2)
        .instance_type(ProductionVariantInstanceType::from("ml.m5.large"))
        .initial_variant_weight(1.0)
}

fn recipe(account: &Account) -> Recipe {
    Recipe::WithCanary {
        source: account.name("base"),
        name: account.name("copy"),
        production: PRODUCTION.to_owned(),
        canary: "canary".to_owned(),
        model: account.name("new"),
        instances: 1,
        instance_type: None,
        deployment_id: "one".to_owned(),
    }
}

/// A config `base`, made by what `set` adds to the plain request.
async fn base(
    account: &Account,
    set: impl FnOnce(CreateEndpointConfigFluentBuilder) -> CreateEndpointConfigFluentBuilder,
) {
    for model in ["old", "new"] {
        let image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1";
        let made = account.aws.create_model(&account.name(model), image).await;
        made.expect("a new model");
    }
    let request = Client::new(&account.sdk)
        .create_endpoint_config()
        .endpoint_config_name(account.name("base"));
    set(request).send().await.expect("a config that is taken");
}

async fn described(account: &Account, name: &str) -> DescribeEndpointConfigOutput {
    Client::new(&account.sdk)
        .describe_endpoint_config()
        .endpoint_config_name(account.name(name))
        .send()
        .await
        .expect("a config")
}

/// `Only` copies the config with production alone, so a shadow variant may stay beside it.
async fn keeps(
    account: &Account,
    field: &str,
    set: impl FnOnce(CreateEndpointConfigFluentBuilder) -> CreateEndpointConfigFluentBuilder,
) {
    let production = plain(account).build();
    base(
        account,
        |config| set(config.production_variants(production)),
    )
    .await;
    let only = Recipe::Only {
        source: account.name("base"),
        name: account.name("copy"),
        variant: PRODUCTION.to_owned(),
        instances: 2,
        deployment_id: "one".to_owned(),
    };
    account.aws.make_config(&only).await.expect("a copy");
    // What was asked for is what the SDK would send, shown the same way.
    let blank = DescribeEndpointConfigOutput::builder().build();
    let (original, copy) = (
        shown(field, &described(account, "base").await),
        shown(field, &described(account, "copy").await),
    );
    assert_ne!(original, shown(field, &blank), "dropped when it was made");
    assert_eq!(copy, original);
}

async fn variant_keeps(account: Arc<Account>, set: SetVariant) {
    let wanted = set(plain(&account)).build();
    let production = wanted.clone();
    base(&account, |config| config.production_variants(production)).await;
    let made = account.aws.make_config(&recipe(&account)).await;
    made.expect("a copy");
    let copy = described(&account, "copy").await;
    let [stable, canary] = copy.production_variants() else {
        panic!("two variants, not {:?}", copy.production_variants());
    };
    assert_eq!(*stable, wanted, "production is as it was");
    let mut beside = wanted;
    beside.variant_name = Some("canary".to_owned());
    beside.model_name = Some(account.name("new"));
    beside.initial_variant_weight = Some(0.0);
    beside.initial_instance_count = Some(1);
    // A reservation is production's own.
    beside.capacity_reservation_config = None;
    assert_eq!(
        *canary, beside,
        "the canary is as production, but for what it must be"
    );
}

/// A newer SDK's field fails here until it has a case.
async fn every_field_of_a_config_has_its_case(_: &Account) {
    let mut held: Vec<&str> = config_fields().iter().map(|field| field.0).collect();
    held.extend(["production_variants", SHADOWS]);
    held.sort_unstable();
    let mut copied = COPIED.to_vec();
    copied.sort_unstable();
    assert_eq!(held, copied);
    let mut held: Vec<&str> = variant_fields().iter().map(|field| field.0).collect();
    // Every case of a variant holds the first two; the third can't take a canary, and the last has
    // no shape that can be made up.
    held.extend([
        "variant_name",
        "model_name",
        "serverless_config",
        "accelerator_partition_layouts",
    ]);
    held.sort_unstable();
    let mut fields = VARIANT_FIELDS.to_vec();
    fields.sort_unstable();
    assert_eq!(held, fields);
}

async fn the_copy_has_the_teams_tags_and_our_own(account: &Account) {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let production = plain(account).build();
    base(account, |config| {
        config
            .production_variants(production)
            .tags(tag("team", "wine"))
            .tags(tag(DEPLOYMENT_TAG, "an earlier one"))
    })
    .await;
    let made = account.aws.make_config(&recipe(account)).await;
    made.expect("a copy");
    let copy = described(account, "copy").await;
    let listed = Client::new(&account.sdk)
        .list_tags()
        .resource_arn(copy.endpoint_config_arn().expect("an ARN"))
        .send()
        .await
        .expect("readable tags");
    let mut tags: Vec<(&str, &str)> = listed
        .tags()
        .iter()
        .filter_map(|tag| Some((tag.key()?, tag.value()?)))
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, [(DEPLOYMENT_TAG, "one"), ("team", "wine")]);
}

async fn the_former_config_is_one_variant_with_all_the_weight(account: &Account) {
    let production = plain(account).initial_variant_weight(0.25).build();
    let other = plain(account).variant_name("other").build();
    base(account, |config| {
        config
            .production_variants(production)
            .production_variants(other)
    })
    .await;
    let only = Recipe::Only {
        source: account.name("base"),
        name: account.name("copy"),
        variant: PRODUCTION.to_owned(),
        instances: 6,
        deployment_id: "one".to_owned(),
    };
    account.aws.make_config(&only).await.expect("a copy");
    let copy = described(account, "copy").await;
    let alone = plain(account).initial_instance_count(6).build();
    assert_eq!(copy.production_variants(), [alone]);
}
