//! A short rollout to run by the thousand: an endpoint that scales, a little traffic, a plan of
//! minutes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::app::ports::{Loaded, OutboxRow, Scaling};
use shared::domain::authority::ENABLED_TAG;
use shared::domain::command::Command;
use shared::domain::scaling::{ScalableTarget, Suspension};
use shared::domain::state::{Phase, Status};
use shared::wire::messages::{self, About};
use simulator::clock::Clock;
use simulator::{Backend, Distribution, Options, Simulator, Timings};

use super::sagemaker;
use super::world::{Answer, Fast, Job, ready};
use crate::over::{self, Told};
use crate::{CONFIG, ENDPOINT, IMAGE, NEW, OLD, PRODUCTION, registry};

/// What a world starts with.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Seeds the simulated account: splits, latencies, errors.
    pub seed: u64,
    /// How the model in production answers.
    pub production: Distribution,
    /// How the challenger answers.
    pub challenger: Distribution,
    /// Bulk requests to the endpoint.
    pub requests_per_minute: f64,
    /// Whether production is a scalable target (1 to 8 instances).
    pub scales: bool,
    /// How old the endpoint is when the world begins.
    pub age: SignedDuration,
    /// Whether production's model is version 1 of a model package, of which there are more.
    pub registered: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 7,
            production: Distribution::default(),
            challenger: Distribution::default(),
            requests_per_minute: 300.0,
            scales: true,
            age: SignedDuration::from_mins(5),
            registered: false,
        }
    }
}

/// A short rollout: 25, 50 and 100 %, over with its completion.
pub fn specification() -> Value {
    json!({
        "endpoint": ENDPOINT,
        "model": NEW,
        "plan": {
            "stages": [
                {"weight": 25, "bake": "2m"},
                {"weight": 50, "bake": "1m"},
                {"weight": 100},
            ],
            "soak": "1m",
        },
        "policy": {"min_samples": 20},
        "cleanup": {"after": "1m"},
        "watch": {"for": "0s"},
    })
}

impl Scenario {
    /// The world of this scenario, with nothing deployed yet.
    ///
    /// # Panics
    /// When the simulated account refuses what a test sets up.
    pub fn world(&self) -> Fast {
        let start: Timestamp = "2026-03-02T08:00:00Z".parse().expect("a valid timestamp");
        let options = Options {
            seed: self.seed,
            clock: Clock::manual(start),
            timings: Timings::default(),
            state: None,
        };
        let simulator = Simulator::new(options).expect("an empty simulator starts");
        simulator.set_backend(OLD, Backend::Distribution(self.production));
        simulator.set_backend(NEW, Backend::Distribution(self.challenger));
        let mut serving = json!({"Image": IMAGE});
        if self.registered {
            registry::register(&simulator);
            let of_version_2 = registry::model(2);
            simulator.set_backend(&of_version_2, Backend::Distribution(self.challenger));
            serving = json!({"ModelPackageName": registry::arn(1)});
        }
        for (model, container) in [(OLD, serving), (NEW, json!({"Image": IMAGE}))] {
            let role = "arn:aws:iam::123456789012:role/serving";
            let input = json!({"ModelName": model, "ExecutionRoleArn": role, "PrimaryContainer": container});
            sagemaker::ask(&simulator, "CreateModel", &input).expect("a new model");
        }
        let variant = json!({
            "VariantName": PRODUCTION,
            "ModelName": OLD,
            "InstanceType": "ml.c6i.large",
            "InitialInstanceCount": 2,
            "InitialVariantWeight": 1.0,
        });
        let input = json!({"EndpointConfigName": CONFIG, "ProductionVariants": [variant]});
        sagemaker::ask(&simulator, "CreateEndpointConfig", &input).expect("a new config");
        let input = json!({
            "EndpointName": ENDPOINT,
            "EndpointConfigName": CONFIG,
            "Tags": [{"Key": ENABLED_TAG, "Value": "true"}],
        });
        sagemaker::ask(&simulator, "CreateEndpoint", &input).expect("a new endpoint");
        simulator.set_traffic(ENDPOINT, self.requests_per_minute);
        simulator.pass(self.age);
        let world = Fast::over(simulator);
        if self.scales {
            let target = ScalableTarget {
                min: 1,
                max: 8,
                policies: vec![sagemaker::tracking_policy("requests-per-instance", 600.0)],
                suspended: Suspension::default(),
                tags: BTreeMap::new(),
            };
            let ports = world.ports();
            ready(ports.register(ENDPOINT, PRODUCTION, &target)).expect("a variant to scale");
        }
        world
    }
}

impl Fast {
    /// Accepts [`specification`] with these top-level fields in place of its own, through the real
    /// `accept`; its id. What it woke waits in [`Fast::events`].
    ///
    /// # Panics
    /// When it is refused.
    pub fn accepted(&mut self, changes: Value) -> String {
        let mut given = specification();
        if let (Some(fields), Value::Object(changes)) = (given.as_object_mut(), changes) {
            fields.extend(changes);
        }
        match self.finish(Job::Accept(given, None)) {
            Some(Answer::Accepted(accepted)) => {
                let accepted = accepted.expect("a deployment that can be accepted");
                accepted.loaded.deployment.terms.id
            }
            other => panic!("the request ended with {other:?}"),
        }
    }

    /// Gives a command that must be followed. What it woke waits in [`Fast::events`].
    ///
    /// # Panics
    /// When it is not.
    pub fn ordered(&mut self, id: &str, command: Command) {
        match self.finish(Job::Order(id.to_owned(), command)) {
            Some(Answer::Ordered(ordered)) => drop(ordered.expect("a command that is followed")),
            other => panic!("the request ended with {other:?}"),
        }
    }

    /// One minute with the control plane in it: a tick, and what it woke.
    pub fn minute(&mut self) {
        self.advance(SignedDuration::from_mins(1));
        self.start(Job::Monitor);
        self.run();
    }

    /// The record.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn load(&self, id: &str) -> Loaded {
        let found = self.store().read(id).expect("a readable record");
        found.expect("a known id")
    }

    /// Minutes until the deployment satisfies this.
    ///
    /// # Panics
    /// When it does not within `most`.
    pub fn until(&mut self, id: &str, most: usize, reached: impl Fn(&Loaded) -> bool) -> Loaded {
        for _ in 0..most {
            let loaded = self.load(id);
            if reached(&loaded) {
                return loaded;
            }
            self.minute();
        }
        panic!(
            "not reached in {most} minutes: {:#?}\n{:#?}\n{}",
            self.load(id).deployment.state,
            self.store().lines(id),
            self.last_calls(60),
        );
    }

    /// Minutes until the deployment is in this phase.
    pub fn until_phase(&mut self, id: &str, phase: Phase) -> Loaded {
        self.until(id, 100, |loaded| loaded.deployment.state.phase == phase)
    }

    /// Minutes until the deployment is over and everything was told, whatever happened before; then
    /// everything of [`Fast::assert_over`]. Returns its status.
    pub fn until_over(&mut self, id: &str, most: usize) -> Status {
        let done = self.until(id, most, |loaded| {
            loaded.deployment.state.status.is_terminal()
        });
        // The last tick may have failed to tell what the one before it wrote.
        for _ in 0..3 {
            let shards = 0..shared::app::announce::SHARDS;
            if shards
                .into_iter()
                .all(|shard| self.store().unsent(shard).is_empty())
            {
                break;
            }
            self.minute();
        }
        self.assert_over(id);
        done.deployment.state.status
    }

    /// Holds everything that is true of a deployment that is over, as `World::assert_over` does.
    ///
    /// # Panics
    /// When something is not.
    pub fn assert_over(&self, id: &str) {
        let told = self.told_of(id);
        ready(over::assert_over(&self.ports(), self.simulator(), id, told));
    }

    /// Holds what is true from the commit of a terminal status on.
    ///
    /// # Panics
    /// When something is not.
    pub fn assert_ended(&self, id: &str) {
        ready(over::assert_ended(&self.ports(), self.simulator(), id));
    }

    /// Holds that everything that happened to a deployment was told, in order.
    ///
    /// # Panics
    /// When it was not.
    pub fn assert_told(&self, id: &str) {
        let terms = self.load(id).deployment.terms;
        ready(over::assert_told(&self.ports(), &terms, self.told_of(id)));
    }

    fn told_of(&self, id: &str) -> [Vec<Told>; 2] {
        self.told().map(|rows| {
            let own = rows.iter().filter(|row| row.deployment_id == id);
            own.map(message).collect()
        })
    }
}

/// An announcement as programs get it.
fn message(row: &OutboxRow) -> Told {
    let about = About {
        event_id: &row.event_id,
        deployment_id: &row.deployment_id,
        endpoint: &row.endpoint,
        model: &row.model,
        former_model: &row.former_model,
        entry: &row.entry,
        approvals: None,
        draft: None,
    };
    Told {
        event_id: row.event_id.clone(),
        message: messages::machine(about),
    }
}
