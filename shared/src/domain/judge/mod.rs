//! What the minutes say together: feeds each minute to the bench once, moves the watermark, and
//! tells blind from quiet.
//!
//! At 100 % there is no production arm: the guards that compare rest, the absolute ones judge, and
//! the signals are held against what production was at its worst.

pub mod bench;
mod breach;
mod lack;
pub mod report;
mod sight;
mod split;
mod words;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use self::bench::{Bench, Minute};
use super::comparison::Split;
use super::deployment::{Deployment, State};
use super::evidence::Evidence;
use super::observation::{ArmMinute, Metrics, Series};
use super::policy::{Action, Grade};
use super::state::{Interrupted, Phase};

pub use lack::Lack;
pub use report::{MinuteReport, SignalStanding, Standing};
pub use sight::BLIND_FROM;

/// What the control loop makes of the canary.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// What speaks against it for long enough to act, the strongest first.
    pub breaches: Vec<Breach>,
    /// Why it can't be told, when it can't: no raise.
    pub unsure: Option<String>,
}

/// Something that speaks against the canary for long enough to act.
#[derive(Debug, Clone, PartialEq)]
pub struct Breach {
    /// The guard or the signal.
    pub name: String,
    /// What it sets going.
    pub action: Action,
    /// How bad it is.
    pub severity: Grade,
    /// One plain sentence.
    pub reason: String,
    /// What was measured.
    pub value: String,
    /// What it was held against.
    pub limit: String,
}

impl Verdict {
    /// The strongest breach, when it asks for this.
    pub fn asks_for(&self, action: Action) -> Option<&Breach> {
        self.breaches
            .first()
            .filter(|breach| breach.action == action)
    }
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
    let bench = Bench::of(deployment);
    let canary = match &metrics.canary {
        Series::Failed { reason } => {
            // The watermark stays: these minutes are read again at the next pass.
            let production_too = matches!(metrics.production, Series::Failed { .. });
            sight::mark_blind(evidence, now, production_too, reason);
            return (verdict(&bench, evidence), Vec::new());
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
    let mut minute = metrics.from.max(evidence.unjudged_from());
    while minute <= metrics.through {
        // Before its first request the canary did nothing that could be counted.
        let was_asked = evidence.canary.invocations > 0;
        let canary = canary.get(&minute);
        let canary = canary.filter(|minute| was_asked || !minute.is_unasked());
        let production = production.get(&minute);
        // An arm that was not read says nothing about the split.
        let is_whole = matches!(metrics.production, Series::Read(_));
        let arms = Arms {
            canary,
            production,
            is_whole,
            unread: &metrics.unread,
        };
        take_in(deployment, evidence, minute, arms);
        let canary = canary.filter(|minute| !minute.is_idle());
        reports.push(report::report(
            deployment, evidence, minute, canary, production,
        ));
        evidence.judged_through = minute;
        minute += SignedDuration::from_mins(1);
    }
    if !reports.is_empty() {
        evidence.unread.clone_from(&metrics.unread);
    }
    sight::settle(evidence, metrics, now, !reports.is_empty());
    (verdict(&bench, evidence), reports)
}

fn take_in(deployment: &Deployment, evidence: &mut Evidence, minute: Timestamp, arms: Arms<'_>) {
    let Arms {
        canary, production, ..
    } = arms;
    let state = &deployment.state;
    let in_stage = minute >= state.stage_since;
    if let Some(production) = production {
        evidence.production.add(production);
    }
    let production = production.filter(|minute| minute.invocations > 0);
    let canary = canary.filter(|minute| minute.invocations > 0);
    let usual = deployment.terms.baseline.requests_per_minute();
    evidence.forgive_miscounts(minute);
    for (of_canary, arm) in [(false, arms.production), (true, arms.canary)] {
        if let Some(arm) = arm {
            evidence.note_miscounts(minute, of_canary, arm);
        }
    }
    if arms.is_whole {
        let requests = |arm: Option<&ArmMinute>| arm.map_or(0, |minute| minute.invocations);
        evidence.note_traffic(requests(canary) + requests(production));
    }
    evidence.silent = canary.is_none() && production.is_none() && usual >= BLIND_FROM;
    let by_weight = sight::by_weight(deployment, production, arms.unread);
    match canary {
        None if in_stage => sight::expect(deployment, evidence, minute, by_weight),
        None => {}
        Some(canary) => count(deployment, evidence, in_stage, canary),
    }
    if state.drift.is_some() {
        // Somebody else's split is no fault of routing.
        evidence.split = Split::default();
    }
    // The canary is missing where its share makes that blindness rather than chance.
    let predicted = || sight::predicted(deployment, minute, by_weight);
    let is_unseen = canary.is_none() && predicted() >= BLIND_FROM;
    let counts = |arm: &&ArmMinute| arm.invocations > 0 || arm.is_unasked();
    let rests = is_settled(state) && state.is_unmoved_since(minute);
    let has_share = in_stage && arms.is_whole && rests && !is_unseen;
    let minute = Minute {
        at: minute,
        in_stage,
        share: has_share.then_some(state.weight),
        // Where nobody asked, labels of earlier predictions are judged, and of the canary its cost.
        canary: arms.canary.filter(|it| counts(it) || it.is_idle()),
        production: arms.production.filter(counts),
    };
    Bench::of(deployment).take_in(evidence, minute);
}

/// What was read of one minute.
#[derive(Clone, Copy)]
struct Arms<'a> {
    canary: Option<&'a ArmMinute>,
    production: Option<&'a ArmMinute>,
    /// Whether production could be read.
    is_whole: bool,
    /// What beside SageMaker's own figures could not be read.
    unread: &'a BTreeMap<String, String>,
}

/// Whether the weights at the endpoint are the committed ones: nothing moves them, and no raise that
/// a pause interrupted may have landed.
fn is_settled(state: &State) -> bool {
    let rests = match state.phase {
        Phase::Baking | Phase::Holding | Phase::AwaitingApproval | Phase::Soaking => true,
        Phase::Paused => state.interrupted != Some(Interrupted::Raise),
        // After a completion nothing moves them any more.
        _ => state.rests_on_the_way_down() || state.watch.is_some(),
    };
    rests && state.drift.is_none()
}

fn count(deployment: &Deployment, evidence: &mut Evidence, in_stage: bool, canary: &ArmMinute) {
    evidence.canary.add(canary);
    evidence.expected_unseen = 0.0;
    if in_stage {
        let latency = canary.latency.as_ref().map_or(0, |latency| latency.samples);
        evidence.stage_samples += if deployment.terms.policy.judges_latency() {
            canary.invocations.min(latency)
        } else {
            canary.invocations
        };
    }
}

fn verdict(bench: &Bench<'_>, evidence: &Evidence) -> Verdict {
    Verdict {
        breaches: bench.breaches(evidence),
        unsure: evidence
            .blind
            .as_ref()
            .map(|blind| format!("blind since {}: {}", blind.since, blind.reason)),
    }
}
