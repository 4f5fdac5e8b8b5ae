//! What a seed stands for: endpoints with a challenger each, what operators do and when, and the
//! faults with their minutes. Everything is drawn before the run, and each thing has chance of its
//! own, so that leaving one out changes nothing about the others.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::authority::ENABLED_TAG;
use shared::domain::command::Command;
use shared::domain::quantity::Weight;
use simulator::clock::Clock;
use simulator::{Backend, Distribution, Options, Simulator, Timings, service};

use super::fault::Fault;
use crate::direct::chance::Chance;
use crate::direct::world::Fast;
use crate::{IMAGE, PRODUCTION};

/// An alarm that a policy names.
pub(super) const ALARM: &str = "chaos-alarm";
/// What production's instances are.
pub(super) const INSTANCE_TYPE: &str = "ml.c6i.large";
/// One journey in so many goes on after the end of a rollout.
const AFTER_THE_END: u64 = 3;
/// How old the endpoints are when a run begins.
const AGE: SignedDuration = SignedDuration::from_mins(5);

/// An endpoint, and the challenger that is to take it over.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) endpoint: String,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) config: String,
    pub(super) challenger: Distribution,
    pub(super) requests_per_minute: f64,
    scales: bool,
    /// What is asked for.
    pub(super) specification: Value,
}

/// What somebody does who is no fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deed {
    /// An operator orders something.
    Order(Command),
    /// The policy's alarm fires, for some minutes.
    Alarm,
    /// The challenger gets worse for good.
    Decline,
    /// What is completed is undone, as soon as there is something to undo.
    Undo,
}

/// A deed with its time and place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Act {
    /// The minute of the storm.
    pub minute: u32,
    pub(super) site: usize,
    /// What is done.
    pub deed: Deed,
}

/// A fault with its time, and the chance that settles the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// Which.
    pub fault: Fault,
    /// The minute of the storm.
    pub minute: u32,
    pub(super) salt: u64,
}

/// What a seed stands for.
#[derive(Debug, Clone)]
pub struct Journey {
    pub(super) seed: u64,
    pub(super) sites: Vec<Site>,
    /// How long faults go on.
    pub(super) storm_minutes: u32,
    /// The faults.
    pub strikes: Vec<Strike>,
    /// The deeds.
    pub acts: Vec<Act>,
}

impl Journey {
    /// The journey of a seed.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xc4a0_5c4a_05c4_a05c);
        let storm_minutes = 8 + below(&mut chance, 22);
        let count = if chance.per_mille(250) { 2 } else { 1 };
        let sites: Vec<Site> = (0..count)
            .map(|index| Site::draw(index, &mut chance))
            .collect();
        let strikes = strikes(&mut chance, storm_minutes);
        let acts = acts(&mut chance, storm_minutes, sites.len());
        let mut journey = Self {
            seed,
            sites,
            storm_minutes,
            strikes,
            acts,
        };
        if seed % AFTER_THE_END == 2 {
            journey.go_on_after_the_end();
        }
        journey
    }

    /// What is completed is watched, and now and then undone. With chance of its own: the other
    /// journeys are what they were.
    fn go_on_after_the_end(&mut self) {
        let mut chance = Chance::new(self.seed ^ 0xaf7e_23ae_0af7_e23a);
        for (index, site) in self.sites.iter_mut().enumerate() {
            let watched = ["15m", "1h"][chance.below(2)];
            site.specification["watch"] = json!({"for": watched});
            // So that many come to their end in the storm.
            site.specification["plan"]["stages"] = json!([{"weight": 100}]);
            if chance.per_mille(600) {
                self.acts.push(Act {
                    minute: below(&mut chance, self.storm_minutes),
                    site: index,
                    deed: Deed::Undo,
                });
            }
        }
    }

    /// The account with its endpoints, a few minutes old.
    pub(super) fn world(&self) -> Fast {
        let options = Options {
            seed: self.seed,
            clock: Clock::manual("2026-03-02T08:00:00Z".parse().expect("a valid timestamp")),
            timings: Timings::default(),
            state: None,
        };
        let simulator = Simulator::new(options).expect("an empty simulator starts");
        simulator.cloudwatch().set_alarm(ALARM, "OK");
        for site in &self.sites {
            site.build(&simulator);
        }
        simulator.pass(AGE);
        for site in self.sites.iter().filter(|site| site.scales) {
            site.scale(&simulator);
        }
        Fast::over(simulator)
    }
}

/// A number of minutes or the like, below the bound.
pub(super) fn below(chance: &mut Chance, bound: u32) -> u32 {
    let drawn = chance.below(usize::try_from(bound).unwrap_or(1));
    u32::try_from(drawn).unwrap_or(0)
}

fn strikes(chance: &mut Chance, minutes: u32) -> Vec<Strike> {
    let count = 2 + below(chance, 9);
    let mut strikes = Vec::new();
    for _ in 0..count {
        let mut fault = any_fault(chance);
        if fault.ends_rollouts() && chance.per_mille(650) {
            fault = any_fault(chance);
        }
        strikes.push(Strike {
            fault,
            minute: below(chance, minutes),
            salt: chance.draw(),
        });
    }
    strikes
}

fn any_fault(chance: &mut Chance) -> Fault {
    let index = chance.below(super::fault::NAMES.len());
    Fault::number(u8::try_from(index + 1).unwrap_or(1))
}

fn acts(chance: &mut Chance, minutes: u32, sites: usize) -> Vec<Act> {
    let mut acts = Vec::new();
    let count = below(chance, 4);
    for _ in 0..count {
        let percent = u8::try_from(1 + chance.below(100)).unwrap_or(1);
        let weight = Weight::new(percent).expect("a percentage");
        let deed = match chance.below(12) {
            0 => Deed::Order(Command::Rollback),
            1 => Deed::Order(Command::Cancel),
            2 => Deed::Order(Command::Pause),
            3 | 4 => Deed::Order(Command::Resume),
            5 => Deed::Order(Command::Promote { full: false }),
            6 => Deed::Order(Command::Promote { full: true }),
            7 => Deed::Order(Command::Approve),
            8 | 9 => Deed::Order(Command::SetWeight(weight)),
            10 => Deed::Alarm,
            _ => Deed::Decline,
        };
        acts.push(Act {
            minute: below(chance, minutes),
            site: chance.below(sites),
            deed,
        });
    }
    acts
}

impl Site {
    fn draw(index: usize, chance: &mut Chance) -> Self {
        let endpoint = ["wine-quality", "fraud"][index % 2].to_owned();
        let (old, new) = (format!("{endpoint}-v1"), format!("{endpoint}-v2"));
        let challenger = match chance.below(6) {
            0 => broken(),
            1 => Distribution {
                latency_p50_ms: 150.0,
                latency_p99_ms: 500.0,
                ..Distribution::default()
            },
            _ => Distribution::default(),
        };
        let specification = specification(&endpoint, &new, chance);
        Self {
            config: format!("{endpoint}-config"),
            requests_per_minute: [40.0, 120.0, 300.0][chance.below(3)],
            scales: chance.per_mille(600),
            endpoint,
            old,
            new,
            challenger,
            specification,
        }
    }

    /// Whether its challenger is bad from the beginning.
    pub(super) fn is_bad(&self) -> bool {
        self.challenger != Distribution::default()
    }

    fn build(&self, simulator: &Simulator) {
        let ask = |operation: &str, input: Value| {
            let answer = simulator.call(service::SAGEMAKER, operation, &input);
            answer.expect("an empty account takes everything");
        };
        let backend = Backend::Distribution(Distribution::default());
        simulator.set_backend(&self.old, backend);
        simulator.set_backend(&self.new, Backend::Distribution(self.challenger));
        for model in [&self.old, &self.new] {
            ask(
                "CreateModel",
                json!({"ModelName": model, "PrimaryContainer": {"Image": IMAGE}}),
            );
        }
        ask(
            "CreateEndpointConfig",
            json!({"EndpointConfigName": self.config, "ProductionVariants": [variant(PRODUCTION, &self.old)]}),
        );
        ask(
            "CreateEndpoint",
            json!({
                "EndpointName": self.endpoint,
                "EndpointConfigName": self.config,
                "Tags": [{"Key": ENABLED_TAG, "Value": "true"}],
            }),
        );
        simulator.set_traffic(&self.endpoint, self.requests_per_minute);
    }

    fn scale(&self, simulator: &Simulator) {
        let resource = format!("endpoint/{}/variant/{PRODUCTION}", self.endpoint);
        let target = json!({
            "ServiceNamespace": "sagemaker",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "ResourceId": resource,
            "MinCapacity": 1,
            "MaxCapacity": 8,
        });
        let mut policy = target.clone();
        policy["PolicyName"] = json!("requests-per-instance");
        policy["PolicyType"] = json!("TargetTrackingScaling");
        policy["TargetTrackingScalingPolicyConfiguration"] = json!({
            "TargetValue": 200.0,
            "PredefinedMetricSpecification":
                {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": 60,
            "ScaleOutCooldown": 60,
        });
        for (operation, input) in [
            ("RegisterScalableTarget", target),
            ("PutScalingPolicy", policy),
        ] {
            let answer = simulator.call(service::AUTOSCALING, operation, &input);
            answer.expect("a variant to scale");
        }
    }
}

/// A challenger that no policy takes.
pub(super) fn broken() -> Distribution {
    Distribution {
        error_rate: 0.3,
        ..Distribution::default()
    }
}

/// A variant of a config with two instances.
pub(super) fn variant(name: &str, model: &str) -> Value {
    json!({
        "VariantName": name,
        "ModelName": model,
        "InstanceType": INSTANCE_TYPE,
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1.0,
    })
}

fn specification(endpoint: &str, model: &str, chance: &mut Chance) -> Value {
    let approval = chance.per_mille(200);
    let stages = match chance.below(3) {
        0 => json!([{"weight": 100}]),
        1 => json!([{"weight": 10, "bake": "3m", "approval": approval}, {"weight": 100}]),
        _ => json!([
            {"weight": 25, "bake": "2m"},
            {"weight": 50, "bake": "1m", "approval": approval},
            {"weight": 100},
        ]),
    };
    let soak = ["1m", "3m"][chance.below(2)];
    let on_drift = ["hold", "restore", "abandon"][chance.below(3)];
    let mut given = json!({
        "endpoint": endpoint,
        "model": model,
        "plan": {"stages": stages, "soak": soak},
        "policy": {"min_samples": 20, "on_drift": on_drift},
        "cleanup": {"after": "1m", "keep_old_variant": chance.per_mille(250)},
        "watch": {"for": "0s"},
    });
    if chance.per_mille(150) {
        given["plan"]["change_windows"] =
            json!(["Mon-Sun 08:00-08:12 UTC", "Mon-Sun 08:20-23:59 UTC"]);
    }
    if chance.per_mille(300) {
        given["policy"]["alarms"] = json!([ALARM]);
    }
    if chance.per_mille(200) {
        given["policy"]["blind_limit"] = json!("3m");
    }
    if chance.per_mille(200) {
        given["policy"]["error_rate"] = json!({"limit": "5%", "severity": "medium"});
    }
    if chance.per_mille(250) {
        given["rollback"] =
            json!({"mode": "gradual", "weights": [40, 10], "every": "5m", "step_backs": 1});
    }
    given
}
