//! What a line of history says of the canary's share: the one that it is to have, and the one that was
//! seen in force, where that is known.

use super::builders::*;
use crate::domain::decide;
use crate::domain::history::{Entry, Name};
use crate::domain::observation::{AlarmReading, EndpointReading, Observation};
use crate::domain::policy::OnDrift;
use crate::domain::quantity::Weight;
use crate::domain::state::Outcome;

/// What happened, the share intended and the one confirmed, in percent.
type Shares = (Name, u8, Option<u8>);

fn shares(entries: &[Entry]) -> Vec<Shares> {
    let of = |entry: &Entry| {
        let confirmed = entry.confirmed_weight.map(Weight::percent);
        (entry.event, entry.weight.percent(), confirmed)
    };
    entries.iter().map(of).collect()
}

#[track_caller]
fn tells(case: &Case, seen: &Observation, expected: &[Shares]) {
    let decision = decide::decide(&case.deployment, &case.evidence, seen, case.now).unwrap();
    assert_eq!(shares(&decision.entries), expected);
}

#[test]
fn a_share_is_in_force_once_describe_endpoint_shows_it() {
    tells(
        &Case::baking(30),
        &seen(split(30)),
        &[(Name::Scaling, 40, Some(30))],
    );
    tells(
        &Case::shifting(20, 30),
        &seen(split(30)),
        &[(Name::Shifted, 30, Some(30))],
    );
    let resting = Case::descending(30, 25);
    tells(&resting, &seen(split(25)), &[(Name::Shifted, 25, Some(25))]);
    let firing = AlarmReading::Firing(vec!["pager".to_owned()]);
    let back = [
        (Name::RollingBack, 0, Some(30)),
        (Name::Incident, 0, Some(30)),
    ];
    tells(&Case::baking(30), &seen(split(30)).alarms(firing), &back);
    tells(
        &Case::reverting(30, Outcome::RolledBack),
        &seen(split(0)),
        &[(Name::Reverted, 0, Some(0))],
    );
}

/// The first raise may have landed before it was called off: nobody knows that it is at 0 %.
#[test]
fn a_raise_that_was_called_off_leaves_it_open_which_share_is_in_force() {
    let firing = AlarmReading::Firing(vec!["pager".to_owned()]);
    let back = [(Name::RollingBack, 0, None), (Name::Incident, 0, None)];
    let raised = Case::shifting(0, 10);
    tells(&raised, &seen(split(0)).alarms(firing), &back);
}

#[test]
fn what_somebody_else_changed_is_not_said_to_be_in_force() {
    let case = Case::baking(30);
    let changed = seen(split(45));
    let decision =
        decide::decide(&case.deployment, &case.evidence, &changed, case.now).expect("it holds");
    let told: [Shares; 2] = [(Name::Drift, 30, None), (Name::Held, 30, None)];
    assert_eq!(shares(&decision.entries), told);
    let after = case
        .clone()
        .with(|case| (case.deployment, case.evidence) = (decision.next, decision.evidence));
    let over = [
        (Name::DriftEnded, 30, Some(30)),
        (Name::Scaling, 40, Some(30)),
    ];
    tells(&after, &seen(split(30)), &over);
    let left = [(Name::CleaningUp, 30, None)];
    tells(&case, &reading(EndpointReading::Missing), &left);
    let abandons = case.with(|case| case.deployment.terms.policy.on_drift = OnDrift::Abandon);
    tells(&abandons, &changed, &left);
    let ended = Case::cleaning(Outcome::Failed).with(|case| case.deployment.state.cleaned = true);
    tells(
        &ended,
        &reading(EndpointReading::Missing),
        &[(Name::Failed, 30, None)],
    );
}
