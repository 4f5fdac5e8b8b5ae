//! What a breach sets going short of a rollback: a stage back, or a word to people.

use std::collections::BTreeSet;

use super::{Pass, Said, said};
use crate::domain::deployment::State;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::bench::Bench;
use crate::domain::judge::{Breach, Verdict};
use crate::domain::observation::TOLERANCE;
use crate::domain::policy::Grade;
use crate::domain::quantity::Weight;
use crate::domain::state::{Event, IllegalEvent, Interrupted, Outcome, Phase};

/// The name under which a fault of routing is remembered.
const ROUTING: &str = "routing";

impl Pass {
    /// Back to the share of the stage before, to bake it again. From the first stage, from the
    /// point of no return and after too many of them it goes all the way.
    pub(super) fn step_back(&mut self, breach: &Breach) -> Result<(), IllegalEvent> {
        let state = &self.next.state;
        let lower = self.next.terms.plan.stage_below(state.weight);
        let most = self.next.terms.rollback.step_backs;
        let no_step = match lower {
            _ if state.phase == Phase::Finalizing => {
                Some("the old variant is being removed".to_owned())
            }
            None => Some("there is no lower stage".to_owned()),
            // Down to a stage could be up from what somebody made of it, be it told already or just seen.
            Some(to) if state.drift.is_some() || has_less_than(state, to.weight) => {
                Some("somebody else changed the weights".to_owned())
            }
            Some(_) if state.step_backs >= most => Some(spent(most)),
            Some(_) => None,
        };
        if let Some(why) = &no_step
            && self.goes_down_by_steps(breach)
        {
            return self.begin_descent(breach, &format!("; {why}"));
        }
        if let Some(why) = no_step {
            return self.roll_back(
                Outcome::RolledBack,
                about(
                    breach,
                    Name::RollingBack,
                    Severity::Critical,
                    &format!("; {why}, so all of it is taken back"),
                ),
            );
        }
        let Some(lower) = lower else { return Ok(()) };
        let was_paused = state.phase == Phase::Paused;
        self.next.state.target = lower.weight;
        self.next.state.step_backs += 1;
        self.evidence.forget_step_backs(&self.next.terms.policy);
        let what = about(
            breach,
            Name::Retreating,
            Severity::Warning,
            &format!("; back to {} to bake again", lower.weight),
        );
        self.go(Event::Retreat, what)?;
        self.next.state.interrupted = was_paused.then_some(Interrupted::Bake);
        Ok(())
    }

    /// Says once what stands against the canary, and forgets what no longer does.
    pub(super) fn tell_breaches(&mut self, verdict: &Verdict) {
        let skewed = Bench::of(&self.next).skewed(&self.evidence);
        let mut standing: BTreeSet<String> = verdict
            .breaches
            .iter()
            .map(|breach| breach.name.clone())
            .collect();
        if skewed.is_some() {
            standing.insert(ROUTING.to_owned());
        }
        let news: Vec<Said> = verdict
            .breaches
            .iter()
            .filter(|breach| !self.evidence.told.contains(&breach.name))
            .map(|breach| about(breach, Name::Breached, loudness(breach.severity), ""))
            .collect();
        let is_known = self.evidence.told.contains(ROUTING);
        self.evidence.told = standing;
        for what in news {
            self.tell(what);
        }
        if let Some(reason) = skewed.filter(|_| !is_known) {
            let weight = self.next.state.weight.to_string();
            let observed = self.evidence.split.observed();
            let value =
                observed.map_or_else(String::new, |(share, _)| format!("{:.1} %", share * 100.0));
            self.tell(said(Name::Skewed, Severity::Warning, reason, value, weight));
        }
    }
}

pub(super) fn about(breach: &Breach, name: Name, severity: Severity, end: &str) -> Said {
    let reason = format!("{}{end}", breach.reason);
    let what = said(
        name,
        severity,
        reason,
        breach.value.clone(),
        breach.limit.clone(),
    );
    Said {
        signal: Some((breach.name.clone(), breach.severity)),
        ..what
    }
}

/// Whether the canary was last seen with less than this share.
fn has_less_than(state: &State, weight: Weight) -> bool {
    state.share_in_force().fraction() < weight.fraction() - TOLERANCE
}

/// Why there is no further step back.
fn spent(most: u32) -> String {
    match most {
        0 => "the specification allows no step back".to_owned(),
        1 => "it went back once already".to_owned(),
        most => format!("it went back {most} times already"),
    }
}

/// How loudly a breach of this grade is said.
pub(super) const fn loudness(grade: Grade) -> Severity {
    match grade {
        Grade::Low => Severity::Info,
        Grade::Medium => Severity::Warning,
        Grade::High | Grade::Critical => Severity::Critical,
    }
}
