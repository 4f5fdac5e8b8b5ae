//! One run: a storm of faults over rollouts, then a calm in which everything must come to its end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use shared::app::health::Figure;
use shared::app::ports::Class;
use shared::domain::state::Status;

use super::calls::Calls;
use super::fault::{Fault, Fired};
use super::hands::Hands;
use super::journey::{ALARM, Deed, Journey, Strike};
use super::oracle::{MINUTE, Oracle};
use crate::direct::chance::Chance;
use crate::direct::world::{Answer, Fast, Job};

/// Calm minutes after which every deployment must be over.
const CALM_MINUTES: u32 = 75;
/// The same where one may be undone: an undo that goes back keeps its canary for an hour.
const CALM_MINUTES_AFTER_AN_UNDO: u32 = 150;
/// Calm minutes after which an operator takes back what waits for something that won't come.
pub(super) const PATIENCE: u32 = 30;
/// Steps of one minute; more are a loop.
pub(super) const MOST_STEPS: usize = 20_000;
/// Deployments of one endpoint in one run.
pub(super) const MOST_DEPLOYMENTS: usize = 3;
/// Time that may pass between the steps of one minute.
pub(super) const MOST_DRAG: SignedDuration = SignedDuration::from_secs(20);

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The run's seed.
    pub seed: u64,
    /// How often each fault was done.
    pub fired: Fired,
    /// How the deployments ended.
    pub statuses: Vec<Status>,
    /// What was promised and not kept.
    pub broken: Option<String>,
    /// Every call, and what others did in between.
    pub trace: Vec<String>,
}

/// What is still to come in a later minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Later {
    /// The endpoint is made again.
    CreateEndpoint(usize),
    /// Traffic comes back.
    Traffic,
}

/// The ticks of a minute that are not as scheduled.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Once more after the tick.
    pub(super) again: u32,
    /// At the same time.
    pub(super) beside: u32,
    /// Left out, for so many minutes.
    pub(super) missed: u32,
}

/// A run under way.
pub(super) struct Voyage {
    pub(super) journey: Journey,
    pub(super) world: Fast,
    pub(super) calls: Arc<Mutex<Calls>>,
    pub(super) oracle: Oracle,
    pub(super) minute: u32,
    pub(super) steps: usize,
    pub(super) storm_end: Timestamp,
    pub(super) plan: Plan,
    pub(super) later: Vec<(u32, Later)>,
    pub(super) lags: SignedDuration,
    pub(super) skewed_until: u32,
    pub(super) declined: bool,
    pub(super) chance: Chance,
    pub(super) waiting: Vec<Strike>,
    /// Sites of which somebody wants the next completion undone.
    pub(super) regrets: Vec<usize>,
    /// By invocation: the step at which it began.
    pub(super) began: BTreeMap<u64, usize>,
    pub(super) answered: usize,
    /// By key and digest.
    pub(super) made: BTreeMap<(String, String), String>,
    pub(super) notes: Vec<(usize, String)>,
    pub(super) dragged: SignedDuration,
}

/// The run of a journey; its trace only where it broke something.
pub fn sail(journey: &Journey) -> Outcome {
    run(journey, false)
}

/// The run of a journey with everything that happened in it.
pub fn sail_with_trace(journey: &Journey) -> Outcome {
    run(journey, true)
}

fn run(journey: &Journey, traces: bool) -> Outcome {
    let mut voyage = Voyage::new(journey.clone());
    let done = catch_unwind(AssertUnwindSafe(|| voyage.whole()));
    let broken = match done {
        Ok(done) => done.err(),
        Err(panic) => Some(words(panic.as_ref())),
    };
    let trace = if traces || broken.is_some() {
        voyage.trace()
    } else {
        Vec::new()
    };
    let fired = voyage.calls().fired.clone();
    Outcome {
        seed: journey.seed,
        fired,
        statuses: voyage.oracle.statuses.clone(),
        broken,
        trace,
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

impl Voyage {
    fn new(journey: Journey) -> Self {
        let world = journey.world();
        let calls = Arc::new(Mutex::new(Calls::default()));
        let (gate, fates, lens) = (calls.clone(), calls.clone(), calls.clone());
        world.set_gate(move |call: &_| lock(&gate).pass(call));
        world.set_fates(move |event| lock(&fates).fate(event));
        world.set_lens(move |query, answer| lock(&lens).bend(query, answer));
        let storm = MINUTE * i32::try_from(journey.storm_minutes).unwrap_or(0);
        let mut oracle = Oracle::default();
        oracle.is_single = journey.sites.len() == 1;
        // Orders and doctored metrics may carry a bad challenger past the guards.
        let is_judged = journey
            .acts
            .iter()
            .all(|act| !matches!(act.deed, Deed::Order(_)))
            && journey
                .strikes
                .iter()
                .all(|strike| !matches!(strike.fault.get(), 33..=38));
        for site in journey
            .sites
            .iter()
            .filter(|site| is_judged && site.is_bad())
        {
            oracle.hopeless.insert(site.endpoint.clone());
        }
        Self {
            storm_end: world.now() + storm,
            chance: Chance::new(journey.seed),
            journey,
            world,
            calls,
            oracle,
            minute: 0,
            steps: 1,
            plan: Plan::default(),
            later: Vec::new(),
            lags: SignedDuration::ZERO,
            skewed_until: 0,
            declined: false,
            waiting: Vec::new(),
            regrets: Vec::new(),
            began: BTreeMap::new(),
            answered: 0,
            made: BTreeMap::new(),
            notes: Vec::new(),
            dragged: SignedDuration::ZERO,
        }
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    /// A fault was done.
    pub(super) fn fired(&mut self, fault: Fault) {
        self.calls().fired.count(fault);
        self.calls().disturbed = true;
    }

    pub(super) fn say(&mut self, what: String) {
        self.notes.push((self.world.count_calls(), what));
    }

    fn whole(&mut self) -> Result<(), String> {
        for site in 0..self.journey.sites.len() {
            self.post(site, Some("first"), "first");
        }
        self.settle(true)?;
        while self.minute < self.journey.storm_minutes || self.plan.missed > 0 {
            self.pass_minute(None)?;
        }
        self.calls().calm_down();
        self.restore_account();
        self.lags = SignedDuration::ZERO;
        self.waiting.clear();
        self.world.simulator().cloudwatch().set_alarm(ALARM, "OK");
        self.say("--- calm".to_owned());
        for calm in 0..self.calm_minutes() {
            self.pass_minute(Some(calm))?;
            if self.all_over() {
                break;
            }
        }
        self.hold_the_end()
    }

    fn calm_minutes(&self) -> u32 {
        let mut acts = self.journey.acts.iter();
        if acts.any(|act| act.deed == Deed::Undo) {
            CALM_MINUTES_AFTER_AN_UNDO
        } else {
            CALM_MINUTES
        }
    }

    fn all_over(&self) -> bool {
        let mut open = false;
        self.world
            .store()
            .visit(|loaded| open |= loaded.deployment.state.is_active());
        !open && self.later.is_empty()
    }

    fn hold_the_end(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            self.pass_minute(Some(self.calm_minutes()))?;
        }
        let mut topics = BTreeMap::new();
        for loaded in self.world.store().records() {
            let (terms, state) = (&loaded.deployment.terms, &loaded.deployment.state);
            if !state.status.is_terminal() {
                return Err(format!(
                    "{} is still {}/{} after {} calm minutes: {}",
                    terms.id,
                    state.status,
                    state.phase,
                    self.calm_minutes(),
                    state.reason
                ));
            }
            self.world.assert_told(&terms.id);
            // What undoes another goes by its terms.
            let request = (terms.undoes.clone(), terms.topics.topic.clone());
            if let Some(first) = topics.insert(request, terms.id.clone()) {
                return Err(format!("P8: one request made {first} and {}", terms.id));
            }
        }
        for (_, figure) in self.world.figures() {
            if let Figure::Error {
                class: Class::Bug, ..
            } = figure
            {
                return Err(format!("a bug was reported: {figure:?}"));
            }
        }
        Ok(())
    }

    /// A minute of the storm, or the so-manieth of the calm.
    fn pass_minute(&mut self, calm: Option<u32>) -> Result<(), String> {
        let is_storm = calm.is_none();
        self.minute += 1;
        // Chance of its own, so that a fault left out does not change the other minutes' turns.
        self.chance = Chance::new(self.journey.seed ^ (u64::from(self.minute) << 32));
        let rest = MINUTE - self.dragged;
        self.dragged = SignedDuration::ZERO;
        self.world.advance(rest);
        self.after_step(None)?;
        self.calls().disturbed = false;
        self.calls().taken_back.clear();
        let quiet_since = self.steps;
        self.steps += 1;
        let middle = match calm {
            None => self.strike(),
            Some(calm) => self.operate(calm),
        };
        self.do_later();
        let mornings = Oracle::morning(&self.world);
        let is_missed = self.plan.missed > 0;
        if is_missed {
            self.plan.missed -= 1;
        } else {
            for _ in 0..=std::mem::take(&mut self.plan.beside) {
                self.start(Job::Monitor);
            }
        }
        let begins_idle =
            is_missed && self.world.live().is_empty() && self.world.events().is_empty();
        let ended = self.world.ended().len();
        self.run_with(middle, is_storm)?;
        for _ in 0..std::mem::take(&mut self.plan.again) {
            self.start(Job::Monitor);
            self.settle(is_storm)?;
        }
        self.oracle.hold_rest(&self.world)?;
        let untouched = self.oracle.last_touch() < quiet_since;
        let nobody_ran = self.world.ended().len() == ended;
        if begins_idle && nobody_ran && untouched {
            Oracle::frozen(&self.world, &mornings)?;
        }
        let ticked = self.ticked_well(ended);
        let clean = untouched && ticked && !self.calls().disturbed && self.lags.is_zero();
        if clean {
            let taken_back = std::mem::take(&mut self.calls().taken_back);
            Oracle::evening(&self.world, &mornings, &taken_back)?;
        }
        Ok(())
    }

    /// Whether a tick of this minute saw everybody, and nobody else wrote in the same minute.
    fn ticked_well(&self, from: usize) -> bool {
        let ended = &self.world.ended()[from..];
        let orders = ended.iter().any(|one| matches!(one.job, Job::Order(..)));
        let mut ticks = ended.iter().filter_map(|one| match &one.answer {
            Some(Answer::Monitor(ticked, _)) => Some(ticked),
            _ => None,
        });
        !orders && ticks.any(|it| it.failed.is_empty() && it.conflicts == 0 && !it.broken_off)
    }

    /// Begins what this minute brings; faults that are to come in the middle of it are given back.
    fn strike(&mut self) -> Vec<(usize, Strike)> {
        let minute = self.minute - 1;
        let acts = self.journey.acts.clone();
        for act in acts.iter().filter(|act| act.minute == minute) {
            self.act(act.site, act.deed);
        }
        self.undo();
        self.post_again();
        let mut now = std::mem::take(&mut self.waiting);
        let due = self.journey.strikes.iter();
        now.extend(due.filter(|strike| strike.minute == minute));
        let mut middle = Vec::new();
        for strike in now {
            if strike.salt % 3 == 0 {
                let after = usize::try_from(strike.salt % 60).unwrap_or(0);
                middle.push((self.steps + after, strike));
            } else {
                self.try_strike(strike);
            }
        }
        middle
    }

    pub(super) fn try_strike(&mut self, strike: Strike) {
        let text = format!("* {} (minute {})", strike.fault, strike.minute);
        if self.begin(strike) {
            self.say(text);
        } else {
            self.waiting.push(strike);
        }
    }

    fn do_later(&mut self) {
        let minute = self.minute;
        let due: Vec<_> = self.later.extract_if(.., |(at, _)| *at <= minute).collect();
        for (_, later) in due {
            match later {
                Later::Traffic => {
                    for site in &self.journey.sites {
                        let account = self.world.simulator();
                        account.set_traffic(&site.endpoint, site.requests_per_minute);
                    }
                }
                Later::CreateEndpoint(index) => {
                    let site = self.journey.sites[index].clone();
                    let account = Arc::clone(self.world.simulator());
                    let hands = Hands {
                        account: &account,
                        endpoint: &site.endpoint,
                    };
                    if !hands.create(&site.config) {
                        self.later.push((minute + 1, later));
                    }
                    let fault = Fault::number(25);
                    self.oracle.touch(&site.endpoint, fault, self.steps);
                }
            }
        }
    }

    fn trace(&self) -> Vec<String> {
        let calls = self.world.calls();
        let mut notes = self.notes.iter().peekable();
        let mut lines = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            while let Some((_, note)) = notes.next_if(|(at, _)| *at <= index) {
                lines.push(note.clone());
            }
            lines.push(call.to_string());
        }
        lines.extend(notes.map(|(_, note)| note.clone()));
        lines
    }
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
