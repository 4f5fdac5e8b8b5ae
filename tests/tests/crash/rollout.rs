//! One rollout under the driver: what happens from outside, and when.
//!
//! The driver steps the world call by call, so that something can happen from outside between any
//! two of them. A person or a pipeline whose request is not answered asks again, as people and
//! pipelines do: a deployment under the same key, an order until it is followed or found to be
//! followed already.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::app::accept::Key;
use shared::app::announce::{SHARDS, shard_of};
use shared::app::order::OrderError;
use shared::app::ports::Endpoints;
use shared::app::refusal::Refusal;
use shared::domain::command::{Command, IllegalCommand};
use shared::domain::deployment::Deployment;
use shared::domain::observation::EndpointView;
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution, service};
use tests::direct::gate::{Gate, Passed, Verdict};
use tests::direct::scenario::{Scenario as Start, specification};
use tests::direct::world::{Answer, Fast, Job, ready};
use tests::{ENDPOINT, NEW, PRODUCTION};

use crate::steps::{self, Step};

/// How often somebody repeats a request that is not answered.
const TRIES: usize = 5;
/// Minutes after which an endpoint that still changes will not come to rest.
const MOST_TO_REST: usize = 5;

/// A rollout, and what happens to it.
pub(crate) struct Scenario {
    /// As the function is called that makes it.
    pub(crate) name: &'static str,
    /// The account before it.
    pub(crate) start: Start,
    /// What its specification has in place of the short one's own fields.
    pub(crate) changes: Value,
    /// What happens from outside, one after the other.
    pub(crate) script: Vec<Act>,
    /// What else than the clean run's end may come of a fault.
    pub(crate) also: Option<Other>,
}

/// Another end than the clean run's.
pub(crate) struct Other {
    /// How.
    pub(crate) status: Status,
    /// How many minutes later at the most.
    pub(crate) later: i64,
    /// Why a fault may lead to it.
    pub(crate) why: &'static str,
}

/// Something that happens from outside.
pub(crate) struct Act {
    /// Between which calls.
    pub(crate) moment: Moment,
    /// Not before this is so.
    pub(crate) when: fn(&Rollout) -> bool,
    /// What happens.
    pub(crate) what: What,
}

/// When the driver looks whether it is time for an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A minute has passed, and the next tick has not begun.
    BeforeTick,
    /// The tick is over, and what it woke has not begun.
    AfterTick,
    /// Everything that was woken is over.
    AtRest,
    /// Right after a call with this label, in the middle of its invocation.
    After(&'static str),
}

/// What can happen from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// An operator's order.
    Order(Command),
    /// So many requests a minute from now on.
    Traffic(f64),
    /// The challenger answers like this from now on.
    Challenger(Distribution),
    /// SageMaker takes the next UpdateEndpoint back.
    FailNextUpdate,
    /// The endpoint shows this status for so many minutes (for good: `i64::MAX`).
    Show(&'static str, i64),
    /// Somebody deletes the endpoint.
    Delete,
    /// Somebody gives the canary this share.
    Share(f32),
}

/// A rollout under way.
pub(crate) struct Rollout<'scenario> {
    /// The world it happens in.
    pub(crate) world: Fast,
    scenario: &'scenario Scenario,
    id: Option<String>,
    /// How many acts of the script have happened.
    pub(crate) acted: usize,
    /// The calls that were made.
    pub(crate) steps: Vec<Step>,
    /// Where every invocation stood that crashed.
    pub(crate) crashes: Vec<Crash>,
    record: Option<Deployment>,
}

/// Where an invocation ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crash {
    /// The index in `steps` of its last call.
    pub(crate) step: usize,
    /// Whether that call was still made.
    pub(crate) made: bool,
    /// Whether a lease stands.
    pub(crate) leased: bool,
    /// The record's phase; `None` where there is no record yet.
    pub(crate) phase: Option<Phase>,
    /// What DescribeEndpoint shows, beside what is recorded.
    pub(crate) shows: &'static str,
}

impl<'scenario> Rollout<'scenario> {
    /// The account of the scenario, with a gate before its calls.
    pub(crate) fn begin(scenario: &'scenario Scenario, gate: impl Gate + 'static) -> Self {
        let world = scenario.start.world();
        world.set_gate(gate);
        Self {
            world,
            scenario,
            id: None,
            acted: 0,
            steps: Vec::new(),
            crashes: Vec::new(),
            record: None,
        }
    }

    /// The deployment's id.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().expect("an accepted deployment")
    }

    /// The record.
    pub(crate) fn deployment(&self) -> Deployment {
        self.world.load(self.id()).deployment
    }

    /// DescribeEndpoint.
    pub(crate) fn view(&self) -> Option<EndpointView> {
        ready(self.world.ports().endpoint(ENDPOINT)).expect("a readable endpoint")
    }

    /// Whether the record is in this phase.
    pub(crate) fn is_in(&self, phase: Phase) -> bool {
        self.deployment().state.phase == phase
    }

    /// Whether the record is in this phase, at this share.
    pub(crate) fn is_at(&self, phase: Phase, percent: u8) -> bool {
        let state = self.deployment().state;
        state.phase == phase && state.weight.percent() == percent
    }

    /// From the request to the end and its last announcement, in so many minutes at the most.
    ///
    /// # Panics
    /// When it does not come to its end.
    pub(crate) fn play(&mut self, most: i64) {
        self.accept();
        self.let_run();
        self.pass(Moment::AtRest);
        let from = self.world.now();
        while !(self.is_over() && self.is_told()) {
            let minutes = self.world.now().duration_since(from).as_mins();
            assert!(
                minutes < most,
                "not over in {most} minutes: {:#?}",
                self.deployment().state
            );
            self.minute();
        }
        self.let_rest();
    }

    /// Over, watched no longer, and told to the registry.
    fn is_over(&self) -> bool {
        !self.deployment().state.is_active()
    }

    fn is_told(&self) -> bool {
        (0..SHARDS).all(|shard| self.world.store().unsent(shard).is_empty())
    }

    fn minute(&mut self) {
        self.world.advance(SignedDuration::from_mins(1));
        self.pass(Moment::BeforeTick);
        self.finish(Job::Monitor);
        self.pass(Moment::AfterTick);
        self.let_run();
        self.pass(Moment::AtRest);
    }

    /// Whatever was woken, one after the other, each to its end.
    fn let_run(&mut self) {
        while !self.world.events().is_empty() {
            let invocation = self.world.deliver(0);
            self.run_out(invocation);
        }
    }

    /// One invocation to its end; its number.
    fn finish(&mut self, job: Job) -> u64 {
        let invocation = self.world.start(job);
        self.run_out(invocation);
        invocation
    }

    fn run_out(&mut self, invocation: u64) {
        while self.world.live().contains(&invocation) {
            let calls = self.world.count_calls();
            self.world.step(invocation);
            if self.world.count_calls() == calls {
                continue;
            }
            let passed = self.world.last_call().expect("a call was made");
            let step = self.note(&passed);
            self.note_crash(&passed);
            self.steps.push(step);
            if step.label == steps::END {
                self.assert_rests();
            }
            if self.world.live().contains(&invocation) {
                self.pass(Moment::After(step.label));
            }
        }
    }

    fn answer(&self, invocation: u64) -> Option<&Answer> {
        let mut ended = self.world.ended().iter().rev();
        let ended = ended.find(|ended| ended.invocation == invocation)?;
        ended.answer.as_ref()
    }

    /// What the call was for.
    fn note(&mut self, passed: &Passed) -> Step {
        let call = &passed.call;
        let before = self.record.take();
        let changed = matches!(call.operation, "commit" | "create");
        self.record = if changed || before.is_none() {
            let mut records = self.world.store().records();
            assert!(records.len() <= 1, "one request makes one deployment");
            records.pop().map(|loaded| loaded.deployment)
        } else {
            before.clone()
        };
        if self.id.is_none() {
            let record = self.record.as_ref();
            self.id = record.map(|record| record.terms.id.clone());
        }
        let mut earlier = self.steps.iter().rev();
        Step {
            number: call.number,
            invocation: call.invocation,
            by: call.by,
            operation: call.operation,
            label: steps::label(passed, before.as_ref(), self.record.as_ref()),
            at: call.at,
            is_first: earlier.all(|step| step.invocation != call.invocation),
            is_elsewhere: self.is_elsewhere(call.operation),
        }
    }

    /// Every end but a failure waits for an endpoint that is not changing.
    fn assert_rests(&self) {
        let status = self.deployment().state.status;
        let rests = self.view().is_some_and(|view| view.is_in_service());
        assert!(
            rests || status == Status::Failed,
            "{status} while the endpoint changes"
        );
    }

    /// Lets a change of the endpoint end that scaling has begun since.
    fn let_rest(&mut self) {
        for _ in 0..MOST_TO_REST {
            if self.view().is_none_or(|view| view.is_in_service()) {
                return;
            }
            self.world.advance(SignedDuration::from_mins(1));
        }
    }

    /// Whether a part of an index was read in which the deployment is not.
    fn is_elsewhere(&self, operation: &'static str) -> bool {
        let part = self.world.last_part();
        matches!(operation, "active" | "outbox")
            && self
                .id
                .as_deref()
                .is_none_or(|id| part != Some(shard_of(id)))
    }

    fn note_crash(&mut self, passed: &Passed) {
        let made = match passed.verdict {
            Verdict::CrashAfter => true,
            Verdict::CrashBefore => false,
            _ => return,
        };
        let state = self.record.as_ref().map(|record| &record.state);
        let lease = state.and_then(|state| state.lease.as_ref());
        let crash = Crash {
            step: self.steps.len(),
            made,
            leased: lease.is_some_and(|lease| lease.until > self.world.now()),
            phase: state.map(|state| state.phase),
            shows: self.shows(),
        };
        self.crashes.push(crash);
    }

    /// The endpoint beside the record, in words.
    fn shows(&self) -> &'static str {
        let Some(view) = self.view() else {
            return "nothing: it is gone";
        };
        let Some(record) = &self.record else {
            return "production alone";
        };
        let canary = &record.terms.canary;
        match () {
            () if !view.is_in_service() => "a change under way",
            () if view.variant(canary).is_none() => "production alone",
            () if view.variant(&record.terms.production).is_none() => "the canary alone",
            () if view.is_settled_at(canary, record.state.weight) => "the share recorded",
            () if view.is_settled_at(canary, record.state.target) => "the share intended",
            () => "another share",
        }
    }

    /// The request, until it is answered.
    fn accept(&mut self) {
        let mut given = specification();
        if let (Some(fields), Value::Object(changes)) =
            (given.as_object_mut(), self.scenario.changes.clone())
        {
            fields.extend(changes);
        }
        let key = Key {
            key: "fast#crash".to_owned(),
            digest: "the same".to_owned(),
        };
        for _ in 0..TRIES {
            let job = Job::Accept(given.clone(), Some(key.clone()));
            let invocation = self.finish(job);
            let Some(Answer::Accepted(accepted)) = self.answer(invocation) else {
                continue;
            };
            match accepted.as_ref() {
                Ok(accepted) => {
                    assert_eq!(accepted.loaded.deployment.terms.id, self.id());
                    return;
                }
                Err(Refusal::Port(_) | Refusal::KeyInProgress) => {}
                Err(refusal) => panic!("refused: {refusal}"),
            }
        }
        panic!("not accepted in {TRIES} tries");
    }

    /// Lets the acts happen whose time has come.
    fn pass(&mut self, moment: Moment) {
        let scenario = self.scenario;
        while let Some(act) = scenario.script.get(self.acted)
            && act.moment == moment
            && self.id.is_some()
            && !self.is_over()
            && (act.when)(self)
        {
            // Before it happens: an order is made of calls, after which the driver looks again.
            self.acted += 1;
            if !self.act(act.what) {
                self.acted -= 1;
                return;
            }
        }
    }

    /// Whether it has happened; if not, it is tried again later.
    fn act(&mut self, what: What) -> bool {
        let account = self.world.simulator();
        match what {
            What::Order(command) => return self.order(command),
            What::Traffic(rate) => account.set_traffic(ENDPOINT, rate),
            What::Challenger(challenger) => {
                account.set_backend(NEW, Backend::Distribution(challenger));
            }
            What::FailNextUpdate => {
                let reason = "no capacity for ml.c6i.large";
                account.sagemaker().fail_next_update(ENDPOINT, reason);
            }
            What::Show(status, minutes) => {
                let until = SignedDuration::try_from_mins(minutes);
                let until = until.map_or(Timestamp::MAX, |time| self.world.now() + time);
                account.sagemaker().set_status(ENDPOINT, status, until);
            }
            What::Delete => {
                let input = json!({"EndpointName": ENDPOINT});
                return account
                    .call(service::SAGEMAKER, "DeleteEndpoint", &input)
                    .is_ok();
            }
            What::Share(share) => {
                let canary = self.deployment().terms.canary;
                let weights = [(PRODUCTION, 1.0 - share), (canary.as_str(), share)];
                return ready(self.world.ports().set_weights(ENDPOINT, &weights)).is_ok();
            }
        }
        true
    }

    /// The order, until it is followed; one that was followed without an answer can't be followed
    /// again. What nobody may order now is ordered later.
    fn order(&mut self, command: Command) -> bool {
        for again in [false, true, true, true] {
            let job = Job::Order(self.id().to_owned(), command);
            let invocation = self.finish(job);
            let Some(Answer::Ordered(ordered)) = self.answer(invocation) else {
                continue;
            };
            match ordered.as_ref() {
                Ok(_) => return true,
                Err(OrderError::Port(_)) => {}
                Err(OrderError::Illegal(_)) if again => return true,
                Err(OrderError::Illegal(
                    IllegalCommand::Blind(_)
                    | IllegalCommand::RedGuard(_)
                    | IllegalCommand::Drift(_),
                )) => return false,
                Err(error) => panic!("{command:?}: {error}"),
            }
        }
        panic!("{command:?} was not followed");
    }

    /// What happened and where it stood, for the message of a failure.
    pub(crate) fn story(&self) -> String {
        let lines = self.id.as_deref().map(|id| self.world.store().lines(id));
        let lines = lines.into_iter().flatten().map(|entry| {
            format!(
                "{} {} {}/{} {}: {}",
                entry.at, entry.event, entry.status, entry.phase, entry.weight, entry.reason
            )
        });
        let lines: Vec<String> = lines.collect();
        format!(
            "the last calls:\n{}\nthe history:\n{}",
            self.world.last_calls(40),
            lines.join("\n")
        )
    }
}
