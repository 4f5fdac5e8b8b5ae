//! What has been measured so far: the watermark, the open windows of the guards, and how much the
//! present stage has seen. Kept beside the record and written in the same transaction, so a minute
//! counts once however often a tick is repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::comparison::{AbsoluteGuard, Pool, SafeGate, Signal, Split};
use super::cost::Spent;
use super::exposure::Exposure;
use super::fairness::Tallies;
use super::observation::ArmMinute;
use super::policy::{Action, Consequence, Policy};
use super::quantity::Span;
use super::signal::Miscount;

/// For so long a minute that can't be judged stands in the way of more traffic: in metrics that count
/// what can't be now and then, the minutes between are not to be believed either.
const MISCOUNT_HOLDS: SignedDuration = SignedDuration::from_hours(1);

/// The measured side of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The start of the last minute taken in.
    pub judged_through: Timestamp,
    /// By guard name.
    #[serde(default)]
    pub guards: BTreeMap<String, GuardState>,
    /// Canary requests judged since the weights of the present stage were confirmed.
    #[serde(default)]
    pub stage_samples: u64,
    /// Over the whole deployment.
    #[serde(default)]
    pub canary: Totals,
    /// Over the whole deployment.
    #[serde(default)]
    pub production: Totals,
    /// Canary requests that production's traffic predicts since the canary was last seen.
    #[serde(default)]
    pub expected_unseen: f64,
    /// Whether the last judged minute had no requests of either arm, on an endpoint that has them.
    #[serde(default)]
    pub silent: bool,
    /// Set while the canary, or both arms, can't be seen.
    #[serde(default)]
    pub blind: Option<Blind>,
    /// Requests a minute of both models together, smoothed over the last minutes: times a share, what
    /// the canary gets of them. For "how long until".
    #[serde(default)]
    pub requests_per_minute: f64,
    /// By signal name.
    #[serde(default)]
    pub signals: BTreeMap<String, SignalState>,
    /// What is shown to be below its limit, by guard name; empty where the policy does not ask.
    #[serde(default)]
    pub gates: BTreeMap<String, SafeGate>,
    /// Whether the requests of the present stage are split as the weights say.
    #[serde(default)]
    pub split: Split,
    /// Further checks that could not be read at the last pass, with the reason.
    #[serde(default)]
    pub unread: BTreeMap<String, String>,
    /// Why the policy's alarms could not be read at the last pass; absent where they could, or none are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarms_unread: Option<String>,
    /// The last minute in which a check's metrics counted what can't be, by the check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub miscounted: BTreeMap<String, Miscounted>,
    /// What is counted by group, by the counter's name.
    #[serde(default, skip_serializing_if = "Tallies::is_empty")]
    pub tallies: Tallies,
    /// What production's requests cost while it had some; absent before its first one whose price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_spent: Option<Spent>,
    /// Breaches that people have been told of and that still stand.
    #[serde(default)]
    pub told: BTreeSet<String>,
    /// What was served after the last judged minute of a rollback; absent before any of it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
}

/// A minute of a check that can't be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Miscounted {
    /// The minute's start.
    pub at: Timestamp,
    /// Whether it was the canary's, or production's.
    pub of_canary: bool,
    /// Both figures.
    pub counts: Miscount,
}

/// In words, after the name of the check.
impl fmt::Display for Miscounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Miscount { trials, counted } = self.counts;
        let arm = if self.of_canary {
            "the canary"
        } else {
            "production"
        };
        write!(
            f,
            "of {trials} trials of {arm} in the minute from {} its metrics counted {counted} outcomes, which can't be; an outcome is to be counted in the minute of its trial",
            self.at
        )
    }
}

/// One signal's wagers. Their size does not grow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SignalState {
    /// Against production.
    pub comparison: Signal,
    /// Against the signal's own limit; untouched where it has none.
    #[serde(default)]
    pub absolute: AbsoluteGuard,
    /// Labels that only one of the models has had, before they are compared.
    #[serde(default, skip_serializing_if = "Pool::is_empty")]
    pub waiting: Pool,
    /// Canary trials since the weights of the present stage were confirmed.
    #[serde(default)]
    pub stage_samples: u64,
}

/// Running totals of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Requests.
    pub invocations: u64,
    /// Requests answered 4XX.
    pub errors_4xx: u64,
    /// Requests answered 5XX.
    pub errors_5xx: u64,
}

impl Totals {
    /// Takes in a minute.
    pub fn add(&mut self, minute: &ArmMinute) {
        self.invocations += minute.invocations;
        self.errors_4xx += minute.errors_4xx;
        self.errors_5xx += minute.errors_5xx;
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            invocations: self.invocations + other.invocations,
            errors_4xx: self.errors_4xx + other.errors_4xx,
            errors_5xx: self.errors_5xx + other.errors_5xx,
        }
    }
}

/// Since when, and whether production can't be seen either.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blind {
    /// The first pass that saw nothing.
    pub since: Timestamp,
    /// The last pass that saw nothing.
    pub marked_at: Timestamp,
    /// How long the canary alone could not be seen: what is held against the limit. A stretch in
    /// which production could not be seen either does not count.
    pub counted: Span,
    /// CloudWatch itself is out: hold and alarm, never roll back in bulk.
    pub production_too: bool,
    /// What failed.
    pub reason: String,
}

impl Blind {
    /// How long the canary alone could not be seen, at `now`.
    pub fn unseen_for(&self, now: Timestamp) -> Span {
        if self.production_too {
            return Span::ZERO;
        }
        Span::from_secs(self.counted.secs() + Span::between(self.marked_at, now).secs())
    }
}

/// One guard's open window and its row of breaches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GuardState {
    /// The window still being filled.
    pub window: Window,
    /// Checks in a row that were broken.
    #[serde(default)]
    pub breaches: u32,
    /// The time those checks cover.
    #[serde(default)]
    pub breached_for: Span,
    /// The time for which production was past the limit as well.
    #[serde(default)]
    pub shared_for: Span,
    /// The last closed window, as judged.
    #[serde(default)]
    pub last: Option<Check>,
}

/// A span of whole minutes that overlaps no other of the same guard.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Window {
    /// Minutes taken in.
    pub minutes: u32,
    /// The new model.
    pub canary: Arm,
    /// The old model.
    pub production: Arm,
    /// Whether production had no requests in a minute of it, and is there with what they cost before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recalled: bool,
}

/// One arm of a window, as counts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Arm {
    /// Trials.
    pub n: u64,
    /// Bad ones among them.
    pub x: u64,
    /// Trials in minutes in which the bad ones could not be counted, or what they cost is not known.
    #[serde(default)]
    pub uncounted: u64,
    /// The lowest and highest of the minutes' percentiles in milliseconds: the window's own
    /// percentile lies between them.
    #[serde(default)]
    pub percentile_ms: Option<(f64, f64)>,
    /// What the instances cost, in dollars; absent where a minute's cost is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The share of the instances' memory in use, in percent; absent where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<f64>,
}

impl Arm {
    /// x / n; zero of nothing.
    pub fn rate(&self) -> f64 {
        if self.n == 0 {
            0.0
        } else {
            self.x as f64 / self.n as f64
        }
    }

    /// Adds requests and what they cost.
    pub fn pay(&mut self, requests: u64, dollars: f64) {
        self.n += requests;
        self.cost = Some(self.cost.unwrap_or_default() + dollars);
    }

    /// Adds requests of which nobody knows what they cost.
    pub fn pay_unknown(&mut self, requests: u64) {
        self.n += requests;
        self.uncounted += requests;
    }

    /// The dollars of one request; absent without requests or prices, and where those of some are not known.
    pub fn cost_each(&self) -> Option<f64> {
        (self.n > 0 && self.uncounted == 0).then_some(self.cost? / self.n as f64)
    }

    /// Widens the bounds of the percentile.
    pub fn bound(&mut self, milliseconds: f64) {
        let (low, high) = self.percentile_ms.unwrap_or((milliseconds, milliseconds));
        self.percentile_ms = Some((low.min(milliseconds), high.max(milliseconds)));
    }
}

/// What a closed window showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Broken, kept, or not to be told.
    pub finding: Finding,
    /// What was measured, with its unit.
    pub value: String,
    /// What it was held against, with its unit.
    pub limit: String,
    /// Canary requests in the window.
    pub samples: u64,
    /// One plain sentence.
    pub sentence: String,
    /// Whether it was held against what production's requests cost before, as a cost at 100 % is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recalled: bool,
}

impl Check {
    /// Whether waiting never tells it: production has no requests any more, and what they cost is not on record.
    fn stays_unknown(&self) -> bool {
        self.recalled && self.finding == Finding::Unknown
    }
}

/// More than two values: what can't be told is neither healthy nor broken, and what production does
/// not keep either is not the canary's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Finding {
    /// Within the limit.
    Kept,
    /// Past the limit.
    Broken,
    /// Past the limit, and production is past it too: nothing is said against the canary, nor for it.
    Shared,
    /// Within the limit, but production is past it: no time for more traffic by itself.
    Incident,
    /// The data do not say.
    Unknown,
}

impl Evidence {
    /// The first minute that is not judged yet.
    pub fn unjudged_from(&self) -> Timestamp {
        let minute = SignedDuration::from_mins(1);
        let next = self.judged_through.checked_add(minute);
        next.unwrap_or(Timestamp::MAX)
    }

    /// Nothing measured yet; minutes up to this one are history.
    pub fn starting_after(minute: Timestamp) -> Self {
        Self {
            judged_through: minute,
            guards: BTreeMap::new(),
            stage_samples: 0,
            canary: Totals::default(),
            production: Totals::default(),
            expected_unseen: 0.0,
            silent: false,
            blind: None,
            requests_per_minute: 0.0,
            signals: BTreeMap::new(),
            gates: BTreeMap::new(),
            split: Split::default(),
            unread: BTreeMap::new(),
            alarms_unread: None,
            miscounted: BTreeMap::new(),
            tallies: Tallies::default(),
            production_spent: None,
            told: BTreeSet::new(),
            exposure: None,
        }
    }

    /// As it stood when the last minute was judged: a rollback's decision knew no more.
    #[must_use]
    pub fn as_judged(&self) -> Self {
        Self {
            exposure: None,
            ..self.clone()
        }
    }

    /// Takes in how many requests both models had in a minute: an exponential mean over about five
    /// minutes, which begins with the first that had any. An estimate for people, never for a decision.
    pub fn note_traffic(&mut self, requests: u64) {
        let requests = requests as f64;
        if self.requests_per_minute > 0.0 {
            self.requests_per_minute += (requests - self.requests_per_minute) * 0.3;
        } else {
            self.requests_per_minute = requests;
        }
    }

    /// Takes in which checks a minute of one arm says nothing of, though it was measured.
    pub fn note_miscounts(&mut self, at: Timestamp, of_canary: bool, minute: &ArmMinute) {
        let found = minute.miscounted.iter().map(|(name, counts)| {
            let miscounted = Miscounted {
                at,
                of_canary,
                counts: *counts,
            };
            (name.clone(), miscounted)
        });
        self.miscounted.extend(found);
    }

    /// Lets go of those that are long ago.
    pub fn forgive_miscounts(&mut self, now: Timestamp) {
        self.miscounted
            .retain(|_, miscounted| now.duration_since(miscounted.at) < MISCOUNT_HOLDS);
    }

    /// The guard that stands red: broken, though not often enough to act, or not to be told, and
    /// not kept since. One that only notifies stands in nobody's way.
    pub fn red_guard(&self, policy: &Policy) -> Option<&Check> {
        self.guard_past(policy, |check| check.finding != Finding::Kept)
    }

    /// The same, without those that only production breaks, and without what can never be told: a person may
    /// go past that, or there would be no way on.
    pub fn broken_guard(&self, policy: &Policy) -> Option<&Check> {
        self.guard_past(policy, |check| {
            !matches!(check.finding, Finding::Kept | Finding::Incident) && !check.stays_unknown()
        })
    }

    fn guard_past(&self, policy: &Policy, is_past: impl Fn(&Check) -> bool) -> Option<&Check> {
        policy
            .all_guards()
            .filter(|guard| guard.consequence.holds())
            .find_map(|guard| {
                let check = self.guards.get(&guard.name)?.last.as_ref()?;
                is_past(check).then_some(check)
            })
    }

    /// What a step back has acted on begins anew: a wager that was won can't be won again. All that
    /// steps back, not the one that was named: they saw the same minutes.
    pub fn forget_step_backs(&mut self, policy: &Policy) {
        self.forget(policy, |consequence| {
            consequence.action() == Some(Action::StepBack)
        });
    }

    /// The same of a step on the way down, which acts on whatever is not critical: so that what is
    /// seen at each share stands for that share.
    pub fn forget_retreats(&mut self, policy: &Policy) {
        self.forget(policy, Consequence::retreats);
    }

    fn forget(&mut self, policy: &Policy, is_meant: impl Fn(Consequence) -> bool) {
        for rule in policy.all_guards() {
            if is_meant(rule.consequence) {
                self.guards.remove(&rule.name);
            }
        }
        let fairness = policy.fairness.as_ref();
        if fairness.is_some_and(|fairness| is_meant(fairness.consequence)) {
            self.tallies.clear();
        }
        for rule in &policy.signals {
            if is_meant(rule.consequence)
                && let Some(state) = self.signals.get_mut(&rule.name)
            {
                // What waits to be compared was seen at the same share.
                *state = SignalState {
                    stage_samples: state.stage_samples,
                    ..SignalState::default()
                };
            }
        }
    }

    /// A stage begins: what is asked of a stage is counted anew.
    pub fn begin_stage(&mut self) {
        self.expected_unseen = 0.0;
        self.begin_stage_again();
    }

    /// The same of a stage that was interrupted: what was missing of the canary before is missing still.
    pub fn begin_stage_again(&mut self) {
        self.stage_samples = 0;
        self.split = Split::default();
        for signal in self.signals.values_mut() {
            signal.stage_samples = 0;
        }
    }
}
