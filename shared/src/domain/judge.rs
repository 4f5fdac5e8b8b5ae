//! What the minutes say together: feeds each minute to the guards once, moves the watermark, and
//! tells blind from quiet.
//!
//! - **Blind**: the canary's query failed or was partial, or the canary has no points although its
//!   share of production's traffic predicts ten requests or more.
//! - **Quiet**: little traffic, so few points. Nothing is wrong and nothing is proved.
//! - **Inapplicable**: at 100 % there is no production arm; the guards that compare rest, and the
//!   absolute ones judge.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::evidence::{Blind, Evidence, Finding};
use super::guard;
use super::observation::{ArmMinute, Metrics, Series};
use super::quantity::{Span, Weight};

/// Canary requests that production's traffic must predict before their absence is blindness.
pub const BLIND_FROM: f64 = 10.0;

/// What the control loop makes of the canary.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing speaks against it in what was seen.
    Healthy,
    /// A guard was broken for as long as it must be.
    Unhealthy {
        /// The guard's sentence.
        reason: String,
        /// What was measured.
        value: String,
        /// What it was held against.
        limit: String,
    },
    /// It can't be told: no raise.
    Inconclusive {
        /// Why.
        reason: String,
    },
}

/// What one minute showed, kept as the row of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinuteReport {
    /// The minute's start.
    pub minute: Timestamp,
    /// The canary's confirmed share.
    pub weight: Weight,
    /// Absent when the canary had no points.
    pub canary: Option<ArmMinute>,
    /// Absent when production had no points.
    pub production: Option<ArmMinute>,
    /// How each guard stands after this minute.
    pub guards: BTreeMap<String, Standing>,
    /// `healthy`, `unhealthy` or `inconclusive`.
    pub verdict: String,
    /// One plain sentence.
    pub sentence: String,
}

/// How a guard stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// The start of the last minute that may be judged at `now`: one that ended at least two minutes
/// ago, because points arrive late.
pub fn last_judgeable(now: Timestamp) -> Timestamp {
    floor_minute(now - SignedDuration::from_mins(2)) - SignedDuration::from_mins(1)
}

/// The start of the minute that holds `at`.
///
/// # Panics
/// Never: the start of a minute lies within the range of its own timestamp.
pub fn floor_minute(at: Timestamp) -> Timestamp {
    let seconds = at.as_second().div_euclid(60) * 60;
    Timestamp::from_second(seconds)
        .expect("a minute's start lies within the range of its own timestamp")
}

/// Takes in every minute of the reading, once.
pub fn judge(
    deployment: &Deployment,
    evidence: &mut Evidence,
    metrics: &Metrics,
    now: Timestamp,
) -> (Verdict, Vec<MinuteReport>) {
    let canary = match &metrics.canary {
        Series::Failed { reason } => {
            // The watermark stays: these minutes are read again at the next pass.
            let production_too = matches!(metrics.production, Series::Failed { .. });
            mark_blind(evidence, now, production_too, reason);
            return (verdict(deployment, evidence), Vec::new());
        }
        Series::Read(minutes) => minutes,
    };
    let nothing = BTreeMap::new();
    let production = match &metrics.production {
        Series::Read(minutes) => minutes,
        // The absolute guards go on judging; the comparing ones have no arm to compare with.
        Series::Failed { .. } => &nothing,
    };
    let mut reports = Vec::new();
    // A reading asked for before the last one was committed begins too early.
    let mut minute = metrics
        .from
        .max(evidence.judged_through + SignedDuration::from_mins(1));
    while minute <= metrics.through {
        take_in(
            deployment,
            evidence,
            minute,
            canary.get(&minute),
            production.get(&minute),
        );
        reports.push(report(
            deployment,
            evidence,
            minute,
            canary.get(&minute),
            production.get(&minute),
        ));
        evidence.judged_through = minute;
        minute += SignedDuration::from_mins(1);
    }
    settle_sight(evidence, metrics, now, !reports.is_empty());
    (verdict(deployment, evidence), reports)
}

fn take_in(
    deployment: &Deployment,
    evidence: &mut Evidence,
    minute: Timestamp,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) {
    let policy = &deployment.terms.policy;
    let in_stage = minute >= deployment.state.stage_since;
    if let Some(production) = production {
        evidence.production.add(production);
    }
    let Some(canary) = canary.filter(|minute| minute.invocations > 0) else {
        let weight = deployment.state.weight;
        if in_stage && weight > Weight::ZERO && weight < Weight::FULL {
            let predicted = weight.fraction() / (1.0 - weight.fraction());
            evidence.expected_unseen +=
                production.map_or(0.0, |minute| minute.invocations as f64 * predicted);
        }
        return;
    };
    evidence.canary.add(canary);
    evidence.expected_unseen = 0.0;
    // An exponential mean over about five minutes: an estimate for people, never for a decision.
    evidence.canary_per_minute += (canary.invocations as f64 - evidence.canary_per_minute) * 0.3;
    if in_stage {
        let latency = canary.latency.as_ref().map_or(0, |latency| latency.samples);
        evidence.stage_samples += if policy.judges_latency() {
            canary.invocations.min(latency)
        } else {
            canary.invocations
        };
    }
    let production = production.filter(|minute| minute.invocations > 0);
    let compares_no_more =
        in_stage && deployment.state.weight == Weight::FULL && production.is_none();
    for rule in &policy.guards {
        if compares_no_more && rule.test.compares() {
            // Its last finding can never be mended any more, so it must not stand red for good.
            evidence.guards.remove(&rule.name);
            continue;
        }
        let state = evidence.guards.entry(rule.name.clone()).or_default();
        guard::take_in(rule, state, canary, production, policy.min_samples);
    }
}

/// Blind since when, or seen again.
fn settle_sight(evidence: &mut Evidence, metrics: &Metrics, now: Timestamp, took_minutes: bool) {
    if let Series::Failed { reason } = &metrics.production {
        mark_blind(evidence, now, true, reason);
    } else if evidence.expected_unseen >= BLIND_FROM {
        let reason = format!(
            "no points of the canary although its share predicts {:.0} requests",
            evidence.expected_unseen
        );
        mark_blind(evidence, now, false, &reason);
    } else if took_minutes {
        evidence.blind = None;
    }
}

fn mark_blind(evidence: &mut Evidence, now: Timestamp, production_too: bool, reason: &str) {
    let before = evidence.blind.take();
    let counted = match &before {
        None => Span::ZERO,
        // With production unseen now, or then, the time between counts for neither.
        Some(blind) if production_too || blind.production_too => blind.counted,
        Some(blind) => blind.unseen_for(now),
    };
    evidence.blind = Some(Blind {
        since: before.map_or(now, |blind| blind.since),
        marked_at: now,
        counted,
        production_too,
        reason: reason.to_owned(),
    });
}

fn verdict(deployment: &Deployment, evidence: &Evidence) -> Verdict {
    for rule in &deployment.terms.policy.guards {
        if let Some(state) = evidence.guards.get(&rule.name)
            && guard::has_tripped(rule, state)
            && let Some(check) = &state.last
        {
            return Verdict::Unhealthy {
                reason: check.sentence.clone(),
                value: check.value.clone(),
                limit: check.limit.clone(),
            };
        }
    }
    match &evidence.blind {
        Some(blind) => Verdict::Inconclusive {
            reason: format!("blind since {}: {}", blind.since, blind.reason),
        },
        None => Verdict::Healthy,
    }
}

fn report(
    deployment: &Deployment,
    evidence: &Evidence,
    minute: Timestamp,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> MinuteReport {
    let policy = &deployment.terms.policy;
    let guards = policy.guards.iter().map(|rule| {
        let state = evidence.guards.get(&rule.name).cloned().unwrap_or_default();
        let gathered = state.window.canary.n;
        let sentence = match &state.last {
            Some(check) => check.sentence.clone(),
            None if rule.test.compares() && production.is_none() => {
                "not applicable: production has no traffic to compare with".to_owned()
            }
            None => format!("gathering: {gathered} of {} requests", policy.min_samples),
        };
        (
            rule.name.clone(),
            Standing {
                finding: state.last.map(|check| check.finding),
                sentence,
                breaches: state.breaches,
                gathered,
            },
        )
    });
    let (verdict, sentence) = match verdict(deployment, evidence) {
        // Past a limit, though not for long enough to roll back: no word of health.
        Verdict::Healthy if evidence.red_guard().is_some() => (
            "inconclusive",
            evidence
                .red_guard()
                .map(|(_, check)| check.sentence.clone())
                .unwrap_or_default(),
        ),
        Verdict::Healthy => ("healthy", healthy_sentence(canary, production)),
        Verdict::Unhealthy { reason, .. } => ("unhealthy", reason),
        Verdict::Inconclusive { reason } => ("inconclusive", reason),
    };
    MinuteReport {
        minute,
        weight: deployment.state.weight,
        canary: canary.cloned(),
        production: production.cloned(),
        guards: guards.collect(),
        verdict: verdict.to_owned(),
        sentence,
    }
}

fn healthy_sentence(canary: Option<&ArmMinute>, production: Option<&ArmMinute>) -> String {
    let arm = |minute: Option<&ArmMinute>| match minute {
        None => "no requests".to_owned(),
        Some(minute) => format!("{} requests, {} 5XX", minute.invocations, minute.errors_5xx),
    };
    format!("canary {}; production {}", arm(canary), arm(production))
}
