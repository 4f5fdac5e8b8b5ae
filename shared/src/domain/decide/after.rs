//! After the end. Once completed, the new model is judged on for as long as the specification asks, and
//! people are told. Nothing is taken back by itself any more: that is an order of its own, `canary undo`.
//! However it ended, it is seen to that the model registry is told.
//!
//! There is no production beside it, so it is held against the absolute limits, against what production
//! was at its worst, and against what its requests cost, by the same bench and on the same evidence.
//! Since nothing acts, nothing is summed up either: every guard and every signal is told by itself, once,
//! and again only after it had recovered, and so are the policy's alarms and whatever can't be seen for
//! long, what a request costs included. What is not seen is not healthy.
//!
//! The watch holds no lock: it ends when a new deployment begins on the endpoint, when the endpoint is
//! no longer as this one left it, or when its time is over.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::breach::{about, loudness};
use super::{Decision, Pass, Said, priced, said};
use crate::domain::deployment::{Deployment, Watch};
use crate::domain::evidence::{Evidence, Finding};
use crate::domain::history::{Name, Severity};
use crate::domain::judge::bench::Bench;
use crate::domain::judge::{self, MinuteReport};
use crate::domain::observation::{AlarmReading, EndpointReading, Metrics, Observation, Series};
use crate::domain::policy::Guard;
use crate::domain::quantity::{Span, Weight};
use crate::domain::registry::{Ending, PackageArn};
use crate::domain::state::Status;

/// How far the watch lets minutes lie before it takes them in: nothing is decided by them, and each
/// reading of the metrics costs money.
pub const EVERY: Span = Span::from_mins(5);
/// What is told in one pass: with up to 40 minutes, 20 lines and their announcements fill a
/// transaction. What is left over is news at the next pass.
const MOST_NEWS: usize = 20;
/// What the name begins with under which an alarm that fires is remembered.
const ALARM: &str = "alarm:";
/// The same of what can't be seen. No guard and no signal has a colon in its name.
const UNSEEN: &str = "unseen:";
/// The model as a whole, its requests, and the policy's alarms, among what may be unseen.
const MODEL: &str = "unseen:model";
const REQUESTS: &str = "unseen:requests";
const ALARMS: &str = "unseen:alarms";

/// The deployment that has the endpoint by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Its id.
    pub id: String,
    /// The version that it deploys, where [`asks_what_follows`].
    pub package: Option<PackageArn>,
}

/// Whether it matters which version comes after: while the registry is still to be told that this one
/// went back. A completion is replaced by whatever follows it.
pub fn asks_what_follows(deployment: &Deployment) -> bool {
    let filing = deployment.state.filing.as_ref();
    filing.is_some_and(|filing| matches!(filing.ending, Ending::WentBack { .. }))
}

/// Whether whoever came after has something else to tell the registry about the same version, and must
/// have the last word. Of one that went back only another deployment of that version has: it stays as bad
/// as it was, whatever else is deployed.
fn is_spoken_for(before: &Deployment, successor: Option<&Successor>) -> bool {
    if !asks_what_follows(before) {
        return true;
    }
    let follows = successor.and_then(|successor| successor.package.as_ref());
    let new = before.terms.packages.new.as_ref();
    follows.is_some_and(|follows| new.is_some_and(|new| new.is_same(follows.as_str())))
}

/// One pass over a deployment that is over and still watched, or of which the model registry was not told
/// yet.
pub fn look_after(
    before: &Deployment,
    evidence: &Evidence,
    seen: &Observation,
    successor: Option<&Successor>,
    now: Timestamp,
) -> Decision {
    let mut pass = Pass::new(before, evidence, now);
    pass.follow_filing();
    let by_others = successor
        .map(|Successor { id, .. }| format!("deployment {id} has begun on the endpoint"))
        .or_else(|| moved_on(before, &seen.endpoint));
    pass.has_moved_on = by_others.is_some();
    if let Some(why) = by_others
        .as_ref()
        .filter(|_| is_spoken_for(before, successor))
    {
        pass.leave_filing(why);
    }
    let Some(watch) = &before.state.watch else {
        return pass.finish();
    };
    if let Some(why) = by_others {
        pass.end_watch(watch, &why);
        return pass.finish();
    }
    pass.judge_each_minute(before, &priced(before, seen));
    pass.tell_alarms(&seen.alarms);
    pass.tell_unseen(watch, seen);
    if now >= watch.until {
        pass.end_watch(watch, "its time is over");
    }
    pass.finish()
}

/// Whether a deployment that is over is to be looked at now: while the model registry is to be told, and
/// when the minutes of a watch are to be read.
pub fn is_due(deployment: &Deployment, evidence: &Evidence, now: Timestamp) -> bool {
    if deployment.state.filing.is_some() {
        return true;
    }
    let until = deployment.state.watch.as_ref().map(|watch| watch.until);
    let behind = Span::between(evidence.judged_through, judge::last_judgeable(now));
    behind >= EVERY || until.is_some_and(|until| now >= until)
}

/// Why the endpoint is no longer the one that a completion left. What could not be read says nothing, nor
/// do the weights of an endpoint that is changing, and what went back is nobody's here any more.
fn moved_on(deployment: &Deployment, endpoint: &EndpointReading) -> Option<String> {
    let terms = &deployment.terms;
    if deployment.state.status != Status::Completed {
        return None;
    }
    let left_on = if terms.cleanup.keep_old_variant {
        &terms.canary_config
    } else {
        &terms.final_config
    };
    let view = match endpoint {
        EndpointReading::Missing => return Some("the endpoint was deleted".to_owned()),
        EndpointReading::Failed { .. } => return None,
        EndpointReading::Seen(view) => view,
    };
    if !view.was_made_at(terms.endpoint_created_at) {
        return Some("the endpoint was deleted and made again".to_owned());
    }
    if view.config != *left_on {
        return Some(format!("the endpoint is on config {} by now", view.config));
    }
    let has_all = !view.is_in_service() || view.is_settled_at(&terms.canary, Weight::FULL);
    (!has_all).then(|| {
        let share = view.share(&terms.canary).unwrap_or(0.0) * 100.0;
        format!("somebody else changed the weights, and it has {share:.2} % of the traffic")
    })
}

fn is_silent(row: &MinuteReport) -> bool {
    row.canary.as_ref().is_none_or(|arm| arm.invocations == 0)
}

impl Pass {
    fn end_watch(&mut self, watch: &Watch, why: &str) {
        self.next.state.watch = None;
        let model = &self.next.terms.model;
        let reason = format!("{model} is no longer watched: {why}");
        let lasted = Span::between(watch.since, self.now);
        let (lasted, limit) = (lasted.to_string(), self.next.terms.watch.to_string());
        self.tell(said(
            Name::WatchEnded,
            Severity::Info,
            reason,
            lasted,
            limit,
        ));
    }

    /// Takes in the minutes one by one: what trips and recovers within one reading is news too.
    fn judge_each_minute(&mut self, before: &Deployment, metrics: &Metrics) {
        let minute = SignedDuration::from_mins(1);
        let mut through = metrics.from.max(self.evidence.unjudged_from());
        loop {
            let part = Metrics {
                through: through.min(metrics.through),
                ..metrics.clone()
            };
            let (_, minutes) = judge::judge(before, &mut self.evidence, &part, self.now);
            self.minutes.extend(minutes);
            self.tell_breaches_apart();
            through += minute;
            if through > metrics.through || matches!(metrics.canary, Series::Failed { .. }) {
                return;
            }
        }
    }

    fn tell_breaches_apart(&mut self) {
        let undo = self.what_can_be_done();
        let breaches = Bench::of(&self.next).breaches_apart(&self.evidence);
        let standing = breaches.iter().map(|breach| {
            let what = about(breach, Name::Breached, loudness(breach.severity), &undo);
            (breach.name.clone(), what)
        });
        self.tell_news(standing.collect(), |name| !name.contains(':'));
    }

    fn what_can_be_done(&self) -> String {
        let terms = &self.next.terms;
        let way_out = if terms.is_undo() {
            "it was an undo, which has none itself: deploy another model".to_owned()
        } else {
            format!("canary undo {}", terms.id)
        };
        format!("; the deployment is over, so nothing is taken back by itself: {way_out}")
    }

    fn tell_alarms(&mut self, alarms: &AlarmReading) {
        let names: &[String] = match alarms {
            AlarmReading::Firing(names) => names.as_slice(),
            AlarmReading::NotAsked => &[],
            // They stand as they were told.
            AlarmReading::Failed { .. } => return,
        };
        let undo = self.what_can_be_done();
        let standing = names.iter().map(|name| {
            let reason = format!("CloudWatch alarm {name} is in state ALARM{undo}");
            let what = said(
                Name::Breached,
                Severity::Critical,
                reason,
                name,
                "no alarm of the policy in ALARM",
            );
            (format!("{ALARM}{name}"), what)
        });
        self.tell_news(standing.collect(), |name| name.starts_with(ALARM));
    }

    /// What can't be seen is not healthy, and people have to know that nobody watches.
    fn tell_unseen(&mut self, watch: &Watch, seen: &Observation) {
        let unpriced = self.unpriced(&seen.endpoint);
        let mut unseen = self.unseen(&seen.alarms);
        unseen.extend(unpriced.iter().map(|(guard, why)| {
            let name = format!("{UNSEEN}{}", guard.name);
            (name, why.clone())
        }));
        let since: BTreeMap<String, Timestamp> = unseen
            .keys()
            .map(|name| (name.clone(), self.unseen_since(watch, name)))
            .collect();
        let (now, limit) = (self.now, self.next.terms.policy.blind_limit);
        let lasting = unseen.into_iter().filter_map(|(name, reason)| {
            let lasted = Span::between(since[&name], now);
            let (value, least) = (lasted.to_string(), limit.to_string());
            let mut what = said(Name::Blind, Severity::Warning, reason, value, least);
            let is_it = |guard: &Guard| name.strip_prefix(UNSEEN) == Some(guard.name.as_str());
            if let Some((guard, _)) = unpriced.iter().find(|(guard, _)| is_it(guard)) {
                // As loud as a breach would be, and for those who look after it.
                let grade = guard.consequence.severity;
                what.severity = loudness(grade);
                what.signal = Some((guard.name.clone(), grade));
            }
            (lasted >= limit).then_some((name, what))
        });
        self.tell_news(lasting.collect(), |name| name.starts_with(UNSEEN));
        if let Some(watch) = &mut self.next.state.watch {
            watch.unseen = since;
        }
    }

    /// The guards of cost that can't tell what a request costs, each with why.
    fn unpriced(&self, endpoint: &EndpointReading) -> Vec<(Guard, String)> {
        let terms = &self.next.terms;
        let guards = terms.policy.all_guards().filter(|guard| {
            let acts = guard.consequence.action().is_some();
            guard.test.is_of_cost() && acts && terms.prices.is_some()
        });
        let unpriced = guards.filter_map(|guard| {
            let last = self.evidence.guards.get(&guard.name);
            let last = last.and_then(|state| state.last.as_ref());
            let unknown = last.filter(|check| check.finding == Finding::Unknown);
            let why = match (endpoint, unknown) {
                (EndpointReading::Failed { reason }, _) => format!(
                    "what a request costs is not known: the endpoint and its instances could not be read: {reason}"
                ),
                (_, Some(check)) => check.sentence.clone(),
                _ => return None,
            };
            Some((guard.clone(), why))
        });
        unpriced.collect()
    }

    /// What can't be seen now, each by its name, with a sentence.
    fn unseen(&self, alarms: &AlarmReading) -> BTreeMap<String, String> {
        let checks = self.evidence.unread.iter().map(|(name, why)| {
            let reason = format!("the check {name} could not be read: {why}");
            (format!("{UNSEEN}{name}"), reason)
        });
        let miscounted = self.evidence.miscounted.iter().map(|(name, what)| {
            let reason = format!("the check {name} can't be judged: {what}");
            (format!("{UNSEEN}{name}"), reason)
        });
        let mut unseen: BTreeMap<String, String> = miscounted.chain(checks).collect();
        if let Some(blind) = &self.evidence.blind {
            let reason = format!("the model can't be seen: {}", blind.reason);
            unseen.insert(MODEL.to_owned(), reason);
        }
        if self.evidence.silent {
            let usual = self.next.terms.baseline.requests_per_minute();
            let reason = format!(
                "the model has no requests, and the endpoint had {usual:.0} a minute before it"
            );
            unseen.insert(REQUESTS.to_owned(), reason);
        }
        if let AlarmReading::Failed { reason } = alarms {
            let reason = format!("the policy's alarms could not be read: {reason}");
            unseen.insert(ALARMS.to_owned(), reason);
        }
        unseen
    }

    fn unseen_since(&self, watch: &Watch, name: &str) -> Timestamp {
        let known = watch.unseen.get(name).copied();
        match (name, &self.evidence.blind) {
            (MODEL, Some(blind)) => blind.since,
            (REQUESTS, _) => {
                let latest_first = self.minutes.iter().rev();
                let silent: Vec<_> = latest_first.take_while(|row| is_silent(row)).collect();
                let first = silent.last().map_or(self.now, |row| row.minute);
                // A silence that is as old as this reading may be older.
                let is_all = silent.len() == self.minutes.len();
                known.filter(|_| is_all).unwrap_or(first)
            }
            _ => known.unwrap_or(self.now),
        }
    }

    /// Says what is new among what stands of a kind, and forgets what no longer does.
    fn tell_news(&mut self, standing: Vec<(String, Said)>, is_of_kind: impl Fn(&str) -> bool) {
        let told = &mut self.evidence.told;
        told.retain(|name| !is_of_kind(name) || standing.iter().any(|(known, _)| known == name));
        for (name, what) in standing {
            if self.entries.len() < MOST_NEWS && self.evidence.told.insert(name) {
                self.tell(what);
            }
        }
    }
}
