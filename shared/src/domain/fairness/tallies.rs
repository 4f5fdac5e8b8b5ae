//! The counts by group, and what they were last judged to be.
//!
//! How fair the canary is goes into a breach, into what a stage is held for, into the row of a minute and into
//! the verdict of a pass. It is the same each time and the dearest of all that is judged, so the tallies keep
//! it until they grow. Nothing of it is written: it comes back from the counts.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{Fairness, FairnessRule, Judged};
use crate::domain::comparison::Counts;

/// Both variants' counts of one group since the rollout began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The new model's.
    pub canary: Counts,
    /// The old model's.
    pub production: Counts,
}

/// What is counted by group, by the counter's name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tallies {
    counted: BTreeMap<String, Tally>,
    /// By what, and how each measure stands.
    #[serde(skip)]
    judged: OnceLock<(Fairness, Vec<(FairnessRule, Judged)>)>,
}

/// Equal counts are equal, judged or not.
impl PartialEq for Tallies {
    fn eq(&self, other: &Self) -> bool {
        self.counted == other.counted
    }
}

impl Deref for Tallies {
    type Target = BTreeMap<String, Tally>;

    fn deref(&self) -> &Self::Target {
        &self.counted
    }
}

impl Tallies {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds what was counted in a minute.
    pub(super) fn add(&mut self, key: String, minute: Tally) {
        self.judged = OnceLock::new();
        let tally = self.counted.entry(key).or_default();
        tally.canary = tally.canary.plus(minute.canary);
        tally.production = tally.production.plus(minute.production);
    }

    /// What these tallies are judged to be by this: as before, where they are the same.
    pub(super) fn judged(
        &self,
        by: &Fairness,
        judge: impl Fn() -> Vec<(FairnessRule, Judged)>,
    ) -> Vec<(FairnessRule, Judged)> {
        let (then, judged) = self.judged.get_or_init(|| (by.clone(), judge()));
        if then == by { judged.clone() } else { judge() }
    }
}
