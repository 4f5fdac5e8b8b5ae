//! The share of the requests that the canary was meant to get, where users are asked of it by name.
//!
//! A bucket holds a hundredth of the users and not of their requests, so the weights alone don't say
//! what a fair split is: a few heavy users are no fault of routing. What `inference` asked for by name
//! counts as meant, whether it was answered or not, and the weights speak for the rest. A request that went by
//! the weights and failed is not told of: nobody says which variant it was. Who calls SageMaker without `inference` may go
//! by either, which nobody can tell: then nothing is said about the split.

use crate::domain::comparison::Counts;
use crate::domain::model_signals::ROUTED;
use crate::domain::observation::ArmMinute;

/// Of the requests, so many in ten have to be accounted for.
const ACCOUNTED_OF_TEN: u64 = 9;

/// The share that the canary was meant to get of a minute's requests, or why that is not known.
pub(super) fn intended(
    share: f64,
    canary: Option<&ArmMinute>,
    production: Option<&ArmMinute>,
) -> Result<f64, String> {
    let requests = |arm: Option<&ArmMinute>| arm.map_or(0, |arm| arm.invocations);
    let through = |arm: Option<&ArmMinute>| {
        arm.and_then(|arm| arm.checks.get(ROUTED).copied())
            .unwrap_or(Counts::NONE)
    };
    let (ours, theirs) = (through(canary), through(production));
    let all = requests(canary) + requests(production);
    let accounted = ours.n() + theirs.n();
    if accounted == 0 || accounted * 10 < all * ACCOUNTED_OF_TEN {
        return Err(format!(
            "the split is not judged: of {all} requests inference tells of {accounted} by what they were routed; the others failed, or came another way"
        ));
    }
    let by_weight = accounted - ours.x() - theirs.x();
    Ok((ours.x() as f64 + share * by_weight as f64) / accounted as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(requests: u64, served: u64, by_name: u64) -> ArmMinute {
        let counts = Counts::new(served, by_name).expect("no more than served");
        ArmMinute {
            invocations: requests,
            checks: [(ROUTED.to_owned(), counts)].into(),
            ..ArmMinute::default()
        }
    }

    fn of(share: f64, canary: &ArmMinute, production: &ArmMinute) -> Result<f64, String> {
        intended(share, Some(canary), Some(production))
    }

    #[test]
    fn what_was_asked_for_by_name_is_meant_and_the_weights_speak_for_the_rest() {
        // 1000 by name, 300 of them of the canary, and 200 by a weight of 10 %.
        let found = of(0.1, &arm(320, 320, 300), &arm(880, 880, 700));
        assert_eq!(found, Ok((300.0 + 20.0) / 1200.0));
        // Heavy users of the canary's buckets are no fault.
        assert_eq!(of(0.1, &arm(600, 600, 600), &arm(400, 400, 400)), Ok(0.6));
        // Without any user the weights decide.
        assert_eq!(of(0.25, &arm(30, 30, 0), &arm(90, 90, 0)), Ok(0.25));
    }

    #[test]
    fn requests_that_came_another_way_leave_it_open() {
        for (canary, production) in [
            (arm(100, 80, 80), arm(900, 700, 700)),
            (
                ArmMinute {
                    invocations: 10,
                    ..ArmMinute::default()
                },
                arm(0, 0, 0),
            ),
        ] {
            let why = of(0.1, &canary, &production).expect_err("too few are accounted for");
            assert!(why.contains("is not judged"), "{why}");
        }
        assert!(intended(0.1, None, None).is_err());
        // A few that straddle the minute are no other way.
        assert!(of(0.1, &arm(100, 95, 95), &arm(900, 880, 880)).is_ok());
    }
}
