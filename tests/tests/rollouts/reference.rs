//! The code against a reference of a few lines: whatever order of minutes, orders, drift by hand,
//! refusals and lost answers, the stack does what the reference says, or one of the things that it
//! leaves open.
//!
//! The reference knows three things of a rollout: whether its end was ordered, whether it is
//! paused, and whether it may be on its way down. The canary is healthy and its soak outlasts the
//! test, so nothing but an order ends it.

use http::Method;
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use serde_json::json;
use shared::app::ports::{Endpoints, Loaded, Store};
use shared::domain::invariants;
use shared::domain::quantity::Weight;
use shared::domain::state::{Phase, Status};
use simulator::{FaultKind, service};
use tests::{ENDPOINT, PRODUCTION, World, specification_with};
use tokio::runtime::Runtime;

/// What the reference makes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Followed,
    Refused,
    Open,
}

/// A rollout, as far as the reference knows it.
#[derive(Debug, Clone)]
struct Reference {
    /// Where it leads once its end was ordered.
    ends_in: Option<Status>,
    /// `None` where the reference can't tell.
    is_paused: Option<bool>,
    /// Whether an order may have lowered the share: until that is confirmed, pauses are refused.
    may_go_down: bool,
    /// What becomes of the order just given.
    answer: Answer,
}

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Minutes(usize),
    Pause,
    Resume,
    Rollback,
    Cancel,
    SetWeight(u8),
    /// Somebody else sets the canary's share at the endpoint.
    Drift(u8),
    /// SageMaker's own maintenance.
    Busy(i64),
    /// The next call that sets weights is lost, or its answer is.
    Lose(FaultKind),
}

struct Rollouts;

impl ReferenceStateMachine for Rollouts {
    type State = Reference;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Reference> {
        Just(Reference {
            ends_in: None,
            is_paused: Some(false),
            may_go_down: false,
            answer: Answer::Open,
        })
        .boxed()
    }

    fn transitions(_: &Reference) -> BoxedStrategy<Step> {
        let faults = vec![FaultKind::LoseAnswer, FaultKind::LoseRequest];
        prop_oneof![
            12 => (1..8_usize).prop_map(Step::Minutes),
            3 => Just(Step::Pause),
            3 => Just(Step::Resume),
            1 => Just(Step::Rollback),
            1 => Just(Step::Cancel),
            3 => (1..=100_u8).prop_map(Step::SetWeight),
            1 => (0..=100_u8).prop_map(Step::Drift),
            1 => (1..6_i64).prop_map(Step::Busy),
            1 => prop::sample::select(faults).prop_map(Step::Lose),
        ]
        .boxed()
    }

    fn apply(mut state: Reference, step: &Step) -> Reference {
        let is_over = state.ends_in.is_some();
        state.answer = match (step, state.is_paused) {
            (Step::Minutes(_) | Step::Drift(_) | Step::Busy(_) | Step::Lose(_), _) => Answer::Open,
            (_, _) if is_over => Answer::Refused,
            (Step::Rollback | Step::Cancel, _) => Answer::Followed,
            (Step::Pause, Some(true)) | (Step::Resume, Some(false)) => Answer::Refused,
            (Step::Pause | Step::Resume, Some(_)) if !state.may_go_down => Answer::Followed,
            (Step::Pause | Step::Resume | Step::SetWeight(_), _) => Answer::Open,
        };
        match step {
            Step::Rollback if !is_over => state.ends_in = Some(Status::RolledBack),
            Step::Cancel if !is_over => state.ends_in = Some(Status::Cancelled),
            Step::Pause | Step::Resume => {
                let pauses = matches!(step, Step::Pause);
                state.is_paused = match state.answer {
                    Answer::Followed => Some(pauses),
                    Answer::Refused => state.is_paused,
                    Answer::Open => None,
                };
            }
            Step::SetWeight(_) => state.may_go_down = true,
            _ => {}
        }
        state
    }
}

/// The stack over the simulator, with what was seen before the last step.
struct Real {
    runtime: Runtime,
    world: World,
    id: String,
    before: (Status, Weight),
}

impl Real {
    /// The answer to a request about the deployment.
    fn ask(&self, method: Method, path: &str, body: &serde_json::Value) -> u16 {
        let path = format!("/deployments/{}/{path}", self.id);
        let body = body.to_string().into_bytes();
        let asked = self.world.request(method, &path, &[], body);
        let (status, answer) = self.runtime.block_on(asked);
        assert!(!status.is_server_error(), "{path}: {answer}");
        status.as_u16()
    }

    fn take(&self, step: &Step) -> Option<u16> {
        let order = |name: &str| Some(self.ask(Method::POST, name, &json!({})));
        match step {
            Step::Minutes(minutes) => self.runtime.block_on(self.world.minutes(*minutes)),
            Step::Pause => return order("pause"),
            Step::Resume => return order("resume"),
            Step::Rollback => return order("rollback"),
            Step::Cancel => return order("cancel"),
            Step::SetWeight(percent) => {
                return Some(self.ask(Method::PUT, "weight", &json!({"weight": percent})));
            }
            Step::Drift(percent) => {
                let canary = self.runtime.block_on(self.world.load(&self.id));
                let canary = canary.deployment.terms.canary;
                let share = f32::from(*percent) / 100.0;
                let weights = [(PRODUCTION, 1.0 - share), (canary.as_str(), share)];
                let set = self.world.stack.aws.set_weights(ENDPOINT, &weights);
                // Refused while the endpoint is changing, or once the canary is gone.
                drop(self.runtime.block_on(set));
            }
            Step::Busy(minutes) => {
                let until = self.world.now() + SignedDuration::from_mins(*minutes);
                let sagemaker = self.world.simulator().sagemaker();
                sagemaker.set_status(ENDPOINT, "SystemUpdating", until);
            }
            Step::Lose(kind) => {
                let operation = "UpdateEndpointWeightsAndCapacities";
                self.world
                    .disturb(service::SAGEMAKER, operation, 1, kind.clone());
            }
        }
        None
    }
}

impl StateMachineTest for Rollouts {
    type SystemUnderTest = Real;
    type Reference = Self;

    fn init_test(_: &Reference) -> Real {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (world, id) = runtime.block_on(async {
            let world = World::new().await;
            let plan = json!({
                "stages": [{"weight": 10, "bake": "5m"}, {"weight": 50, "bake": "5m"}, {"weight": 100}],
                "soak": "24h",
            });
            let id = world.deploy(&specification_with(json!({"plan": plan}))).await;
            world.until_phase(&id, Phase::Baking).await;
            (world, id)
        });
        let state = runtime.block_on(world.load(&id)).deployment.state;
        Real {
            before: (state.status, state.target),
            runtime,
            world,
            id,
        }
    }

    fn apply(mut real: Real, reference: &Reference, step: Step) -> Real {
        let loaded = real.runtime.block_on(real.world.load(&real.id));
        let state = loaded.deployment.state;
        real.before = (state.status, state.target);
        let answer = real.take(&step);
        real.runtime
            .block_on(real.world.stack.simulator.run_functions());
        let expected = match reference.answer {
            Answer::Followed => Some(202),
            Answer::Refused => Some(409),
            Answer::Open => answer,
        };
        assert_eq!(
            answer, expected,
            "{step:?} in {}/{}",
            state.status, state.phase
        );
        real
    }

    fn check_invariants(real: &Real, reference: &Reference) {
        let loaded = real.runtime.block_on(real.world.load(&real.id));
        let violations = invariants::violations(&loaded.deployment);
        assert_eq!(violations, Vec::<String>::new());
        let violations = real.world.simulator().sagemaker().violations();
        assert_eq!(violations, Vec::<String>::new());
        let state = loaded.deployment.state;
        let (status, target) = real.before;
        match reference.ends_in {
            None => assert_eq!(state.status, Status::InProgress, "{}", state.reason),
            Some(end) => {
                let is_on_the_way = state.status == Status::RollingBack;
                assert!(is_on_the_way || state.status == end, "{}", state.reason);
                assert_eq!(state.target, Weight::ZERO);
            }
        }
        assert!(
            !status.is_terminal() || state.status == status,
            "an end is an end"
        );
        if reference.ends_in.is_none() && reference.is_paused == Some(true) {
            assert!(
                matches!(state.phase, Phase::Paused | Phase::Retreating),
                "paused, and in {}",
                state.phase
            );
            assert!(state.target <= target, "a pause stops raises");
        }
        let holder = real.world.stack.aws.lock_holder(ENDPOINT);
        let holder = real.runtime.block_on(holder).expect("a readable lock");
        assert_eq!(
            holder.is_none(),
            state.status.is_terminal(),
            "the lock is free just when the deployment is over"
        );
    }

    /// Once nothing goes wrong any more, what was ordered to end ends.
    fn teardown(real: Real, reference: Reference) {
        if let Some(end) = reference.ends_in {
            real.runtime.block_on(async {
                let (world, id) = (&real.world, &real.id);
                let is_over = |loaded: &Loaded| loaded.deployment.state.status.is_terminal();
                let done = world.until(id, 400, is_over).await;
                assert_eq!(done.deployment.state.status, end);
                // The endpoint may be busy with something of its own for longer.
                world.minutes(6).await;
                world.assert_over(id).await;
            });
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_stack_does_what_the_reference_says(sequential 5..30 => Rollouts);
}
