//! The way back: at once, or down by steps that fall and last long enough to be judged.

use super::super::raw::{RawRollback, RollbackMode, WholePercent};
use super::super::{SpecificationError, wrong};
use crate::domain::quantity::{Span, Weight};
use crate::domain::retreat::{Rollback, Steps};

/// The most steps that are taken for meant.
pub(in super::super) const MOST_STEPS: usize = 20;
/// How long a share on the way down may be kept. A minute that lies wholly in it is judged four
/// minutes after the step at the latest, and without one nobody could tell whether to `resume`.
pub(in super::super) const EVERY: (Span, Span) = (Span::from_mins(5), Span::from_hours(24));

impl RawRollback {
    pub(super) fn check(self) -> Result<Rollback, SpecificationError> {
        let steps = match (self.mode, self.weights, self.every) {
            (RollbackMode::Immediate, None, None) => None,
            (RollbackMode::Immediate, Some(_), _) => return Err(of_steps("weights")),
            (RollbackMode::Immediate, None, Some(_)) => return Err(of_steps("every")),
            (RollbackMode::Gradual, weights, every) => Some(Steps {
                weights: falling(&weights.unwrap_or_default())?,
                every: lasting(every)?,
            }),
        };
        let step_backs = self.step_backs.unwrap_or(Rollback::STEP_BACKS);
        if step_backs > Rollback::MOST_STEP_BACKS {
            return Err(wrong(
                "rollback.step_backs",
                "step_backs is a number from 0 to 10; 0 takes everything back at the first such breach",
            ));
        }
        Ok(Rollback { steps, step_backs })
    }
}

fn of_steps(field: &str) -> SpecificationError {
    wrong(
        format!("rollback.{field}"),
        "belongs to the way down by steps: say mode: gradual, or leave it out",
    )
}

fn falling(weights: &[WholePercent]) -> Result<Vec<Weight>, SpecificationError> {
    if weights.is_empty() || weights.len() > MOST_STEPS {
        return Err(wrong(
            "rollback.weights",
            "mode: gradual needs 1 to 20 shares on the way down, like [25, 10]; the last step, to 0, is not named",
        ));
    }
    let mut before = Weight::FULL;
    for (index, WholePercent(weight)) in weights.iter().enumerate() {
        if *weight >= before {
            return Err(wrong(
                format!("rollback.weights[{index}]"),
                format!(
                    "{weight} does not fall below {before}; shares on the way down are whole percent from 99 to 1, each below the one before"
                ),
            ));
        }
        before = *weight;
    }
    Ok(weights.iter().map(|WholePercent(weight)| *weight).collect())
}

fn lasting(every: Option<Span>) -> Result<Span, SpecificationError> {
    let (shortest, longest) = EVERY;
    match every {
        Some(every) if (shortest..=longest).contains(&every) => Ok(every),
        Some(_) => Err(wrong(
            "rollback.every",
            "every is from 5m to 24h: a share is judged some minutes late, and a breach is not to last for days",
        )),
        None => Err(wrong(
            "rollback.every",
            "mode: gradual needs to know how long each share is kept, like \"1h\"",
        )),
    }
}
