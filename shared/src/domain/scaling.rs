//! Scaling of a variant by itself: the target that Application Auto Scaling holds it to, as it is
//! kept in the record and put back, and the one that a specification may ask for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::quantity::Span;

/// An Application Auto Scaling target of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalableTarget {
    /// The floor.
    pub min: u32,
    /// The ceiling.
    pub max: u32,
    /// Its policies, each a [`TrackingPolicy`] in JSON.
    #[serde(default)]
    pub policies: Vec<String>,
    /// What of its scaling is suspended.
    #[serde(default, skip_serializing_if = "Suspension::is_none")]
    pub suspended: Suspension,
    /// Its tags, but for those that AWS reserves for itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// The bounds of a target as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The floor.
    pub min: u32,
    /// The ceiling.
    pub max: u32,
}

/// What of a target's scaling is suspended; its policies stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Suspension {
    /// Removing instances by policy.
    pub scale_in: bool,
    /// Adding instances by policy.
    pub scale_out: bool,
    /// Scheduled actions.
    pub scheduled: bool,
}

impl Suspension {
    /// Whether everything scales.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl ScalableTarget {
    /// The same target with this floor, as far as its ceiling allows.
    #[must_use]
    pub fn with_floor(&self, instances: u32) -> Self {
        Self {
            min: instances.min(self.max),
            ..self.clone()
        }
    }

    /// The floor at which a rollout holds it for so many instances: as far as its ceiling allows, and
    /// never below its own.
    pub fn held_for(&self, instances: u32) -> u32 {
        self.min.max(instances).min(self.max)
    }

    /// The floor that it has without the rollout, which asked for so many instances at the most: the
    /// one that was found. A floor above all that was asked for is somebody else's, and stays; and
    /// none is above the ceiling of today.
    pub fn own_floor(&self, now: Bounds, instances: u32) -> u32 {
        let is_anothers = now.min > self.held_for(instances);
        let own = if is_anothers { now.min } else { self.min };
        own.min(now.max)
    }

    /// The bounds.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            min: self.min,
            max: self.max,
        }
    }
}

/// A target-tracking policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackingPolicy {
    /// Its name at the target.
    pub name: String,
    /// The value that the metric is held at.
    pub target_value: f64,
    /// A metric that AWS defines.
    #[serde(default)]
    pub metric: Option<String>,
    /// A metric of CloudWatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customized: Option<CustomizedMetric>,
    /// Seconds between removals.
    #[serde(default)]
    pub scale_in_cooldown: Option<i32>,
    /// Seconds between additions.
    #[serde(default)]
    pub scale_out_cooldown: Option<i32>,
    /// Whether it never removes an instance.
    #[serde(default)]
    pub disable_scale_in: Option<bool>,
}

/// A metric of CloudWatch that a policy tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomizedMetric {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub metric: String,
    /// Its dimensions, in order. [`CustomizedMetric::VARIANT`] stands for the variant that scales,
    /// so that another variant gets a metric of its own.
    pub dimensions: Vec<(String, String)>,
    /// Average, Sum and so on.
    pub statistic: String,
    /// Its unit, where one was named.
    #[serde(default)]
    pub unit: Option<String>,
}

impl CustomizedMetric {
    /// In a dimension: the name of the variant that scales.
    pub const VARIANT: &str = "{variant}";
}

/// The scaling that a specification asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autoscaling {
    /// The fewest instances.
    pub min: u32,
    /// The most instances.
    pub max: u32,
    /// Requests a minute that each instance is to have.
    pub invocations_per_instance: u32,
    /// The time between two removals.
    pub scale_in_cooldown: Span,
    /// The time between two additions.
    pub scale_out_cooldown: Span,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10,
            invocations_per_instance: 1000,
            scale_in_cooldown: Span::from_secs(300),
            scale_out_cooldown: Span::from_secs(60),
        }
    }
}

impl Autoscaling {
    /// The target that does it.
    pub fn target(&self) -> ScalableTarget {
        let seconds = |span: Span| i32::try_from(span.secs()).unwrap_or(i32::MAX);
        let policy = TrackingPolicy {
            name: "invocations-per-instance".to_owned(),
            target_value: f64::from(self.invocations_per_instance),
            metric: Some("SageMakerVariantInvocationsPerInstance".to_owned()),
            customized: None,
            scale_in_cooldown: Some(seconds(self.scale_in_cooldown)),
            scale_out_cooldown: Some(seconds(self.scale_out_cooldown)),
            disable_scale_in: None,
        };
        ScalableTarget {
            min: self.min,
            max: self.max,
            policies: vec![json!(policy).to_string()],
            suspended: Suspension::default(),
            tags: BTreeMap::new(),
        }
    }
}
