//! What `canary local` disturbs, as it travels between its API and `canary simulate`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::domain::quantity::{Latency, Rate, Span};
use simulator::{Disturbance, Fault, FaultKind, service};

/// The longest that an answer may be held back: the simulated account gives up on a model after a minute.
const LONGEST_MS: f64 = 60_000.0;
/// How many times as long an answer may take.
const FACTORS: std::ops::RangeInclusive<f64> = 1.0..=1000.0;
/// The most calls that one fault counts.
const MOST_CALLS: u32 = 10_000;

/// How a model is to misbehave. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelFault {
    /// The model; the one that is being deployed where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// The share of requests that are answered 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error_rate: Option<Rate>,
    /// How much later each answer comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) added_latency: Option<Latency>,
    /// How many times as long each answer takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency_factor: Option<f64>,
    /// For how long, in the account's time; until it is cleared where nothing is said.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub(crate) lasts: Option<Span>,
}

impl ModelFault {
    /// The field that can't be, and why.
    pub(crate) fn unfit(&self) -> Option<(&'static str, &'static str)> {
        let says_nothing = self.error_rate.is_none()
            && self.added_latency.is_none()
            && self.latency_factor.is_none();
        if says_nothing {
            let why = "say what goes wrong: error_rate like \"50%\", added_latency like \"300ms\", or latency_factor like 3";
            return Some(("error_rate", why));
        }
        if self.added_latency.is_some_and(|it| it.ms() > LONGEST_MS) {
            return Some((
                "added_latency",
                "at most 60s: no model is waited for longer",
            ));
        }
        if self.latency_factor.is_some_and(|it| !FACTORS.contains(&it)) {
            return Some(("latency_factor", "a factor from 1 to 1000, like 3"));
        }
        None
    }

    /// What is in force with it.
    pub(crate) fn over(&self, before: Disturbance, now: Timestamp) -> Disturbance {
        let late = self.added_latency.map(|it| it.ms() / 1000.0);
        let late = late.map(std::time::Duration::from_secs_f64);
        let end = |span: Span| now.checked_add(span.duration()).unwrap_or(Timestamp::MAX);
        Disturbance {
            error_rate: self.error_rate.map_or(before.error_rate, Rate::fraction),
            latency_factor: self.latency_factor.unwrap_or(before.latency_factor),
            added_latency: late.unwrap_or(before.added_latency),
            until: self.lasts.map(end),
        }
    }
}

/// Calls of AWS that are to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsFault {
    /// Like `sagemaker`.
    pub(crate) service: String,
    /// Like `UpdateEndpoint`; every one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<String>,
    /// What happens to them.
    pub(crate) fault: AwsFaultKind,
    /// How many calls are hit.
    #[serde(default = "once")]
    pub(crate) times: u32,
    /// How many are let through before.
    #[serde(default)]
    pub(crate) skip: u32,
}

const fn once() -> u32 {
    1
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AwsFaultKind {
    /// It is answered with an internal error.
    Error,
    /// It is called too often.
    Throttle,
    /// It is done, and its answer gets lost.
    LoseAnswer,
    /// It gets lost on its way.
    LoseRequest,
}

impl AwsFault {
    /// The services that are simulated.
    pub(crate) const SERVICES: [&'static str; 10] = [
        service::SAGEMAKER,
        service::SAGEMAKER_RUNTIME,
        service::CLOUDWATCH,
        service::AUTOSCALING,
        service::DYNAMODB,
        service::SNS,
        service::EVENTBRIDGE,
        service::LAMBDA,
        service::TAGGING,
        service::STS,
    ];

    /// The field that can't be, and why.
    pub(crate) fn unfit(&self) -> Option<(&'static str, String)> {
        if !Self::SERVICES.contains(&self.service.as_str()) {
            return Some(("service", format!("one of {}", Self::SERVICES.join(", "))));
        }
        if self.times == 0 || self.times > MOST_CALLS {
            return Some(("times", format!("from 1 to {MOST_CALLS} calls")));
        }
        None
    }

    /// As the simulator takes it.
    pub(crate) fn injected(&self) -> Fault {
        Fault {
            service: self.service.clone(),
            operation: self.operation.clone(),
            skip: self.skip,
            times: self.times,
            kind: match self.fault {
                AwsFaultKind::Throttle => FaultKind::Throttle,
                AwsFaultKind::LoseAnswer => FaultKind::LoseAnswer,
                AwsFaultKind::LoseRequest => FaultKind::LoseRequest,
                AwsFaultKind::Error => FaultKind::Error {
                    status: 500,
                    code: "InternalFailure".to_owned(),
                    message: "made to fail by canary simulate".to_owned(),
                },
            },
        }
    }

    /// What is left of one; nothing of what only a program can ask for.
    fn left(fault: Fault) -> Option<Self> {
        let kind = match fault.kind {
            FaultKind::Error { .. } => AwsFaultKind::Error,
            FaultKind::Throttle => AwsFaultKind::Throttle,
            FaultKind::LoseAnswer => AwsFaultKind::LoseAnswer,
            FaultKind::LoseRequest => AwsFaultKind::LoseRequest,
            FaultKind::Silence => return None,
        };
        Some(Self {
            service: fault.service,
            operation: fault.operation,
            fault: kind,
            times: fault.times,
            skip: fault.skip,
        })
    }
}

/// Everything that goes wrong on demand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Models that misbehave.
    pub(crate) models: Vec<Disturbed>,
    /// Calls of AWS that are still to go wrong.
    pub(crate) aws: Vec<AwsFault>,
}

/// A model that misbehaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disturbed {
    /// Its name.
    pub(crate) model: String,
    /// The share of its requests that are answered 500.
    pub(crate) error_rate: Rate,
    /// How many times as long its answers take.
    pub(crate) latency_factor: f64,
    /// How much later they come; absent where they don't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) added_latency: Option<Latency>,
    /// When it is over by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
}

impl Faults {
    /// As they stand.
    pub(crate) fn of(models: Vec<(String, Disturbance)>, aws: Vec<Fault>) -> Self {
        let models = models.into_iter().map(|(model, it)| Disturbed {
            model,
            error_rate: in_percent(it.error_rate),
            latency_factor: it.latency_factor,
            added_latency: Latency::from_ms(it.added_latency.as_micros() as f64 / 1000.0),
            until: it.until,
        });
        Self {
            models: models.collect(),
            aws: aws.into_iter().filter_map(AwsFault::left).collect(),
        }
    }
}

/// As it was written: a hundred times 0.07 is a little more than 7.
fn in_percent(share: f64) -> Rate {
    let percent = (share.clamp(0.0, 1.0) * 1e8).round() / 1e6;
    Rate::from_percent(percent).expect("a share was clamped to one")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn model(document: Value) -> ModelFault {
        serde_json::from_value(document).expect("a fault of a model")
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let now = Timestamp::UNIX_EPOCH;
        let errors =
            model(json!({"error_rate": "30%", "for": "10m"})).over(Disturbance::default(), now);
        assert!((errors.error_rate - 0.3).abs() < 1e-12, "{errors:?}");
        assert_eq!(
            errors.until,
            Some("1970-01-01T00:10:00Z".parse().expect("a time"))
        );
        let both = model(json!({"added_latency": "300ms"})).over(errors, now);
        assert_eq!(
            (both.error_rate, both.added_latency, both.until),
            (errors.error_rate, Duration::from_millis(300), None)
        );
    }

    #[test]
    fn a_rate_is_told_as_it_was_written() {
        for written in ["0%", "7%", "12.5%", "55%", "100%"] {
            let rate: Rate = written.parse().expect("a rate");
            assert_eq!(in_percent(rate.fraction()).to_string(), written);
        }
    }

    #[test]
    fn what_can_t_be_is_named_with_the_way_out() {
        for (document, field) in [
            (json!({"model": "m"}), "error_rate"),
            (json!({"added_latency": "61s"}), "added_latency"),
            (json!({"latency_factor": 0.5}), "latency_factor"),
            (json!({"latency_factor": 1001}), "latency_factor"),
        ] {
            let (named, why) = model(document.clone()).unfit().expect("unfit");
            assert!(
                named == field && !why.is_empty(),
                "{document}: {named} {why}"
            );
        }
        assert_eq!(model(json!({"latency_factor": 2.5})).unfit(), None);
        let aws = |service: &str, times: u32| AwsFault {
            service: service.to_owned(),
            operation: None,
            fault: AwsFaultKind::Throttle,
            times,
            skip: 0,
        };
        assert_eq!(
            aws("s3", 1).unfit().map(|(field, _)| field),
            Some("service")
        );
        assert_eq!(aws("sns", 0).unfit().map(|(field, _)| field), Some("times"));
        assert_eq!(aws("sns", 1).unfit(), None);
    }

    #[test]
    fn a_call_that_is_still_to_go_wrong_is_told_as_it_was_asked_for() {
        let asked = json!({"service": "sagemaker", "operation": "UpdateEndpoint", "fault": "lose-answer", "times": 2, "skip": 1});
        let fault: AwsFault = serde_json::from_value(asked.clone()).expect("a fault");
        let told = Faults::of(Vec::new(), vec![fault.injected()]);
        assert_eq!(serde_json::to_value(&told.aws[0]).expect("JSON"), asked);
    }
}
