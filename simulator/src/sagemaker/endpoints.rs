//! Endpoints: created, described, listed, deleted. What changes them is in `update`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fleet::{self, Change, Endpoint, Status, Variant};
use super::input::{self, Kind};
use super::listing::{self, Item};
use super::{Context, World, tags};
use crate::wire::{AwsError, epoch_seconds};

/// How long an endpoint takes to disappear.
const DELETION: SignedDuration = SignedDuration::from_secs(30);

impl World {
    pub(super) fn create_endpoint(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointName")?;
        let config_name = input::name(input, "EndpointConfigName")?;
        if self.spelled(name).is_some() {
            return Err(Kind::Endpoint.exists(name));
        }
        let tags = tags::parse(input)?;
        let (config, variants, shadow) = self.fleet_of(config_name, context.now)?;
        self.check_quota(&variants)?;
        let endpoint = Endpoint::creating(
            name,
            config_name,
            config,
            (variants, shadow),
            (context.now, after(context.now, context.timings.create)),
        );
        let arn = endpoint.arn.clone();
        self.adopt_tags(&arn, tags);
        self.endpoints.insert(name.to_owned(), endpoint);
        Ok(json!({"EndpointArn": arn}))
    }

    /// The config of a name, and the fleets it asks for.
    pub(super) fn fleet_of(
        &self,
        config_name: &str,
        now: Timestamp,
    ) -> Result<(Value, Vec<Variant>, Vec<Variant>), AwsError> {
        let config = self
            .configs
            .get(config_name)
            .ok_or_else(|| Kind::Config.missing(config_name))?;
        let variants = fleet::variants_of(config, "ProductionVariants", &self.models, now)?;
        let shadow = fleet::variants_of(config, "ShadowProductionVariants", &self.models, now)?;
        Ok((config.clone(), variants, shadow))
    }

    /// Refuses more instances than the account may have. While one fleet replaces another both count.
    pub(super) fn check_quota(&self, coming: &[Variant]) -> Result<(), AwsError> {
        let mut wanted: HashMap<&str, i64> = HashMap::new();
        for variant in coming {
            if let Some(instance_type) = &variant.instance_type {
                *wanted.entry(instance_type).or_default() += variant.desired_count;
            }
        }
        for (instance_type, delta) in wanted {
            self.check_quota_of(instance_type, delta)?;
        }
        Ok(())
    }

    pub(super) fn check_quota_of(&self, instance_type: &str, delta: i64) -> Result<(), AwsError> {
        let Some(limit) = self.quotas.get(instance_type) else {
            return Ok(());
        };
        let used: i64 = self
            .endpoints
            .values()
            .flat_map(|endpoint| &endpoint.variants)
            .filter(|variant| variant.instance_type.as_deref() == Some(instance_type))
            .map(|variant| variant.desired_count.max(variant.current_count))
            .sum();
        if used + delta <= *limit {
            return Ok(());
        }
        Err(AwsError::new(
            400,
            "ResourceLimitExceeded",
            format!(
                "The account-level service limit '{instance_type} for endpoint usage' is {limit} \
                 Instances, with current utilization of {used} Instances and a request delta of \
                 {delta} Instances."
            ),
        ))
    }

    pub(super) fn endpoint(&mut self, name: &str) -> Result<&mut Endpoint, AwsError> {
        let known = self.spelled(name).map(str::to_owned);
        known
            .and_then(|known| self.endpoints.get_mut(&known))
            .ok_or_else(|| Kind::Endpoint.missing(name))
    }

    /// The name of an endpoint as it was made, whatever the case here: no two differ in it alone.
    pub(super) fn spelled(&self, name: &str) -> Option<&str> {
        let known = |other: &&String| other.eq_ignore_ascii_case(name);
        self.endpoints.keys().find(known).map(String::as_str)
    }

    pub(super) fn describe_endpoint(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointName")?;
        Ok(self.endpoint(name)?.describe(context.now))
    }

    pub(super) fn list_endpoints(&self, context: &Context<'_>, input: &Value) -> Value {
        let items = self
            .endpoints
            .values()
            .map(|endpoint| {
                let status = endpoint.status(context.now).as_str();
                Item {
                    name: endpoint.name.clone(),
                    created: listing::instant(endpoint.created),
                    modified: listing::instant(endpoint.modified),
                    status: Some(status),
                    summary: json!({
                        "EndpointName": endpoint.name,
                        "EndpointArn": endpoint.arn,
                        "EndpointStatus": status,
                        "CreationTime": epoch_seconds(endpoint.created),
                        "LastModifiedTime": epoch_seconds(endpoint.modified),
                    }),
                }
            })
            .collect();
        listing::page(items, input, "Endpoints")
    }

    pub(super) fn delete_endpoint(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointName")?;
        let endpoint = self.endpoint(name)?;
        let stuck = matches!(
            endpoint.status(context.now),
            Status::Failed | Status::UpdateRollbackFailed | Status::OutOfService
        );
        if !stuck {
            endpoint.check_idle(context.now)?;
        }
        // Ends whatever status was forced upon it: the deletion shows.
        endpoint.force(Status::Deleting, context.now);
        endpoint.begin(Change::Delete, context.now, after(context.now, DELETION));
        Ok(json!({}))
    }
}

pub(super) fn after(now: Timestamp, duration: SignedDuration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}
