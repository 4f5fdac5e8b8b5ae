//! After a completion: the new model is judged on for as long as the specification asks, and people are
//! told. Nothing is taken back by itself any more: that is an order of its own, `canary undo`.
//!
//! There is no production beside it, so it is held against the absolute limits and against what
//! production was at its worst, by the same bench and on the same evidence. The watch holds no lock:
//! it ends when a new deployment begins on the endpoint, when the endpoint is no longer as this one
//! left it, or when its time is over.

use jiff::Timestamp;

use super::breach::{about, loudness};
use super::{Decision, Pass, Said, said};
use crate::domain::deployment::{Deployment, Watch};
use crate::domain::evidence::Evidence;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::{self, Verdict};
use crate::domain::observation::{EndpointReading, Observation};
use crate::domain::quantity::Span;

/// How far the watch lets minutes lie before it takes them in: nothing is decided by them, and each
/// reading of the metrics costs money.
pub const EVERY: Span = Span::from_mins(5);
/// The name under which a model that can't be seen is remembered.
const SIGHT: &str = "sight";

/// One pass over a completed deployment that is still watched. `successor` is the deployment that has
/// the endpoint by now.
pub fn look_after(
    before: &Deployment,
    evidence: &Evidence,
    seen: &Observation,
    successor: Option<&str>,
    now: Timestamp,
) -> Decision {
    let mut pass = Pass::new(before, evidence, now);
    let Some(watch) = &before.state.watch else {
        return pass.finish();
    };
    let by_others = successor
        .map(|id| format!("deployment {id} has begun on the endpoint"))
        .or_else(|| moved_on(before, &seen.endpoint));
    if let Some(why) = by_others {
        pass.end_watch(watch, &why);
        return pass.finish();
    }
    let (verdict, minutes) = judge::judge(before, &mut pass.evidence, &seen.metrics, now);
    pass.minutes = minutes;
    pass.tell_watched(&verdict);
    if now >= watch.until {
        pass.end_watch(watch, "its time is over");
    }
    pass.finish()
}

/// Whether the minutes of a watched deployment are to be read now.
pub fn is_due(deployment: &Deployment, evidence: &Evidence, now: Timestamp) -> bool {
    let until = deployment.state.watch.as_ref().map(|watch| watch.until);
    let behind = Span::between(evidence.judged_through, judge::last_judgeable(now));
    behind >= EVERY || until.is_some_and(|until| now >= until)
}

/// Why the endpoint is no longer the one that was left. What could not be read says nothing.
fn moved_on(deployment: &Deployment, endpoint: &EndpointReading) -> Option<String> {
    let terms = &deployment.terms;
    let left_on = if terms.cleanup.keep_old_variant {
        &terms.canary_config
    } else {
        &terms.final_config
    };
    match endpoint {
        EndpointReading::Missing => Some("the endpoint was deleted".to_owned()),
        EndpointReading::Seen(view) if !view.was_made_at(terms.endpoint_created_at) => {
            Some("the endpoint was deleted and made again".to_owned())
        }
        EndpointReading::Seen(view) if view.config != *left_on => {
            Some(format!("the endpoint is on config {} by now", view.config))
        }
        EndpointReading::Seen(_) | EndpointReading::Failed { .. } => None,
    }
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

    /// Says once what stands against the model, and again only after it had recovered.
    fn tell_watched(&mut self, verdict: &Verdict) {
        let undo = format!(
            "; the deployment is over, so nothing is taken back by itself: canary undo {}",
            self.next.terms.id
        );
        let mut news: Vec<(String, Said)> = verdict
            .breaches
            .iter()
            .map(|breach| {
                let what = about(breach, Name::Breached, loudness(breach.severity), &undo);
                (breach.name.clone(), what)
            })
            .collect();
        news.extend(self.unseen().map(|what| (SIGHT.to_owned(), what)));
        let standing = news.iter().map(|(name, _)| name.clone()).collect();
        let known = std::mem::replace(&mut self.evidence.told, standing);
        for (name, what) in news {
            if !known.contains(&name) {
                self.tell(what);
            }
        }
    }

    /// What can't be seen is not healthy, and people have to know that nobody watches.
    fn unseen(&self) -> Option<Said> {
        let limit = self.next.terms.policy.blind_limit;
        let blind = self.evidence.blind.as_ref()?;
        let lasted = Span::between(blind.since, self.now);
        (lasted >= limit).then(|| {
            let reason = format!("the model can't be seen: {}", blind.reason);
            let (lasted, limit) = (lasted.to_string(), limit.to_string());
            said(Name::Blind, Severity::Warning, reason, lasted, limit)
        })
    }
}
