//! The steps of a minute: invocations take turns, call by call, and after each one the promises are
//! held.

use jiff::SignedDuration;
use shared::app::refusal::Refusal;
use shared::domain::state::Phase;

use super::calls::Known;
use super::journey::{Strike, below};
use super::oracle::By;
use super::voyage::{MOST_DRAG, MOST_STEPS, Voyage};
use crate::direct::world::{Answer, Job};

impl Voyage {
    fn skew(&mut self) -> SignedDuration {
        if self.minute >= self.skewed_until {
            return SignedDuration::ZERO;
        }
        let milliseconds = i64::from(below(&mut self.chance, 4001)) - 2000;
        SignedDuration::from_millis(milliseconds)
    }

    /// Starts an invocation.
    pub(super) fn start(&mut self, job: Job) -> u64 {
        let deployment = match &job {
            Job::Carry(_, id) | Job::Order(id, _) | Job::Undo(id) => Some(id.clone()),
            Job::Monitor | Job::Accept(..) => None,
        };
        let skew = self.skew();
        let what = match &job {
            Job::Accept(_, key) => format!("Accept {:?}", key.as_ref().map(|key| &key.key)),
            other => format!("{other:?}"),
        };
        let invocation = self.world.start_skewed(job, skew);
        self.say(format!("> {invocation} {what}"));
        self.enter(invocation, deployment);
        invocation
    }

    fn enter(&mut self, invocation: u64, deployment: Option<String>) {
        let known = Known::of(deployment);
        self.calls().known.insert(invocation, known);
        self.began.insert(invocation, self.steps);
    }

    fn deliver(&mut self, index: usize) {
        let event = self.world.events()[index].clone();
        let skew = self.skew();
        let invocation = self.world.deliver_skewed(index, skew);
        let what = format!(
            "> {invocation} {:?} of {}",
            event.actor, event.deployment_id
        );
        self.say(what);
        self.enter(invocation, Some(event.deployment_id));
    }

    pub(super) fn settle(&mut self, is_storm: bool) -> Result<(), String> {
        for _ in 0..MOST_STEPS {
            if !self.one_step(is_storm)? {
                return Ok(());
            }
        }
        Err(format!("still running after {MOST_STEPS} steps"))
    }

    /// One call of one invocation, or one event that starts; `false` when there is nothing to do.
    fn one_step(&mut self, is_storm: bool) -> Result<bool, String> {
        let now = self.world.now();
        let live = self.world.live();
        let events = self.world.events();
        let due: Vec<usize> = (0..events.len())
            .filter(|index| events[*index].due <= now)
            .collect();
        let options = live.len() + due.len();
        if options == 0 {
            return Ok(false);
        }
        self.steps += 1;
        let chosen = self.chance.below(options);
        let Some(invocation) = live.get(chosen).copied() else {
            self.deliver(due[chosen - live.len()]);
            return Ok(true);
        };
        let is_ending = self.is_ending();
        self.calls().is_ending = is_ending;
        self.world.step(invocation);
        let all_doomed = std::mem::take(&mut self.calls().doomed);
        for doomed in all_doomed {
            self.world.kill(doomed);
        }
        self.after_step(Some(invocation))?;
        if is_storm && self.dragged < MOST_DRAG && self.chance.per_mille(30) {
            let drag = SignedDuration::from_millis(i64::from(below(&mut self.chance, 3000)));
            self.dragged += drag;
            self.world.advance(drag);
            self.after_step(None)?;
        }
        Ok(true)
    }

    fn is_ending(&self) -> bool {
        let mut ending = false;
        self.world.store().visit(|loaded| {
            let state = &loaded.deployment.state;
            ending |= state.phase == Phase::CleaningUp && state.cleaned;
        });
        ending
    }

    pub(super) fn after_step(&mut self, by: Option<u64>) -> Result<(), String> {
        let (wrote, broken) = {
            let calls = &mut *self.calls();
            (
                std::mem::take(&mut calls.wrote) || by.is_none(),
                calls.broken.take(),
            )
        };
        if let Some(broken) = broken {
            return Err(broken);
        }
        if wrote {
            let by = by.and_then(|by| {
                let known = self.calls().known.get(&by).cloned()?;
                Some(By {
                    since: self.began.get(&by).copied().unwrap_or(0),
                    is_tick: known.deployment.is_none(),
                    saw_badly: known.saw_badly,
                })
            });
            // The index must not lag behind what is asked of it here.
            self.world.store().set_active_lag(SignedDuration::ZERO);
            let backwards = self.oracle.look(&self.world, by, self.steps)?;
            self.world.store().set_active_lag(self.lags);
            self.calls().rolling_back = backwards.into_iter().collect();
        }
        self.read_answers()
    }

    /// The same key makes one deployment, and another body under it none (P8).
    fn read_answers(&mut self) -> Result<(), String> {
        let ended = &self.world.ended()[self.answered..];
        self.answered += ended.len();
        for one in ended {
            let (Job::Accept(_, Some(key)), Some(Answer::Accepted(answer))) =
                (&one.job, &one.answer)
            else {
                continue;
            };
            let asked = (key.key.clone(), key.digest.clone());
            match answer.as_ref() {
                Ok(accepted) => {
                    let id = accepted.loaded.deployment.terms.id.clone();
                    let other = self
                        .made
                        .keys()
                        .any(|made| made.0 == asked.0 && *made != asked);
                    let before = self.made.insert(asked, id.clone());
                    if other || before.is_some_and(|before| before != id) {
                        return Err(format!("P8: key {} made a second deployment", key.key));
                    }
                }
                Err(Refusal::KeyReused) if self.made.contains_key(&asked) => {
                    return Err(format!("P8: key {} is refused its own answer", key.key));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn run_with(
        &mut self,
        mut middle: Vec<(usize, Strike)>,
        is_storm: bool,
    ) -> Result<(), String> {
        while !middle.is_empty() {
            let (at, strike) = middle.swap_remove(0);
            while self.steps < at && self.one_step(is_storm)? {}
            self.steps += 1;
            self.try_strike(strike);
            self.steps += 1;
        }
        self.settle(is_storm)
    }
}
