//! What one minute showed, as the row of evidence that people read.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::bench::Bench;
use super::{Verdict, split, verdict};
use crate::domain::comparison::Counts;
use crate::domain::comparison::effect::{Interval, odds_against_luck};
use crate::domain::deployment::Deployment;
use crate::domain::drift::Stability;
use crate::domain::evidence::{Evidence, Finding};
use crate::domain::fairness::Measured;
use crate::domain::history::{Entry, confirmed_share};
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Guard};
use crate::domain::quantity::{TrafficShare, Weight, counted};
use crate::domain::signal::SignalRule;

/// What one minute showed, kept as the row of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Check))]
pub struct MinuteReport {
    /// The minute's start.
    pub minute: Timestamp,
    /// The canary's confirmed share when the minute was judged, which is minutes later. What it was in the
    /// minute itself is in the history.
    pub weight: Weight,
    /// The canary's share in the minute by the weights in force, in percent, where that was not the confirmed
    /// one: somebody else had set them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<f64>,
    /// Absent when nothing was counted of the canary. Without a request there may be `checks`: labels of
    /// earlier predictions.
    pub canary: Option<ArmMinute>,
    /// Absent when nothing was counted of production, as of the canary.
    pub production: Option<ArmMinute>,
    /// How each guard stands after this minute.
    pub guards: BTreeMap<String, Standing>,
    /// How each signal stands after this minute.
    #[serde(default)]
    pub signals: BTreeMap<String, SignalStanding>,
    /// How each measure of fairness stands after this minute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fairness: BTreeMap<String, FairnessStanding>,
    /// How far the scores of both variants lie apart since the rollout began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Stability>,
    /// Why nothing is said about the split of the requests, where users are asked of the canary by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged_split: Option<String>,
    /// `healthy`, `unhealthy` or `inconclusive`.
    pub verdict: String,
    /// One plain sentence.
    pub sentence: String,
}

impl MinuteReport {
    /// The canary's share of the traffic, as the endpoint had it.
    pub fn share(&self) -> TrafficShare {
        TrafficShare::observed_or(self.observed_weight, self.weight)
    }

    /// With the canary's confirmed share as the history has it for the minute's end.
    #[must_use]
    pub fn with_share_of(self, history: &[Entry]) -> Self {
        let end = self.minute + SignedDuration::from_mins(1);
        let weight = confirmed_share(history, end);
        Self { weight, ..self }
    }
}

/// How a guard stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GuardStanding))]
pub struct Standing {
    /// The last check's finding; absent before the first.
    pub finding: Option<Finding>,
    /// The last check in words, or how far its first window is.
    pub sentence: String,
    /// Checks in a row that were broken.
    pub breaches: u32,
    /// Canary requests in the open window.
    pub gathered: u64,
}

/// How a signal stands: everything since the rollout began, and this minute's own counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignalStanding {
    /// This minute's counts of the canary; absent when they were not measured.
    #[serde(default)]
    pub minute: Option<Counts>,
    /// This minute's counts of production.
    #[serde(default)]
    pub production_minute: Option<Counts>,
    /// The canary's counts over the minutes compared.
    pub canary: Counts,
    /// Production's counts over the minutes compared.
    pub production: Counts,
    /// Share of bad outcomes, 0 to 1: of a signal that is named for what is good, like `accuracy`, the
    /// share of the others.
    pub canary_rate: Option<f64>,
    /// Share of bad outcomes, 0 to 1, as `canary_rate`.
    pub production_rate: Option<f64>,
    /// The canary's rate over production's; where production's outcomes are mostly bad, production's rate
    /// of the good ones over the canary's.
    pub ratio: Option<f64>,
    /// Where the ratio lies with 95 % confidence.
    pub interval: Option<Interval>,
    /// The odds ratio that is still tolerated.
    pub tolerated: f64,
    /// The share of bad outcomes that the signal may have at the most, 0 to 1: 0.15 where `accuracy` must
    /// be 85 %.
    #[serde(default)]
    pub limit: Option<f64>,
    /// The logarithm of the evidence that the canary is worse; absent before the first minute.
    pub ln_e: Option<f64>,
    /// The same in the words of a wager; absent when luck is as good an explanation.
    pub odds: Option<String>,
    /// Minutes compared.
    pub minutes: u64,
    /// What a breach would set going; absent while the signal is muted.
    pub acts: Option<Action>,
    /// One plain sentence.
    pub sentence: String,
}

/// How a measure of fairness stands: over everything since the rollout began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FairnessStanding {
    /// Kept, broken, shared with production, or unknown.
    pub finding: Finding,
    /// The canary's; absent while it can't be told, as while a group is too small.
    pub canary: Option<Measured>,
    /// Production's; absent while it can't be told.
    pub production: Option<Measured>,
    /// The largest difference, or the smallest ratio, that is still fair.
    pub limit: f64,
    /// One plain sentence.
    pub sentence: String,
}

/// The row of one minute.
pub(super) fn report(
    deployment: &Deployment,
    evidence: &Evidence,
    minute: Timestamp,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> MinuteReport {
    let bench = Bench::of(deployment);
    let (verdict, sentence) = in_words(&bench, evidence, canary, production);
    MinuteReport {
        minute,
        weight: deployment.state.weight,
        observed_weight: deployment.state.observed_weight_at(minute),
        canary: canary.cloned(),
        production: production.cloned(),
        guards: guards(&bench, evidence, production.filter(|it| !it.is_unasked())),
        signals: signals(&bench, evidence, canary, production),
        fairness: fairness(&bench, evidence),
        drift: bench.stability(evidence),
        unjudged_split: bench.is_sticky.then_some(()).and_then(|()| {
            let share = deployment.state.weight.fraction();
            split::intended(share, canary, production).err()
        }),
        verdict: verdict.to_owned(),
        sentence,
    }
}

fn guards(
    bench: &Bench<'_>,
    evidence: &Evidence,
    production: Option<&ArmMinute>,
) -> BTreeMap<String, Standing> {
    let policy = bench.policy();
    let standing = policy.all_guards().map(|rule| {
        let state = evidence.guards.get(&rule.name).cloned().unwrap_or_default();
        let gathered = state.window.canary.n;
        let sentence = match &state.last {
            Some(check) => check.sentence.clone(),
            // A cost is held against what production's was, once there is a minute of it.
            None if rule.test.compares() && production.is_none() && !state.window.recalled => {
                "not applicable: production has no traffic to compare with".to_owned()
            }
            None if rule.name == Guard::MEMORY => "no reading yet".to_owned(),
            // Its requests are there; a cost is judged over its time.
            None if gathered >= policy.min_samples => {
                let minutes = counted(state.window.minutes, "minute");
                format!("gathering: {minutes} so far, which are too few")
            }
            None => format!("gathering: {gathered} of {} requests", policy.min_samples),
        };
        let standing = Standing {
            finding: state.last.map(|check| check.finding),
            sentence,
            breaches: state.breaches,
            gathered,
        };
        (rule.name.clone(), standing)
    });
    standing.collect()
}

fn fairness(bench: &Bench<'_>, evidence: &Evidence) -> BTreeMap<String, FairnessStanding> {
    let Some(fairness) = &bench.policy().fairness else {
        return BTreeMap::new();
    };
    let judged = fairness.judge(&evidence.tallies).into_iter();
    judged
        .map(|(rule, judged)| {
            let standing = FairnessStanding {
                finding: judged.finding,
                canary: judged.canary,
                production: judged.production,
                limit: rule.limit,
                sentence: judged.sentence,
            };
            (rule.measure.name().to_owned(), standing)
        })
        .collect()
}

/// How every signal of the bench stands.
pub fn signals(
    bench: &Bench<'_>,
    evidence: &Evidence,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> BTreeMap<String, SignalStanding> {
    let counted = bench.policy().signals.iter().filter_map(|rule| {
        let standing = standing(bench, rule, evidence, canary, production)?;
        Some((rule.name.clone(), standing))
    });
    counted.collect()
}

fn standing(
    bench: &Bench<'_>,
    rule: &SignalRule,
    evidence: &Evidence,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> Option<SignalStanding> {
    let effect = bench.effect(rule, evidence)?;
    let counts = |arm: Option<&ArmMinute>| arm.and_then(|arm| bench.counts(rule, arm));
    Some(SignalStanding {
        minute: counts(canary),
        production_minute: counts(production),
        canary: effect.canary,
        production: effect.production,
        canary_rate: effect.canary.rate(),
        production_rate: effect.production.rate(),
        ratio: effect.ratio,
        interval: effect.interval,
        tolerated: effect.tolerated,
        limit: rule.limit.map(crate::domain::quantity::Rate::fraction),
        ln_e: effect.ln_e,
        odds: effect.ln_e.and_then(odds_against_luck),
        minutes: effect.minutes,
        acts: rule.consequence.action(),
        sentence: bench.sentence(rule, evidence),
    })
}

fn in_words(
    bench: &Bench<'_>,
    evidence: &Evidence,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> (&'static str, String) {
    let Verdict { breaches, unsure } = verdict(bench, evidence);
    if let Some(breach) = breaches
        .first()
        .filter(|breach| breach.action >= Action::StepBack)
    {
        return ("unhealthy", breach.reason.clone());
    }
    // Past a limit, though not for long enough to act: no word of health.
    let unsure = unsure.or_else(|| bench.objection(evidence));
    match unsure.or_else(|| bench.unshown(evidence)) {
        Some(reason) => ("inconclusive", reason),
        None => ("healthy", healthy_sentence(canary, production)),
    }
}

fn healthy_sentence(canary: Option<&ArmMinute>, production: Option<&ArmMinute>) -> String {
    let arm = |minute: Option<&ArmMinute>| match minute.filter(|minute| !minute.is_unasked()) {
        None => "no requests".to_owned(),
        Some(minute) => {
            let requests = counted(minute.invocations, "request");
            format!("{requests}, {} 5XX", minute.errors_5xx)
        }
    };
    format!("canary {}; production {}", arm(canary), arm(production))
}
