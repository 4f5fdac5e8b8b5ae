//! A model that misbehaves on demand, whatever serves it: some of its answers fail, all come late.
//!
//! What is disturbed is the model by name, so that one that is deployed later misbehaves from its first request.
//! It happens before the metrics are written, as a fault of the container's own would.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::backend::Outcome;

/// How a model misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// Share of requests that are answered 500 in place of the model, from 0 to 1.
    pub error_rate: f64,
    /// So many times as long each answer takes, from 1.
    pub latency_factor: f64,
    /// And this much longer.
    pub added_latency: Duration,
    /// When it is over by itself, in virtual time.
    pub until: Option<Timestamp>,
}

impl Default for Disturbance {
    /// None at all.
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            latency_factor: 1.0,
            added_latency: Duration::ZERO,
            until: None,
        }
    }
}

impl Disturbance {
    /// Whether it is still in force.
    pub(super) fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether this request fails.
    pub(super) fn fails(&self, random: &mut ChaCha8Rng) -> bool {
        random.random::<f64>() < self.error_rate
    }

    /// How much longer an answer takes that took so long by itself.
    pub(super) fn longer(&self, took: Duration) -> Duration {
        let factor = (self.latency_factor - 1.0).max(0.0);
        let longer = Duration::try_from_secs_f64(took.as_secs_f64() * factor);
        longer
            .unwrap_or(Duration::MAX)
            .saturating_add(self.added_latency)
    }

    /// What becomes of a made-up answer.
    pub(super) fn of(&self, outcome: Outcome, random: &mut ChaCha8Rng) -> Outcome {
        let took = Duration::try_from_secs_f64(outcome.model_latency_us / 1e6).unwrap_or_default();
        Outcome {
            status: if self.fails(random) {
                500
            } else {
                outcome.status
            },
            model_latency_us: outcome.model_latency_us + self.longer(took).as_micros() as f64,
            ..outcome
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const GOOD: Outcome = Outcome {
        status: 200,
        model_latency_us: 10_000.0,
        overhead_latency_us: 3_000.0,
    };

    #[test]
    fn answers_fail_as_often_and_take_as_long_as_they_were_told_to() {
        let disturbance = Disturbance {
            error_rate: 0.3,
            latency_factor: 2.0,
            added_latency: Duration::from_millis(5),
            until: None,
        };
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let outcomes: Vec<Outcome> = (0..10_000)
            .map(|_| disturbance.of(GOOD, &mut random))
            .collect();
        let failed = outcomes
            .iter()
            .filter(|outcome| outcome.status == 500)
            .count();
        assert!((2_850..3_150).contains(&failed), "{failed}");
        for outcome in outcomes {
            // 10 ms twice, and 5 ms.
            assert!(
                (outcome.model_latency_us - 25_000.0).abs() < 1.0,
                "{outcome:?}"
            );
            assert!((outcome.overhead_latency_us - 3_000.0).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn nothing_is_disturbed_by_none_and_nothing_after_its_end() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let outcome = Disturbance::default().of(GOOD, &mut random);
        assert!(
            outcome.status == 200 && (outcome.model_latency_us - 10_000.0).abs() < f64::EPSILON
        );
        let end = Timestamp::UNIX_EPOCH;
        let disturbance = Disturbance {
            until: Some(end),
            ..Disturbance::default()
        };
        let second = jiff::SignedDuration::from_secs(1);
        assert!(disturbance.lasts(end - second) && !disturbance.lasts(end));
    }
}
