//! Brings the world from the last instant anybody looked to the present.
//!
//! The way is cut at every instant something happens: a change ends, a minute ends, or ten seconds of bulk
//! traffic are due. Inside one cut weights and fleets do not change, so requests are spread by the weights in
//! force when they were made. Bulk traffic comes at a steady rate with the remainder carried over; it reaches
//! only variants that answer from a distribution, because real servers are real work.

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::backend::{self, Distribution, Outcome};
use super::fleet::{Change, Endpoint, Status};
use super::{Backend, SageMaker, World, endpoints};
use crate::Timings;
use crate::autoscaling::{AutoScaling, Observed};
use crate::cloudwatch::CloudWatch;

const LONGEST_STEP: SignedDuration = SignedDuration::from_secs(10);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Requests a minute at which an instance is fully busy.
const INSTANCE_CAPACITY: f64 = 1_200.0;

/// Bulk requests to one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    requests_per_minute: f64,
    /// The part of a request that was due but not whole.
    carried: f64,
}

impl Traffic {
    pub(super) fn new(requests_per_minute: f64) -> Self {
        Self {
            requests_per_minute: requests_per_minute.max(0.0),
            carried: 0.0,
        }
    }

    /// Whole requests due in a stretch of time.
    fn due(&mut self, elapsed: SignedDuration) -> u32 {
        self.carried += self.requests_per_minute * elapsed.as_secs_f64() / 60.0;
        let whole = self.carried.floor();
        self.carried -= whole;
        // Saturates for absurd rates.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a floored number that is not negative"
        )]
        let whole = whole as u32;
        whole
    }
}

impl SageMaker {
    /// Lets everything happen that was due until `now`.
    pub(crate) fn catch_up(&self, now: Timestamp, autoscaling: &AutoScaling, metrics: &CloudWatch) {
        let world = &mut *self.world();
        // A change that takes no time is over although the clock stands still.
        world.settle(now);
        while world.settled_to < now {
            let from = world.settled_to;
            let to = world.next_instant(from, now);
            world.generate(from, to, metrics);
            world.settled_to = to;
            world.settle(to);
            if to == minute_of(to) {
                world.end_minute(to, &self.timings, autoscaling, metrics);
            }
        }
    }
}

/// The start of the minute an instant lies in.
fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap_or(at)
}

impl World {
    /// The end of the next step from `from`: never beyond `now`.
    fn next_instant(&self, from: Timestamp, now: Timestamp) -> Timestamp {
        if self.endpoints.is_empty() {
            return now;
        }
        let mut to = now.min(endpoints::after(minute_of(from), MINUTE));
        if !self.traffic.is_empty() {
            to = to.min(endpoints::after(from, LONGEST_STEP));
        }
        self.endpoints
            .values()
            .filter_map(|endpoint| endpoint.pending.as_ref())
            .map(|pending| pending.due)
            .filter(|due| *due > from)
            .fold(to, Timestamp::min)
    }

    /// Ends what is over by `to`, never looking ahead of the traffic; what an endpoint leaves behind goes with it.
    fn settle(&mut self, to: Timestamp) {
        let to = to.min(self.settled_to);
        let World {
            endpoints,
            tags,
            failures,
            ..
        } = self;
        endpoints.retain(|name, endpoint| {
            let stays = endpoint.settle(to);
            if !stays {
                tags.remove(&endpoint.arn);
                failures.remove(name);
            }
            stays
        });
    }

    fn generate(&mut self, from: Timestamp, to: Timestamp, metrics: &CloudWatch) {
        let elapsed = to.duration_since(from);
        for (name, traffic) in &mut self.traffic {
            let Some(endpoint) = self.endpoints.get_mut(name) else {
                continue;
            };
            if !endpoint.status(from).serves() {
                continue;
            }
            let requests = traffic.due(elapsed);
            let disturbed = |model: &str| {
                let found = self.disturbances.get(model).copied();
                found.filter(|it| it.lasts(from))
            };
            let disturbances: Vec<_> = endpoint
                .variants
                .iter()
                .map(|variant| disturbed(&variant.model))
                .collect();
            let sources: Vec<Option<Distribution>> = endpoint
                .variants
                .iter()
                .map(|variant| match self.backends.get(&variant.model) {
                    _ if variant.server.is_some() => None,
                    Some(Backend::Http { .. }) => None,
                    Some(
                        Backend::Distribution(distribution)
                        | Backend::Function {
                            like: distribution, ..
                        },
                    ) => Some(*distribution),
                    None => Some(Distribution::default()),
                })
                .collect();
            let mut served: Vec<Vec<Outcome>> = vec![Vec::new(); sources.len()];
            for _ in 0..requests {
                let weights = endpoint.variants.iter().map(|v| v.current_weight);
                let Some(chosen) = backend::pick(weights, self.random.random()) else {
                    break;
                };
                let Some(distribution) = sources[chosen] else {
                    continue;
                };
                let outcome = distribution.sample(&mut self.random);
                let disturbed = disturbances[chosen].map(|it| it.of(outcome, &mut self.random));
                served[chosen].push(disturbed.unwrap_or(outcome));
            }
            // A step never leaves its minute, which is all that CloudWatch keeps of a sample's time.
            for (position, outcomes) in served.iter().enumerate() {
                endpoint.record(position, from, outcomes, metrics);
            }
        }
    }

    /// What happens once a minute: utilization is reported, and scaling looks at the minute that ended.
    fn end_minute(
        &mut self,
        end: Timestamp,
        timings: &Timings,
        autoscaling: &AutoScaling,
        metrics: &CloudWatch,
    ) {
        let minute = end.checked_sub(MINUTE).unwrap_or(end);
        for endpoint in self.endpoints.values_mut() {
            if endpoint.status(end).serves() {
                endpoint.report_utilization(minute, metrics);
            }
            let mut wanted = None;
            for (position, variant) in endpoint.variants.iter_mut().enumerate() {
                let observed = Observed {
                    current: variant.current_count,
                    desired: variant.desired_count,
                    invocations: std::mem::take(&mut variant.minute_invocations),
                };
                let count = autoscaling.evaluate(&endpoint.name, &variant.name, observed, end);
                wanted = wanted.or(count.map(|count| (position, count)));
            }
            // One change at a time, and none during an update: what is due now is due next minute too.
            if let Some((position, count)) = wanted
                && endpoint.status(end) == Status::InService
            {
                endpoint.variants[position].desired_count = count;
                autoscaling.acted(&endpoint.name, &endpoint.variants[position].name, end);
                let due = endpoints::after(end, timings.capacity);
                endpoint.begin(Change::Adjust, end, due);
            }
        }
    }
}

impl Endpoint {
    /// Reports the metrics of requests of one minute, and counts them.
    pub(super) fn record(
        &mut self,
        position: usize,
        at: Timestamp,
        outcomes: &[Outcome],
        metrics: &CloudWatch,
    ) {
        if outcomes.is_empty() {
            return;
        }
        let variant = &mut self.variants[position];
        variant.minute_invocations += outcomes.len() as u64;
        let per_instance = 1.0 / variant.instances();
        let dimensions = [
            ("EndpointName", self.name.as_str()),
            ("VariantName", variant.name.as_str()),
        ];
        let all = |metric: &str, unit: &str, value: &dyn Fn(&Outcome) -> f64| {
            let values: Vec<f64> = outcomes.iter().map(value).collect();
            metrics.record_all("AWS/SageMaker", metric, &dimensions, at, &values, unit);
        };
        let flag = |raised: bool| if raised { 1.0 } else { 0.0 };
        all("Invocations", "None", &|_| 1.0);
        all("Invocation4XXErrors", "None", &|one| {
            flag(one.is_client_error())
        });
        all("Invocation5XXErrors", "None", &|one| {
            flag(one.is_server_error())
        });
        all("InvocationModelErrors", "None", &|one| {
            flag(!one.succeeded())
        });
        all("ModelLatency", "Microseconds", &|one| one.model_latency_us);
        all("OverheadLatency", "Microseconds", &|one| {
            one.overhead_latency_us
        });
        all("InvocationsPerInstance", "None", &|_| per_instance);
    }

    /// One point a minute per instance metric, made up from the load.
    fn report_utilization(&self, minute: Timestamp, metrics: &CloudWatch) {
        for variant in &self.variants {
            let dimensions = [
                ("EndpointName", self.name.as_str()),
                ("VariantName", variant.name.as_str()),
            ];
            let load = variant.minute_invocations as f64 / variant.instances() / INSTANCE_CAPACITY;
            let busy = load.min(1.0);
            for (metric, value) in [
                ("CPUUtilization", 2.0 + 96.0 * busy),
                ("MemoryUtilization", 30.0 + 20.0 * busy),
            ] {
                metrics.record(
                    "/aws/sagemaker/Endpoints",
                    metric,
                    &dimensions,
                    minute,
                    value,
                    "Percent",
                );
            }
        }
    }
}
