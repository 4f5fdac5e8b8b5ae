//! Whether a model treats groups of people alike: three measures over counts by group, each with an
//! interval that holds however often it is looked at.
//!
//! | measure | of each group | compared as | source |
//! |---|---|---|---|
//! | demographic parity difference | positive predictions among all | highest less lowest | Dwork et al., "Fairness through awareness", 2012 |
//! | equal opportunity difference | positive predictions among those that were right to be | highest less lowest | Hardt, Price and Srebro, "Equality of opportunity in supervised learning", 2016 |
//! | disparate impact ratio | positive predictions among all | lowest over highest | the four-fifths rule, 29 CFR 1607.4(D) |
//!
//! A finding has four values:
//!
//! - **Broken**: the whole interval is past the limit.
//! - **Kept**: the measure is within the limit, and so is its whole interval, or what was counted is
//!   enough. Enough is `min_samples` trials of each group, and for the ratio `min_positives` positive
//!   predictions of each beside them: what a ratio is uncertain by depends on those, and of a model that
//!   says yes to one in a hundred a hundred predictions show one. An interval that lies wholly within
//!   the limit is not asked for: two groups alike at 1 % would take some 100,000 predictions of each.
//! - **Shared**: production is past the limit as well, by as much, which is no fault of the canary's.
//! - **Unknown**: everything else, which is not fair. Which arm's proof comes first says nothing about
//!   whose fault it is: while production looks as unfair as the canary is shown to be, that is unknown too.
//!
//! With the usual 50 positive predictions at a base rate of 1 %, nine of ten models that treat two groups
//! alike are found fair by 8,000 predictions of each, and 99 of 100 by 20,000. Half the share for one group
//! is shown by 35,000 in nine of ten rollouts, and looks fair at any look before in one of a hundred.
//! Looking fair is no end: every later minute is judged too.
//!
//! | module | holds |
//! |---|---|
//! | `rule` | one measure held against its limit |
//! | `interval` | where a difference or a ratio of shares lies |
//! | `tallies` | the counts, and what they were judged to be |

mod interval;
mod rule;
mod tallies;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::comparison::Counts;
use super::comparison::proportion::Bounds;
use super::evidence::Finding;
use super::model_signals;
use super::observation::ArmMinute;
use super::policy::Consequence;
use super::signal::MetricPair;
use rule::range;

pub use tallies::{Tallies, Tally};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Measure {
    /// Highest less lowest share of positive predictions.
    DemographicParity,
    /// Highest less lowest share of positive predictions among actual positives.
    EqualOpportunity,
    /// Lowest over highest share of positive predictions.
    DisparateImpact,
}

impl Measure {
    const fn kind(self) -> Kind {
        match self {
            Self::DemographicParity | Self::DisparateImpact => Kind::Parity,
            Self::EqualOpportunity => Kind::Opportunity,
        }
    }

    /// Its name in the specification and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParity => "demographic_parity",
            Self::EqualOpportunity => "equal_opportunity",
            Self::DisparateImpact => "disparate_impact",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::DemographicParity => "demographic parity difference",
            Self::EqualOpportunity => "equal opportunity difference",
            Self::DisparateImpact => "disparate impact ratio",
        }
    }

    /// What is counted of each group.
    pub const fn trials(self) -> &'static str {
        match self {
            Self::DemographicParity | Self::DisparateImpact => "predictions",
            Self::EqualOpportunity => "labelled actual positives",
        }
    }

    /// Whether there is nothing to count before labels come.
    pub const fn needs_labels(self) -> bool {
        matches!(self, Self::EqualOpportunity)
    }

    /// The name that breaches go by.
    pub fn full_name(self) -> String {
        format!("fairness.{}", self.name())
    }

    /// Whether a measure lies past its limit: a difference above it, a ratio below.
    fn is_past(self, value: f64, limit: f64) -> bool {
        match self {
            Self::DemographicParity | Self::EqualOpportunity => value > limit,
            Self::DisparateImpact => value < limit,
        }
    }
}

/// A measure with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FairnessRule {
    /// What is measured.
    pub measure: Measure,
    /// The largest difference, or the smallest ratio, that is still fair; 0 to 1.
    pub limit: f64,
    /// The fewest trials of a group that say something about it.
    pub min_samples: u64,
    /// The fewest positive predictions of a group that say something about a ratio; differences ask for none.
    #[serde(default = "FairnessRule::usual_positives")]
    pub min_positives: u64,
}

impl FairnessRule {
    /// What `min_positives` is unless the specification says otherwise: with fewer of them two groups that
    /// are treated alike look unequal about as often as not, and half the share for one looks fair too often.
    pub const MIN_POSITIVES: u64 = 50;

    /// Of records that were written before it was kept.
    const fn usual_positives() -> u64 {
        Self::MIN_POSITIVES
    }
}

/// What is asked of groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// The measures, each once.
    pub rules: Vec<FairnessRule>,
    /// The labels that are told apart: two or more.
    pub groups: Vec<String>,
    /// What a measure past its limit sets going.
    pub consequence: Consequence,
}

impl Fairness {
    /// The counts that the measures are made of, by the name that they are kept under.
    pub fn counters(&self) -> impl Iterator<Item = (String, MetricPair)> {
        let mut kinds: Vec<Kind> = self.rules.iter().map(|rule| rule.measure.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.into_iter().flat_map(|kind| {
            let groups = self.groups.iter();
            groups.map(move |label| (kind.key(label), kind.pair(label)))
        })
    }

    /// What is asked where nothing is named: differences of at most 0.1, and a ratio of 0.8, the
    /// four-fifths rule.
    pub const USUAL: [(Measure, f64); 3] = [
        (Measure::DemographicParity, 0.1),
        (Measure::EqualOpportunity, 0.1),
        (Measure::DisparateImpact, 0.8),
    ];

    /// Whether a measure is of labelled predictions alone.
    pub fn needs_labels(&self) -> bool {
        let mut kinds = self.rules.iter().map(|rule| rule.measure.kind());
        kinds.any(|kind| kind == Kind::Opportunity)
    }

    /// Whether any group has a labelled actual positive among these counts.
    pub fn has_labels(&self, counts: &BTreeMap<String, Counts>) -> bool {
        let mut keys = self.groups.iter().map(|label| Kind::Opportunity.key(label));
        keys.any(|key| counts.get(&key).is_some_and(|counts| counts.n() > 0))
    }

    /// Takes in a minute's counts of either variant, whatever there is of the other.
    pub fn take_in(
        &self,
        tallies: &mut Tallies,
        canary: Option<&ArmMinute>,
        production: Option<&ArmMinute>,
    ) {
        for (key, _) in self.counters() {
            let of = |arm: &ArmMinute| arm.checks.get(&key).copied();
            let (ours, theirs) = (canary.and_then(of), production.and_then(of));
            if ours.is_none() && theirs.is_none() {
                continue;
            }
            let minute = Tally {
                canary: ours.unwrap_or_default(),
                production: theirs.unwrap_or_default(),
            };
            tallies.add(key, minute);
        }
    }

    /// How each measure stands. Asked for again of the same tallies, it is not judged again.
    pub fn judge(&self, tallies: &Tallies) -> Vec<(FairnessRule, Judged)> {
        tallies.judged(self, || {
            let judged = self.rules.iter().map(|rule| {
                let side = |of: fn(&Tally) -> Counts| {
                    self.counted(rule.measure, |key| tallies.get(key).map(of))
                };
                let (canary, production) = (side(|it| it.canary), side(|it| it.production));
                (*rule, rule.judge(&canary, &production))
            });
            judged.collect()
        })
    }

    /// The counts of a measure's groups, where this finds them.
    fn counted(
        &self,
        measure: Measure,
        find: impl Fn(&String) -> Option<Counts>,
    ) -> Vec<Group<'_>> {
        let counts = |label: &String| find(&measure.kind().key(label)).unwrap_or_default();
        let groups = self.groups.iter();
        groups
            .map(|label| (label.as_str(), counts(label)))
            .collect()
    }

    /// The group of which the least was counted, by what of its counts, and how much; absent without groups.
    pub fn smallest_group(
        &self,
        measure: Measure,
        before: &BTreeMap<String, Counts>,
        of: fn(Counts) -> u64,
    ) -> Option<(&str, u64)> {
        let groups = self.counted(measure, |key| before.get(key).copied());
        let counted = groups
            .into_iter()
            .map(|(label, counts)| (label, of(counts)));
        counted.min_by_key(|(_, counted)| *counted)
    }

    /// The measures by which production itself looked unfair before the rollout, in words.
    pub fn past_of_production(&self, before: &BTreeMap<String, Counts>) -> Vec<String> {
        let past = self.rules.iter().filter_map(|rule| {
            let groups = self.counted(rule.measure, |key| before.get(key).copied());
            let measured = rule.measured(&groups).ok()?;
            rule.is_past(&measured).then(|| {
                let (name, limit) = (rule.measure.full_name(), rule.limit);
                format!(
                    "{name}: production itself had {:.3} in the last day ({}; {} has the most positive predictions, {} the fewest), past the limit of {limit}; a canary that is just alike is not shown to be fair and holds: set a limit that production keeps, or on_breach: notify",
                    measured.value,
                    range(measured.interval),
                    measured.highest,
                    measured.lowest,
                )
            })
        });
        past.collect()
    }
}

/// What is counted of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Parity,
    Opportunity,
}

impl Kind {
    fn key(self, label: &str) -> String {
        match self {
            Self::Parity => format!("fairness.parity.{label}"),
            Self::Opportunity => format!("fairness.opportunity.{label}"),
        }
    }

    fn pair(self, label: &str) -> MetricPair {
        match self {
            Self::Parity => model_signals::parity_pair(label),
            Self::Opportunity => model_signals::opportunity_pair(label),
        }
    }
}

/// One group's counts: trials, and positive predictions among them.
pub type Group<'a> = (&'a str, Counts);

/// What a measure shows of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FairnessMeasured))]
pub struct Measured {
    /// The difference, or the ratio.
    pub value: f64,
    /// Where it lies with 95 % confidence, at all times together.
    pub interval: Bounds,
    /// The group with the lowest share.
    pub lowest: String,
    /// The group with the highest share.
    pub highest: String,
}

/// How a rule stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Kept, broken, shared with production, or unknown.
    pub finding: Finding,
    /// The canary's; absent while it can't be told, as while a group is too small.
    pub canary: Option<Measured>,
    /// Production's.
    pub production: Option<Measured>,
    /// One plain sentence.
    pub sentence: String,
}
