//! A deployment in each state, endpoints as DescribeEndpoint shows them, minutes of metrics, and
//! `check`: one row of a table beside `decide`.
//!
//! Every case stands at [`now`] with its bake and soak long over, all judgeable minutes judged and
//! enough requests seen, so that a row names only what is different about it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::baseline::Baseline;
use crate::domain::clearance::Clearance;
use crate::domain::decide::{self, Decision};
use crate::domain::deployment::{CanaryCapacity, Cleanup, Deployment, Floor, Lease, Terms, Update};
use crate::domain::due::{self, Effect};
use crate::domain::evidence::{Blind, Check, Evidence, Finding, GuardState};
use crate::domain::freeze::{Freeze, FreezeReading};
use crate::domain::history::{Name, Topics};
use crate::domain::invariants;
use crate::domain::judge::last_judgeable;
use crate::domain::observation::{
    AlarmReading, ArmMinute, EndpointReading, EndpointStatus, EndpointView, LatencyMinute, Metrics,
    Observation, Series, VariantView, limit_key,
};
use crate::domain::plan::{Plan, Preset};
use crate::domain::policy::{Grade, Policy};
use crate::domain::quantity::{Latency, Span, Weight};
use crate::domain::registry::Packages;
use crate::domain::retreat::{Descent, Rollback, Steps};
use crate::domain::scaling::Autoscaling;
use crate::domain::state::{Interrupted, Outcome, Phase, Status};

pub(super) const ORIGINAL: &str = "wine-original";
pub(super) const CANARY_CONFIG: &str = "wine-canary-0a1b2c3d";
pub(super) const FINAL: &str = "wine-final-0a1b2c3d";
/// The copy of the original config with the instances of today.
pub(super) const FORMER: &str = "wine-former-0a1b2c3d";
pub(super) const CANARY: &str = "canary-0a1b2c3d";
pub(super) const PRODUCTION: &str = "blue";
/// Production's instances in every case.
pub(super) const INSTANCES: u32 = 4;

/// A Monday, 09:00 UTC: when every deployment here was accepted.
pub(super) fn accepted_at() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

/// When every case stands: an hour in, between two whole minutes.
pub(super) fn now() -> Timestamp {
    accepted_at() + SignedDuration::from_secs(3620)
}

pub(super) fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Somebody froze the endpoint an hour ago, for good.
pub(super) fn frozen() -> FreezeReading {
    FreezeReading::Frozen(Freeze {
        reason: "a sale".to_owned(),
        by: "anna".to_owned(),
        at: now() - minutes(60),
        until: None,
        prolonged: None,
    })
}

pub(super) fn weight(percent: u8) -> Weight {
    Weight::new(percent).unwrap()
}

pub(super) fn latency(ms: f64) -> Latency {
    Latency::from_ms(ms).unwrap()
}

pub(super) fn terms() -> Terms {
    Terms {
        id: "019c0000-0000-7000-8000-00000a1b2c3d".to_owned(),
        endpoint: "wine".to_owned(),
        endpoint_created_at: accepted_at() - minutes(60 * 24 * 30),
        model: "wine-v2".to_owned(),
        former_model: "wine-v1".to_owned(),
        production: PRODUCTION.to_owned(),
        canary: CANARY.to_owned(),
        original_config: ORIGINAL.to_owned(),
        canary_config: CANARY_CONFIG.to_owned(),
        final_config: FINAL.to_owned(),
        plan: Plan::new(
            Preset::Linear.stages(),
            Span::from_mins(20),
            Span::from_hours(6),
            Vec::new(),
        )
        .unwrap(),
        policy: Policy::preset(Preset::Linear),
        baseline: Baseline::default(),
        capacity: CanaryCapacity::default(),
        cleanup: Cleanup {
            after: Span::from_hours(1),
            keep_old_variant: false,
        },
        rollback: Rollback::default(),
        watch: Span::ZERO,
        topics: Topics::default(),
        clearance: Clearance::default(),
        created_at: accepted_at(),
        created_by: "deployer".to_owned(),
        routing: None,
        readings: None,
        prices: None,
        grants: None,
        undoes: None,
        packages: Packages::default(),
    }
}

/// 25 and 10 %, half an hour each.
pub(super) fn steps() -> Steps {
    Steps {
        weights: vec![weight(25), weight(10)],
        every: Span::from_mins(30),
    }
}

/// A record, its evidence and the time of the pass.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) deployment: Deployment,
    pub(super) evidence: Evidence,
    pub(super) now: Timestamp,
}

impl Case {
    fn new(status: Status, phase: Phase, at: u8, target: u8) -> Self {
        let now = now();
        let mut deployment = Deployment::accepted(terms(), INSTANCES);
        let state = &mut deployment.state;
        "why it stands where it stands".clone_into(&mut state.reason);
        (state.status, state.phase) = (status, phase);
        (state.weight, state.target) = (weight(at), weight(target));
        (state.stage_since, state.phase_since) = (now - minutes(25), now - minutes(25));
        if status == Status::InProgress {
            state.clock.run(
                at < 100
                    && !matches!(
                        phase,
                        Phase::Paused | Phase::AwaitingApproval | Phase::CleaningUp
                    ),
                now - minutes(40),
            );
            state.floor = Some(Floor {
                held_at: INSTANCES,
                released: false,
                withdrawn: false,
                found: None,
            });
        }
        let mut evidence = Evidence::starting_after(last_judgeable(now));
        evidence.stage_samples = 1000;
        evidence.requests_per_minute = 1000.0;
        Self {
            deployment,
            evidence,
            now,
        }
    }

    /// Production was found to scale by itself, from 1 to 10 instances.
    pub(super) fn scales(self) -> Self {
        self.with(|case| {
            let floor = case.deployment.state.floor.as_mut();
            floor.expect("it is held").found = Some(Autoscaling::default().target());
        })
    }

    /// Production's owner has removed the target that it was found with.
    pub(super) fn withdrawn(self) -> Self {
        self.scales().with(|case| {
            let floor = case.deployment.state.floor.as_mut();
            floor.expect("it is held").withdrawn = true;
        })
    }

    pub(super) fn pending() -> Self {
        Self::new(Status::Pending, Phase::Provisioning, 0, 0)
    }
    pub(super) fn scaling(at: u8, target: u8) -> Self {
        Self::new(Status::InProgress, Phase::Scaling, at, target)
    }
    pub(super) fn shifting(at: u8, target: u8) -> Self {
        Self::new(Status::InProgress, Phase::Shifting, at, target)
    }
    pub(super) fn baking(at: u8) -> Self {
        Self::new(Status::InProgress, Phase::Baking, at, at)
    }
    pub(super) fn holding(at: u8) -> Self {
        Self::new(Status::InProgress, Phase::Holding, at, at)
    }
    pub(super) fn awaiting(at: u8) -> Self {
        Self::new(Status::InProgress, Phase::AwaitingApproval, at, at).with(|case| {
            let index = case.deployment.terms.plan.stage_index(weight(at));
            case.deployment.terms.plan.stages[index].approval = true;
        })
    }
    pub(super) fn paused(interrupted: Interrupted, at: u8, target: u8) -> Self {
        Self::new(Status::InProgress, Phase::Paused, at, target)
            .with(|case| case.deployment.state.interrupted = Some(interrupted))
    }
    pub(super) fn retreating(at: u8, target: u8) -> Self {
        Self::new(Status::InProgress, Phase::Retreating, at, target)
    }
    /// On the way down by [`steps`], half an hour after it began; where both are the same, the step is
    /// confirmed, else it began a minute ago.
    pub(super) fn descending(at: u8, target: u8) -> Self {
        Self::retreating(at, target).with(|case| {
            case.deployment.terms.rollback.steps = Some(steps());
            let state = &mut case.deployment.state;
            if at != target {
                state.phase_since = case.now - minutes(1);
            }
            state.clock.run(false, case.now);
            state.descent = Some(Descent {
                since: case.now - minutes(30),
                cause: "too many errors".to_owned(),
                signal: Some(("errors".to_owned(), Grade::High)),
                value: "9 %".to_owned(),
                limit: "1 %".to_owned(),
            });
        })
    }
    pub(super) fn soaking() -> Self {
        Self::new(Status::InProgress, Phase::Soaking, 100, 100)
    }
    pub(super) fn finalizing() -> Self {
        Self::new(Status::InProgress, Phase::Finalizing, 100, 100)
    }
    pub(super) fn reverting(at: u8, outcome: Outcome) -> Self {
        Self::new(Status::RollingBack, Phase::Reverting, at, 0)
            .with(|case| case.deployment.state.outcome = Some(outcome))
    }
    /// Cleaning up towards this outcome; a failure is one of the rollout at 30 %.
    pub(super) fn cleaning(outcome: Outcome) -> Self {
        let (status, at, target) = match outcome {
            Outcome::Completed => (Status::InProgress, 100, 100),
            Outcome::RolledBack | Outcome::Cancelled => (Status::RollingBack, 0, 0),
            Outcome::Failed => (Status::InProgress, 30, 30),
        };
        Self::new(status, Phase::CleaningUp, at, target)
            .with(|case| case.deployment.state.outcome = Some(outcome))
    }
    pub(super) fn ended(outcome: Outcome) -> Self {
        let (status, at) = match outcome {
            Outcome::Completed => (Status::Completed, 100),
            Outcome::RolledBack => (Status::RolledBack, 0),
            Outcome::Cancelled => (Status::Cancelled, 0),
            Outcome::Failed => (Status::Failed, 30),
        };
        Self::new(status, Phase::Ended, at, at).with(|case| {
            case.deployment.state.outcome = Some(outcome);
            case.deployment.state.cleaned = true;
        })
    }

    /// One of every state a record may be in.
    pub(super) fn every() -> Vec<Self> {
        vec![
            Self::pending(),
            Self::cleaning(Outcome::Failed).with(|case| {
                let state = &mut case.deployment.state;
                (state.status, state.weight, state.target) =
                    (Status::Pending, Weight::ZERO, Weight::ZERO);
            }),
            Self::scaling(20, 30),
            Self::shifting(20, 30),
            Self::baking(30),
            Self::holding(30),
            Self::awaiting(30),
            Self::paused(Interrupted::Bake, 30, 30),
            Self::retreating(30, 20),
            Self::descending(25, 25),
            Self::soaking(),
            Self::finalizing(),
            Self::cleaning(Outcome::Completed),
            Self::reverting(30, Outcome::RolledBack),
            Self::cleaning(Outcome::RolledBack),
            Self::ended(Outcome::Completed),
            Self::ended(Outcome::RolledBack),
            Self::ended(Outcome::Failed),
            Self::ended(Outcome::Cancelled),
        ]
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A raise or an UpdateEndpoint may be under way for another minute.
    pub(super) fn leased(self) -> Self {
        self.with(|case| {
            case.deployment.state.lease = Some(Lease {
                until: case.now + minutes(1),
                holder: "traffic-shift".to_owned(),
            });
        })
    }

    /// SageMaker accepted an UpdateEndpoint to this config so many minutes ago.
    pub(super) fn accepted(self, config: &str, ago: i64) -> Self {
        let accepted_at = Some(self.now - minutes(ago));
        self.with(|case| {
            case.deployment.state.update = Some(Update {
                config: config.to_owned(),
                attempts: 1,
                accepted_at,
                last_error: None,
            });
        })
    }

    /// SageMaker refused an UpdateEndpoint to this config so often.
    pub(super) fn refused(self, config: &str, attempts: u32) -> Self {
        self.with(|case| {
            case.deployment.state.update = Some(Update {
                config: config.to_owned(),
                attempts,
                accepted_at: None,
                last_error: None,
            });
        })
    }

    /// The canary has been unseen for so many minutes.
    pub(super) fn blind_for(self, ago: i64, production_too: bool) -> Self {
        let since = self.now - minutes(ago);
        // Marked by the tick a minute ago.
        let marked_at = (self.now - minutes(1)).max(since);
        let counted = if production_too {
            Span::ZERO
        } else {
            Span::between(since, marked_at)
        };
        self.with(|case| {
            case.evidence.blind = Some(Blind {
                since,
                marked_at,
                counted,
                production_too,
                reason: "InternalError".to_owned(),
            });
        })
    }

    /// The guard's last check was broken, so often in a row.
    pub(super) fn red(self, guard: &str, breaches: u32) -> Self {
        let check = Check {
            finding: Finding::Broken,
            value: "3.00%".to_owned(),
            limit: "1%".to_owned(),
            samples: 500,
            sentence: "5XX errors of the canary: 3.00%, past the limit of 1%".to_owned(),
            recalled: false,
        };
        self.with(|case| {
            case.evidence.guards.insert(
                guard.to_owned(),
                GuardState {
                    breaches,
                    last: Some(check),
                    ..GuardState::default()
                },
            );
        })
    }

    pub(super) fn change_windows(self, windows: &[&str]) -> Self {
        self.with(|case| {
            case.deployment.terms.plan.change_windows = windows
                .iter()
                .map(|window| window.parse().unwrap())
                .collect();
        })
    }

    /// The endpoint as a deployment in this state has left it, settled.
    pub(super) fn endpoint(&self) -> EndpointView {
        let state = &self.deployment.state;
        match (state.status, state.phase, state.outcome) {
            (Status::Pending, Phase::CleaningUp, _)
            | (_, Phase::Ended, Some(Outcome::RolledBack | Outcome::Cancelled)) => original(),
            (_, Phase::Ended, Some(Outcome::Completed))
            | (Status::InProgress, Phase::CleaningUp, Some(Outcome::Completed)) => finished(),
            _ => split(state.weight.percent()),
        }
    }
}

/// A variant as DescribeEndpoint shows it when nothing moves.
pub(super) fn variant(name: &str, share: u8, instances: u32) -> VariantView {
    let share = f64::from(share) / 100.0;
    VariantView {
        name: name.to_owned(),
        current_weight: share,
        desired_weight: share,
        current_instances: instances,
        desired_instances: instances,
    }
}

pub(super) fn endpoint(config: &str, variants: Vec<VariantView>) -> EndpointView {
    EndpointView {
        name: terms().endpoint,
        status: EndpointStatus::InService,
        config: config.to_owned(),
        created_at: terms().endpoint_created_at,
        modified_at: None,
        failure: None,
        variants,
    }
}

/// On the config before the rollout.
pub(super) fn original() -> EndpointView {
    endpoint(ORIGINAL, vec![variant(PRODUCTION, 100, INSTANCES)])
}

/// Both variants, the canary at this share, with the instances for everything.
pub(super) fn split(share: u8) -> EndpointView {
    endpoint(
        CANARY_CONFIG,
        vec![
            variant(PRODUCTION, 100 - share, INSTANCES),
            variant(CANARY, share, INSTANCES),
        ],
    )
}

/// On the final config.
pub(super) fn finished() -> EndpointView {
    endpoint(FINAL, vec![variant(CANARY, 100, INSTANCES)])
}

impl EndpointView {
    pub(super) fn is(mut self, status: EndpointStatus) -> Self {
        self.status = status;
        self
    }
    pub(super) fn failed_because(mut self, why: &str) -> Self {
        self.failure = Some(why.to_owned());
        self
    }
    pub(super) fn canary_instances(mut self, current: u32, desired: u32) -> Self {
        for variant in self
            .variants
            .iter_mut()
            .filter(|variant| variant.name == CANARY)
        {
            (variant.current_instances, variant.desired_instances) = (current, desired);
        }
        self
    }
}

/// No answer from DescribeEndpoint.
pub(super) fn unread() -> EndpointReading {
    EndpointReading::Failed {
        reason: "ThrottlingException".to_owned(),
    }
}

/// This endpoint, with no minute due and no alarm asked for.
pub(super) fn seen(view: EndpointView) -> Observation {
    reading(EndpointReading::Seen(view))
}

pub(super) fn reading(endpoint: EndpointReading) -> Observation {
    let last = last_judgeable(now());
    let nothing = || Series::Read(BTreeMap::new());
    Observation {
        endpoint,
        metrics: Metrics {
            from: last + minutes(1),
            through: last,
            canary: nothing(),
            production: nothing(),
            unread: BTreeMap::new(),
        },
        alarms: AlarmReading::NotAsked,
        freeze: FreezeReading::NotAsked,
    }
}

impl Observation {
    pub(super) fn alarms(mut self, alarms: AlarmReading) -> Self {
        self.alarms = alarms;
        self
    }
    pub(super) fn freeze(mut self, freeze: FreezeReading) -> Self {
        self.freeze = freeze;
        self
    }
    pub(super) fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }
}

/// A minute of one arm: requests, 5XX, and where latency was measured a p99 with its other
/// percentiles below it.
pub(super) fn arm(invocations: u64, errors_5xx: u64) -> ArmMinute {
    ArmMinute {
        invocations,
        errors_5xx,
        ..ArmMinute::default()
    }
}

impl ArmMinute {
    /// All percentiles at this many milliseconds, no limit counted.
    pub(super) fn taking(mut self, ms: f64) -> Self {
        self.latency = Some(LatencyMinute {
            samples: self.invocations,
            p50_ms: ms,
            p90_ms: ms,
            p95_ms: ms,
            p99_ms: ms,
            slower_than: BTreeMap::new(),
        });
        self
    }
    /// So many requests slower than this limit.
    pub(super) fn slower(mut self, limit_ms: f64, count: u64) -> Self {
        if let Some(latency_minute) = &mut self.latency {
            latency_minute
                .slower_than
                .insert(limit_key(latency(limit_ms)), count);
        }
        self
    }
}

/// The last minutes before [`now`], each the same, and the evidence's watermark set before them.
pub(super) fn last_minutes(
    case: &mut Case,
    count: i64,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> Metrics {
    let through = last_judgeable(case.now);
    let from = through - minutes(count - 1);
    case.evidence.judged_through = from - minutes(1);
    let series = |arm: Option<&ArmMinute>| {
        Series::Read(
            (0..count)
                .filter_map(|index| Some((from + minutes(index), arm?.clone())))
                .collect(),
        )
    };
    Metrics {
        from,
        through,
        canary: series(canary),
        production: series(production),
        unread: BTreeMap::new(),
    }
}

pub(super) fn unreadable() -> Series {
    Series::Failed {
        reason: "PartialData".to_owned(),
    }
}

/// What a row of a table expects; what it does not name is not asked.
#[derive(Debug, Clone)]
pub(super) struct Expect {
    status: Status,
    phase: Phase,
    weight: Option<u8>,
    target: Option<u8>,
    outcome: Option<Outcome>,
    says: Vec<&'static str>,
    tells: Option<Vec<Name>>,
    due: Option<Vec<Effect>>,
}

/// The state after the pass.
pub(super) fn becomes(status: Status, phase: Phase) -> Expect {
    Expect {
        status,
        phase,
        weight: None,
        target: None,
        outcome: None,
        says: Vec::new(),
        tells: None,
        due: None,
    }
}

/// IN_PROGRESS in this phase.
pub(super) fn goes_on(phase: Phase) -> Expect {
    becomes(Status::InProgress, phase)
}

/// A rollback begins.
pub(super) fn rolls_back() -> Expect {
    becomes(Status::RollingBack, Phase::Reverting)
        .target(0)
        .outcome(Outcome::RolledBack)
        .tells(&[Name::RollingBack, Name::Incident])
}

impl Expect {
    pub(super) fn weight(mut self, percent: u8) -> Self {
        self.weight = Some(percent);
        self
    }
    pub(super) fn target(mut self, percent: u8) -> Self {
        self.target = Some(percent);
        self
    }
    pub(super) fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }
    /// The record's reason holds this text.
    pub(super) fn says(mut self, text: &'static str) -> Self {
        self.says.push(text);
        self
    }
    /// Exactly these lines of history.
    pub(super) fn tells(mut self, names: &[Name]) -> Self {
        self.tells = Some(names.to_vec());
        self
    }
    /// No line of history.
    pub(super) fn quietly(self) -> Self {
        self.tells(&[])
    }
    pub(super) fn due(mut self, effect: Effect) -> Self {
        self.due = Some(vec![effect]);
        self
    }
    pub(super) fn nothing_due(mut self) -> Self {
        self.due = Some(Vec::new());
        self
    }
}

/// One pass, held against what is expected of it and against the invariants.
#[track_caller]
pub(super) fn check(before: &Case, seen: &Observation, expect: &Expect) -> Decision {
    assert_eq!(
        invariants::violations(&before.deployment),
        Vec::<String>::new(),
        "the row begins with a sound record"
    );
    let decision = decide::decide(&before.deployment, &before.evidence, seen, before.now).unwrap();
    let state = &decision.next.state;
    assert_eq!(
        (state.status, state.phase),
        (expect.status, expect.phase),
        "reason: {}",
        state.reason
    );
    assert_eq!(invariants::violations(&decision.next), Vec::<String>::new());
    if let Some(percent) = expect.weight {
        assert_eq!(state.weight, weight(percent), "weight");
    }
    if let Some(percent) = expect.target {
        assert_eq!(state.target, weight(percent), "target");
    }
    if expect.outcome.is_some() {
        assert_eq!(state.outcome, expect.outcome);
    }
    for text in &expect.says {
        assert!(
            state.reason.contains(text),
            "`{}` does not say `{text}`",
            state.reason
        );
    }
    if let Some(names) = &expect.tells {
        let told: Vec<Name> = decision.entries.iter().map(|entry| entry.event).collect();
        assert_eq!(&told, names);
    }
    if let Some(effects) = &expect.due {
        let due: Vec<Effect> = due::due(
            &decision.next,
            &decision.evidence,
            &seen.endpoint,
            before.now,
        )
        .into_iter()
        .collect();
        assert_eq!(&due, effects);
    }
    for (index, entry) in decision.entries.iter().enumerate() {
        assert_eq!(
            entry.seq,
            before.deployment.state.last_seq + 1 + index as u64
        );
        assert!(
            !entry.reason.is_empty() && !entry.value.is_empty() && !entry.limit.is_empty(),
            "every line has a reason, a value and a limit: {entry:?}"
        );
    }
    decision
}
