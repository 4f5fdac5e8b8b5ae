//! What the model is asked about itself: how its answers are read, how good its predictions are, how
//! it treats groups, and what it costs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::raw::{
    RawConsequence, RawCost, RawFairness, RawGroup, RawPolicy, RawQuality, RawReadings,
};
use super::super::{SpecificationError, wrong};
use super::policy::MOST_SAMPLES;
use crate::domain::cost::is_price;
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::model_signals::{Grouping, OTHER, Quality, Readings};
use crate::domain::plan::Plan;
use crate::domain::policy::{Action, Consequence, Grade, Guard, Policy, Sustain, Test};
use crate::domain::quantity::{Rate, Span};
use crate::domain::signal::{SignalRule, Source};

/// The fewest and the most labels of groups that are counted apart: each is a metric of its own.
pub(in super::super) const LABELS: (usize, usize) = (2, 8);
/// The longest label, attribute or JSON pointer.
pub(in super::super) const LONGEST: usize = 64;
/// The fewest trials of a group, unless the specification says otherwise.
pub(in super::super) const GROUP_SAMPLES: u64 = 100;

impl RawReadings {
    pub(super) fn check(self) -> Result<Readings, SpecificationError> {
        let is_pointer = self.score.is_empty() || self.score.starts_with('/');
        if !is_pointer || self.score.len() > LONGEST {
            return Err(wrong(
                "model_signals.score",
                "a JSON pointer inside one prediction, like \"/score\", of at most 64 bytes; empty where the prediction is the score itself",
            ));
        }
        if let Some(label) = &self.positive_label {
            if self.positive_from.is_some() {
                return Err(wrong(
                    "model_signals.positive_label",
                    "positive_from says the same of scores; keep the one that the model answers with",
                ));
            }
            if !(1..=LONGEST).contains(&label.len()) {
                return Err(wrong(
                    "model_signals.positive_label",
                    "a label has 1 to 64 bytes",
                ));
            }
        }
        let positive_from = self.positive_from.unwrap_or(0.5);
        if !positive_from.is_finite() {
            return Err(wrong(
                "model_signals.positive_from",
                "a finite number, like 0.5",
            ));
        }
        Ok(Readings {
            score: self.score,
            positive_from,
            positive_label: self.positive_label,
            group: self.group.map(RawGroup::check).transpose()?,
        })
    }
}

impl RawGroup {
    fn check(self) -> Result<Grouping, SpecificationError> {
        let is_word = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            (1..=LONGEST).contains(&text.len()) && text.chars().all(fits)
        };
        if !is_word(&self.attribute) {
            return Err(wrong(
                "model_signals.group.attribute",
                "the name of an attribute has 1 to 64 letters, digits, dots, hyphens and underscores",
            ));
        }
        let distinct: BTreeSet<&String> = self.labels.iter().collect();
        let (fewest, most) = LABELS;
        if !(fewest..=most).contains(&self.labels.len()) || distinct.len() < self.labels.len() {
            return Err(wrong(
                "model_signals.group.labels",
                "two to eight different labels: fewer can't be compared, and each is a metric that costs",
            ));
        }
        if self
            .labels
            .iter()
            .any(|label| !is_word(label) || label == OTHER)
        {
            return Err(wrong(
                "model_signals.group.labels",
                "a label has 1 to 64 letters, digits, dots, hyphens and underscores, and is not \"other\", which counts everybody else",
            ));
        }
        Ok(Grouping {
            attribute: self.attribute,
            labels: self.labels,
        })
    }
}

/// What of a policy is about the model itself, before the rest is checked.
pub(super) struct Asked {
    quality: [(Quality, Option<RawQuality>); 5],
    fairness: Option<RawFairness>,
    drift: Option<RawConsequence>,
    unread: Option<RawConsequence>,
    cost: Option<RawCost>,
}

/// What is told and holds without taking anything back: that predictions are different is not yet that
/// they are bad.
const HOLDS: Consequence = Consequence {
    on_breach: Action::Hold,
    ..Consequence::of(Grade::Medium)
};

impl Asked {
    /// Takes these fields out of a policy.
    pub(super) fn take(policy: &mut RawPolicy) -> Self {
        Self {
            quality: [
                (Quality::Accuracy, policy.accuracy.take()),
                (Quality::Recall, policy.recall.take()),
                (Quality::Precision, policy.precision.take()),
                (Quality::F1, policy.f1.take()),
                (
                    Quality::FalsePositiveRate,
                    policy.false_positive_rate.take(),
                ),
            ],
            fairness: policy.fairness.take(),
            drift: policy.drift.take(),
            unread: policy.unread_predictions.take(),
            cost: policy.cost.take(),
        }
    }

    /// Lays them over the policy. Answers the prices, by instance type.
    pub(super) fn lay_over(
        self,
        policy: &mut Policy,
        readings: Option<&Readings>,
        plan: &Plan,
    ) -> Result<BTreeMap<String, f64>, SpecificationError> {
        let read = |field: &str| match readings {
            Some(readings) => Ok(readings),
            None => Err(wrong(
                field,
                "needs model_signals, which says where the score stands in the model's answers, like {score: \"/score\"}",
            )),
        };
        if self.unread.is_some() {
            read("policy.unread_predictions")?;
        }
        if readings.is_some() {
            let consequence = self.unread.unwrap_or_default().check(HOLDS);
            policy.signals.push(SignalRule::unread(consequence));
        }
        for (quality, asked) in self.quality {
            if let Some(asked) = asked {
                let field = format!("policy.{}", quality.name());
                read(&field)?;
                policy.signals.push(asked.check(quality, &field)?);
            }
        }
        if let Some(drift) = self.drift {
            if read("policy.drift")?.positive_label.is_some() {
                return Err(wrong(
                    "policy.drift",
                    "needs scores: labels, which model_signals.positive_label asks for, have no bins",
                ));
            }
            let bins = SignalRule::drift(drift.check(HOLDS), policy.min_samples);
            policy.signals.extend(bins);
        }
        if let Some(fairness) = self.fairness {
            let groups = read("policy.fairness")?.group.as_ref().ok_or_else(|| {
                wrong(
                    "policy.fairness",
                    "needs model_signals.group: the attribute that names the group, and its labels",
                )
            })?;
            policy.fairness = Some(fairness.check(&groups.labels)?);
        }
        check_labels(policy, plan)?;
        let Some(cost) = self.cost else {
            return Ok(BTreeMap::new());
        };
        policy.guards.push(cost.guard()?);
        Ok(cost.prices)
    }
}

fn check_labels(policy: &Policy, plan: &Plan) -> Result<(), SpecificationError> {
    let counts = |rule: &SignalRule| rule.source == Source::Quality(Quality::Accuracy);
    for (stage, asked) in plan.stages.iter().enumerate() {
        labels(asked.min_labels, format!("plan.stages[{stage}].min_labels"))?;
    }
    let asking = plan.stages.iter().position(|stage| stage.min_labels > 0);
    match asking {
        Some(stage) if !policy.signals.iter().any(counts) => Err(wrong(
            format!("plan.stages[{stage}].min_labels"),
            "needs policy.accuracy, by which labels are counted; {compare: true} will do",
        )),
        _ => Ok(()),
    }
}

fn labels(asked: u64, field: String) -> Result<u64, SpecificationError> {
    let is_usable = asked <= MOST_SAMPLES;
    is_usable.then_some(asked).ok_or_else(|| {
        wrong(
            field,
            "min_labels is a number of labels from 0, which asks for none, to 1000000000",
        )
    })
}

impl RawQuality {
    fn check(self, quality: Quality, field: &str) -> Result<SignalRule, SpecificationError> {
        let compares = self.compare.unwrap_or(true);
        if !compares && self.limit.is_none() {
            return Err(wrong(
                format!("{field}.compare"),
                "judges nothing: compare is false and there is no limit; give it a limit, or leave compare out",
            ));
        }
        let usable = |limit: Rate| limit.fraction() > 0.0 && limit.fraction() < 1.0;
        if self.limit.is_some_and(|limit| !usable(limit)) {
            return Err(wrong(
                format!("{field}.limit"),
                "a share above \"0%\" and below \"100%\", like \"85%\"",
            ));
        }
        let of_bad = |limit: Rate| {
            // To a billionth of a percent: 100 % less 85 % is 15 %, and is shown as that.
            let bad = quality.bad_share(limit.fraction()) * 100.0;
            Rate::from_percent((bad * 1e9).round() / 1e9)
        };
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        Ok(SignalRule {
            name: quality.name().to_owned(),
            source: Source::Quality(quality),
            compares,
            limit: self.limit.and_then(of_bad),
            min_samples: labels(self.min_labels, format!("{field}.min_labels"))?,
            consequence: consequence.check(Consequence::default()),
            family: None,
        })
    }
}

impl RawFairness {
    fn check(self, labels: &[String]) -> Result<Fairness, SpecificationError> {
        let min_samples = self.min_samples.unwrap_or(GROUP_SAMPLES);
        if !(1..=MOST_SAMPLES).contains(&min_samples) {
            return Err(wrong(
                "policy.fairness.min_samples",
                "a number of predictions of a group from 1 to 1000000000: of none nothing can be said",
            ));
        }
        let min_positives = self.min_positives.unwrap_or(FairnessRule::MIN_POSITIVES);
        if !(1..=MOST_SAMPLES).contains(&min_positives) {
            return Err(wrong(
                "policy.fairness.min_positives",
                "a number of positive predictions of a group from 1 to 1000000000: of none there is no ratio",
            ));
        }
        let named = [
            (Measure::DemographicParity, self.demographic_parity),
            (Measure::EqualOpportunity, self.equal_opportunity),
            (Measure::DisparateImpact, self.disparate_impact),
        ];
        let asked = if named.iter().all(|(_, limit)| limit.is_none()) {
            Fairness::USUAL.map(|(measure, limit)| (measure, Some(limit)))
        } else {
            named
        };
        let mut rules = Vec::new();
        for (measure, limit) in asked {
            let Some(limit) = limit else { continue };
            if !(limit > 0.0 && limit < 1.0) {
                return Err(wrong(
                    format!("policy.fairness.{}", measure.name()),
                    "a difference or a ratio of shares: a number above 0 and below 1, like 0.1 or 0.8",
                ));
            }
            rules.push(FairnessRule {
                measure,
                limit,
                min_samples,
                min_positives,
            });
        }
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        Ok(Fairness {
            rules,
            groups: labels.to_vec(),
            consequence: consequence.check(Consequence::default()),
        })
    }
}

impl RawCost {
    /// A request may cost more for a while: an instance is there before its traffic is.
    const FOR: Span = Span::from_hours(1);

    fn guard(&self) -> Result<Guard, SpecificationError> {
        let ratio = self.ratio.unwrap_or(1.5);
        if !(ratio.is_finite() && ratio >= 1.0) {
            return Err(wrong(
                "policy.cost.ratio",
                "how many times production's cost is still tolerated: a number from 1 up, like 1.5",
            ));
        }
        if let Some((kind, _)) = self.prices.iter().find(|(_, price)| !is_price(**price)) {
            return Err(wrong(
                format!("policy.cost.prices.{kind}"),
                "the price of an instance is dollars an hour, from 0.000001 up and below 10000, like 0.102",
            ));
        }
        let sustained = self.sustained.unwrap_or(Self::FOR);
        if sustained.is_zero() {
            return Err(wrong(
                "policy.cost.for",
                "for is a duration above zero, like \"1h\"",
            ));
        }
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        Ok(Guard {
            name: "cost.ratio".to_owned(),
            test: Test::CostRatio(ratio),
            sustain: Sustain::For(sustained),
            consequence: consequence.check(Consequence::of(Grade::Low)),
        })
    }
}
