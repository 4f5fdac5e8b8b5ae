//! Tests of what a stage is said to prove.
//!
//! | module | holds |
//! |---|---|
//! | [`rollouts`] | the foretold beside seeded rollouts of the real signal |
//! | [`extremes`] | order in traffic and time, nothing provable, inputs that no endpoint has |
//! | [`quantiles`] | the curves below it, and slowness as a factor |

mod chance;
mod extremes;
mod quantiles;
mod rollouts;

use super::{Traffic, Watched};
use crate::domain::comparison::{Counts, Settings};
use crate::domain::plan::{Plan, Stage};
use crate::domain::quantity::{Rate, Span, Weight};

/// Stages of `(share in percent, minutes)`, then 100 %.
fn plan(stages: &[(u8, u64)]) -> Plan {
    let stages = stages
        .iter()
        .copied()
        .chain([(100, 0)])
        .map(|(percent, minutes)| Stage {
            weight: Weight::new(percent).expect("a test's shares are shares"),
            bake: Span::from_mins(minutes),
            approval: false,
            min_labels: 0,
        })
        .collect();
    Plan::new(stages, Span::ZERO, Plan::DEADLINE, Vec::new()).expect("a test's plan is one")
}

fn traffic(requests_per_minute: f64) -> Traffic {
    Traffic {
        requests_per_minute,
    }
}

/// One of two signals of the default policy, after a day of production at this rate.
fn watched(rate: f64) -> Watched {
    bursty(rate, 0.0)
}

/// The same with counts that vary more than chance.
fn bursty(rate: f64, kappa: f64) -> Watched {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a million"
    )]
    let bad = (rate * 1e6) as u64;
    let history = Counts::new(1_000_000, bad).expect("a test's rates are rates");
    Watched {
        rate,
        settings: Settings::new(1.25, 5_760, history, kappa.clamp(0.1, 5.0))
            .expect("these are fit"),
        kappa,
        parts: 2,
        alpha: Rate::from_percent(1.0).expect("one percent is a rate"),
    }
}
