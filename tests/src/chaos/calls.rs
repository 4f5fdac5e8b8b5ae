//! What becomes of calls, of invokes and of metrics: the faults that lie between the control plane
//! and the account wait here until a call comes that they fit.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::{Class, MetricAnswer, MetricQuery, PortError};
use shared::domain::due::Actor;

use super::fault::{Fault, Fired};
use crate::direct::calls::{Event, Fate};
use crate::direct::gate::{Call, Role, Verdict};

/// The namespace of the metrics that are judged.
pub(super) const SAGEMAKER: &str = "AWS/SageMaker";
/// Calls that change something in the account.
const ACTS: [&str; 7] = [
    "set_weights",
    "set_instances",
    "update",
    "set_floor",
    "register",
    "put_policy",
    "deregister",
];
/// Calls that only look at the account, or leave no trace at the endpoint.
const ACCOUNT: [&str; 4] = ["endpoint", "make_config", "target", "bounds"];

/// Which calls a fault fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The control loop's and the functions' commits.
    Intent,
    /// Calls that change something in the account.
    Act,
    /// The invocation has changed something before.
    AfterAct,
    /// What changes the endpoint or writes the record.
    ActOrCommit,
    /// Writes to the table.
    Write,
    /// The control loop's commit while a deployment has only its end to write.
    Ending,
    /// Calls of the cancel that the strike itself ordered.
    Cancel(u64),
    /// Calls of SageMaker and of scaling.
    Account,
    /// Reading metrics.
    Metrics,
    /// Telling people.
    Tell,
}

/// A fault that waits for its calls.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    pub(super) fault: Fault,
    pub(super) when: When,
    /// Fitting calls that pass first.
    pub(super) skip: u32,
    /// Calls that are then hit.
    pub(super) times: u32,
    /// Forgotten from then on.
    pub(super) until: Timestamp,
    pub(super) verdict: Verdict,
    /// Whether the invocation ends as well.
    pub(super) kills: bool,
}

/// Metrics that arrive otherwise than CloudWatch measured them.
#[derive(Debug, Clone)]
pub(super) struct Bend {
    pub(super) fault: Fault,
    pub(super) until: Timestamp,
    /// Only queries whose variant is production's, or whose is not; all of them.
    pub(super) production: Option<bool>,
    /// The status instead of the points.
    pub(super) status: Option<&'static str>,
    /// The value of every point.
    pub(super) value: f64,
}

/// What is known of an invocation.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) deployment: Option<String>,
    acted: bool,
    /// Its last reading of the record came after a rollback had been committed.
    read_rolling_back: bool,
    /// Its metrics were not all there, or not numbers.
    pub(super) saw_badly: bool,
}

impl Known {
    /// Of an invocation that begins, and the deployment it is for.
    pub(super) fn of(deployment: Option<String>) -> Self {
        Self {
            deployment,
            ..Self::default()
        }
    }
}

/// Everything between the control plane and the account.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) armed: Vec<Armed>,
    pub(super) fates: Vec<(Fault, Fate)>,
    pub(super) bends: Vec<Bend>,
    /// Stretches in which CloudWatch itself answers badly.
    pub(super) gaps: Vec<(Timestamp, Timestamp)>,
    pub(super) fired: Fired,
    pub(super) known: BTreeMap<u64, Known>,
    /// Invocations that end after their present step.
    pub(super) doomed: Vec<u64>,
    /// Deployments whose rollback is committed, or which are over.
    pub(super) rolling_back: BTreeSet<String>,
    /// Whether a deployment has only its end to write.
    pub(super) is_ending: bool,
    /// Endpoints whose next update is to come back.
    pub(super) failing_updates: u32,
    /// Whether a record may have been written since somebody last asked.
    pub(super) wrote: bool,
    /// Whether anything was hit since somebody last asked.
    pub(super) disturbed: bool,
    /// Deployments whose traffic `rollback` took back since somebody last asked.
    pub(super) taken_back: BTreeSet<String>,
    pub(super) broken: Option<String>,
    reading: Option<u64>,
    now: Option<Timestamp>,
}

impl Calls {
    /// The fate of a call.
    pub(super) fn pass(&mut self, call: &Call) -> Verdict {
        self.now = Some(call.at);
        self.armed.retain(|armed| armed.until > call.at);
        let verdict = self.strike(call);
        if verdict != Verdict::Go {
            self.disturbed = true;
        }
        self.watch(call, &verdict);
        verdict
    }

    fn strike(&mut self, call: &Call) -> Verdict {
        let acted = self
            .known
            .get(&call.invocation)
            .is_some_and(|known| known.acted);
        let is_ending = self.is_ending;
        for index in 0..self.armed.len() {
            let armed = &mut self.armed[index];
            if !armed.when.fits(call, acted, is_ending) {
                continue;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
                continue;
            }
            armed.times -= 1;
            let hit = armed.clone();
            if hit.times == 0 {
                self.armed.remove(index);
            }
            self.fired.count(hit.fault);
            if hit.kills {
                self.doomed.push(call.invocation);
            }
            return within_limits(hit.verdict, call);
        }
        Verdict::Go
    }

    /// Remembers what the promises are held against.
    fn watch(&mut self, call: &Call, verdict: &Verdict) {
        let happens = !matches!(
            verdict,
            Verdict::Fail(_) | Verdict::LoseRequest | Verdict::CrashBefore
        );
        self.wrote |= matches!(call.operation, "commit" | "create");
        let known = self.known.entry(call.invocation).or_default();
        if call.operation == "load" {
            let id = known.deployment.as_ref();
            known.read_rolling_back = id.is_some_and(|id| self.rolling_back.contains(id));
        }
        if ACTS.contains(&call.operation) {
            known.acted = true;
        }
        let raises = matches!(call.operation, "set_weights" | "set_instances");
        if raises && call.by == Role::TrafficShift && known.read_rolling_back {
            self.broken = Some(format!(
                "P2: invocation {} raises ({}) although it read the rollback",
                call.invocation, call.operation
            ));
        }
        if call.operation == "set_weights" && call.by == Role::Rollback {
            self.taken_back.extend(known.deployment.clone());
        }
        if call.operation == "read" {
            let is_bad = self
                .gaps
                .iter()
                .any(|(from, to)| (*from..*to).contains(&call.at));
            known.saw_badly |= is_bad || !happens;
            self.reading = Some(call.invocation);
        }
        if call.operation == "update" && happens && self.failing_updates > 0 {
            self.failing_updates -= 1;
            self.fired.count(Fault::number(32));
        }
    }

    /// The fate of an async invoke.
    pub(super) fn fate(&mut self, event: &Event) -> Fate {
        let fits = |fault: Fault| fault.get() != 12 || event.actor != Actor::Rollback;
        match self.fates.iter().position(|(fault, _)| fits(*fault)) {
            Some(index) => {
                let (fault, fate) = self.fates.remove(index);
                self.fired.count(fault);
                self.disturbed = true;
                fate
            }
            None => Fate::Once,
        }
    }

    /// A metric on its way to the caller.
    pub(super) fn bend(&mut self, query: &MetricQuery, answer: MetricAnswer) -> MetricAnswer {
        let Some(now) = self.now else { return answer };
        self.bends.retain(|bend| bend.until > now);
        // What is shown and not judged is left alone: it may be asked of a minute without requests.
        if query.namespace != SAGEMAKER || query.metric == "OverheadLatency" {
            return answer;
        }
        let is_production = query
            .dimensions
            .iter()
            .any(|(_, value)| value == crate::PRODUCTION);
        let fits = |bend: &&Bend| bend.production.is_none_or(|one| one == is_production);
        let Some(bend) = self.bends.iter().find(fits) else {
            return answer;
        };
        let changed = match (bend.status, answer) {
            (Some(status), _) => MetricAnswer::Incomplete(status.to_owned()),
            (None, MetricAnswer::Complete(points)) if !points.is_empty() => {
                let value = bend.value;
                MetricAnswer::Complete(points.into_iter().map(|(at, _)| (at, value)).collect())
            }
            (None, answer) => return answer,
        };
        self.fired.count(bend.fault);
        self.disturbed = true;
        if let Some(known) = self.reading.and_then(|by| self.known.get_mut(&by)) {
            known.saw_badly = true;
        }
        changed
    }

    /// The storm is over: everything that waits for a call is forgotten.
    pub(super) fn calm_down(&mut self) {
        self.armed.clear();
        self.fates.clear();
        self.bends.clear();
        self.gaps.clear();
    }
}

/// No call lands later than its caller would have waited for it.
fn within_limits(verdict: Verdict, call: &Call) -> Verdict {
    match verdict {
        Verdict::Stall(time)
            if matches!(call.operation, "set_weights" | "set_instances" | "update") =>
        {
            Verdict::Stall(time.min(SignedDuration::from_secs(10)))
        }
        other => other,
    }
}

impl When {
    fn fits(self, call: &Call, acted: bool, is_ending: bool) -> bool {
        let commits = matches!(call.operation, "commit" | "create");
        let acts = ACTS.contains(&call.operation);
        match self {
            Self::Intent => commits && call.by != Role::Api,
            Self::Act => acts,
            Self::AfterAct => acted && !acts,
            Self::ActOrCommit => acts || commits,
            Self::Write => commits || matches!(call.operation, "sent" | "half_sent"),
            Self::Ending => is_ending && call.operation == "commit" && call.by == Role::Monitor,
            Self::Cancel(invocation) => call.invocation == invocation,
            Self::Account => acts || ACCOUNT.contains(&call.operation),
            Self::Metrics => call.operation == "read",
            Self::Tell => matches!(call.operation, "publish" | "put_event"),
        }
    }
}

/// An error in a service's words.
pub(super) fn refusal(class: Class, message: &str) -> Verdict {
    Verdict::Fail(PortError::new(class, "chaos", message))
}
