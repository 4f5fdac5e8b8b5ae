//! When the model registry is told how a deployment came out, and when that is given up.

use super::builders::*;
use super::registry::{FORMER, NEW, arn, brief, packages, went_back};
use crate::domain::decide::{Decision, after};
use crate::domain::due::{self, Effect};
use crate::domain::history::{Name, Severity};
use crate::domain::invariants::violations;
use crate::domain::observation::EndpointReading;
use crate::domain::protocol;
use crate::domain::registry::*;
use crate::domain::state::{Outcome, Phase, Status};

/// The case, of a deployment that is about both versions.
fn of_packages(case: Case) -> Case {
    case.with(|case| case.deployment.terms.packages = packages())
}

/// With what is to be told since so many minutes ago.
fn filing(case: Case, ending: Ending, ago: i64) -> Case {
    of_packages(case).with(|case| {
        case.deployment.state.filing = Some(Filing {
            since: case.now - minutes(ago),
            ending,
            told: Vec::new(),
            filed: None,
            refused: None,
        });
    })
}

fn refused(case: Case, ago: i64) -> Case {
    case.with(|case| {
        let at = case.now - minutes(ago);
        let why = "ThrottlingException".to_owned();
        let filing = case.deployment.state.filing.as_mut().unwrap();
        filing.refused = Some(Refused { at, why });
    })
}

fn due(case: &Case, endpoint: &EndpointReading) -> Option<Effect> {
    due::due(&case.deployment, &case.evidence, endpoint, case.now)
}

fn ending_of(decision: &Decision) -> Option<Ending> {
    let filing = decision.next.state.filing.clone();
    filing.map(|filing| filing.ending)
}

#[test]
fn a_rollback_is_told_as_soon_as_production_has_everything_back() {
    let because = |case: Case| {
        of_packages(case)
            .with(|case| case.deployment.state.cause = Some("too many errors".to_owned()))
    };
    let back = goes_on_after_reverting();
    let rolled_back = because(Case::reverting(30, Outcome::RolledBack));
    let decision = check(
        &rolled_back,
        &seen(split(0)),
        &back.clone().due(Effect::Register),
    );
    assert_eq!(ending_of(&decision), Some(went_back("too many errors")));
    for outcome in [Outcome::Cancelled, Outcome::RolledBack] {
        // The verdict on a model that nobody was served by is another's: there may have been no room for it.
        let unserved = because(Case::reverting(0, outcome));
        let decision = check(&unserved, &seen(split(0)), &back.clone().nothing_due());
        assert_eq!(ending_of(&decision), None, "{outcome:?}");
        // The weights had moved, and the pass that would have confirmed it came too late.
        let served = unserved.with(|case| case.deployment.state.had_traffic = true);
        let decision = check(&served, &seen(split(0)), &back.clone());
        let expected = Some(went_back("too many errors"));
        assert_eq!(ending_of(&decision), expected, "{outcome:?}");
    }
    let late = because(Case::reverting(10, Outcome::Cancelled));
    let decision = check(&late, &seen(split(0)), &back.clone());
    assert_eq!(ending_of(&decision), Some(went_back("too many errors")));
    let undo = because(Case::reverting(30, Outcome::RolledBack))
        .with(|case| case.deployment.terms.undoes = Some("019b".to_owned()));
    assert_eq!(
        ending_of(&check(&undo, &seen(split(0)), &back.clone())),
        None
    );
    let unnamed = Case::reverting(30, Outcome::RolledBack);
    assert_eq!(ending_of(&check(&unnamed, &seen(split(0)), &back)), None);
}

/// Said once, for the incident and for the registry alike.
#[test]
fn there_may_be_traffic_from_the_moment_that_weights_may_move() {
    let at = |instances: u32| seen(split(0).canary_instances(instances, 1));
    let grows = becomes(Status::InProgress, Phase::Scaling);
    let decision = check(&Case::scaling(0, 10), &at(0), &grows);
    assert!(!decision.next.state.had_traffic);
    let moves = becomes(Status::InProgress, Phase::Shifting);
    let decision = check(&Case::scaling(0, 10), &at(1), &moves);
    assert!(decision.next.state.had_traffic);
}

fn goes_on_after_reverting() -> Expect {
    becomes(Status::RollingBack, Phase::CleaningUp).tells(&[Name::Reverted])
}

#[test]
fn a_completion_is_told_once_it_is_one() {
    let tidied = of_packages(Case::cleaning(Outcome::Completed))
        .with(|case| case.deployment.state.cleaned = true);
    let over = becomes(Status::Completed, Phase::Ended).tells(&[Name::Completed]);
    let decision = check(&tidied, &seen(finished()), &over.due(Effect::Register));
    assert_eq!(ending_of(&decision), Some(Ending::Completed));
    assert!(decision.next.state.is_active(), "until it is told");
    let failed = of_packages(Case::cleaning(Outcome::Failed))
        .with(|case| case.deployment.state.cleaned = true);
    let over = becomes(Status::Failed, Phase::Ended).nothing_due();
    check(&failed, &seen(split(30)), &over);
}

#[test]
fn the_endpoint_comes_first_and_waits_for_nothing() {
    // The canary has got a share again: it is taken back before anything is told.
    let inspected = || filing(Case::cleaning(Outcome::RolledBack), went_back("errors"), 1);
    assert_eq!(
        due(&inspected(), &EndpointReading::Seen(split(0))),
        Some(Effect::Register)
    );
    assert_eq!(
        due(&inspected(), &EndpointReading::Seen(split(10))),
        Some(Effect::TakeBack)
    );
    let removal =
        inspected().with(|case| case.deployment.state.phase_since = case.now - minutes(60));
    assert!(matches!(
        due(&removal, &EndpointReading::Seen(split(0))),
        Some(Effect::Deploy { .. })
    ));
    // Neither a lease nor an endpoint that can't be read is in its way.
    assert_eq!(
        due(&inspected().leased(), &EndpointReading::Seen(split(0))),
        Some(Effect::Register)
    );
    assert_eq!(due(&inspected(), &unread()), Some(Effect::Register));
    assert!(!Effect::Register.is_leased());
    // And the end does not wait for it.
    let refused = refused(inspected(), 1).with(|case| case.deployment.state.cleaned = true);
    let over = becomes(Status::RolledBack, Phase::Ended).tells(&[Name::RolledBack]);
    let decision = check(&refused, &seen(original()), &over.nothing_due());
    assert!(decision.next.state.is_active());
}

#[test]
fn what_is_refused_is_tried_again_after_a_while() {
    let ended = || filing(Case::ended(Outcome::Completed), Ending::Completed, 30);
    let view = || EndpointReading::Seen(finished());
    assert_eq!(due(&ended(), &view()), Some(Effect::Register));
    assert_eq!(due(&refused(ended(), 4), &view()), None);
    assert_eq!(due(&refused(ended(), 5), &view()), Some(Effect::Register));
    let told = ended().with(|case| {
        case.deployment.state.filing.as_mut().unwrap().filed = Some("so".to_owned());
    });
    assert_eq!(due(&told, &view()), None);
}

fn round(told: &[&str], refusal: Option<&str>) -> Round {
    let told = told.iter().map(|package| Told {
        package: arn(package),
        says: format!("{package} is so"),
    });
    Round {
        told: told.collect(),
        refusal: refusal.map(str::to_owned),
    }
}

#[test]
fn an_answer_is_kept_once() {
    let case = filing(Case::ended(Outcome::Completed), Ending::Completed, 1);
    let (before, now) = (&case.deployment, case.now);
    let no = protocol::registered(before, &round(&[], Some("denied")), now).unwrap();
    let kept = no.state.filing.clone().unwrap().refused;
    let why = "denied".to_owned();
    assert_eq!(kept, Some(Refused { at: now, why }));
    let yes = protocol::registered(&no, &round(&[NEW, FORMER], None), now).unwrap();
    let filing = yes.state.filing.clone().unwrap();
    let says = format!("{NEW} is so; {FORMER} is so");
    assert_eq!(
        (filing.filed.as_deref(), &filing.refused),
        (Some(says.as_str()), &None)
    );
    assert!(yes.standings().is_empty());
    let late = round(&[], Some("late"));
    assert_eq!(protocol::registered(&yes, &late, now), None);
    assert_eq!(
        protocol::registered(&watched_out(&case), &round(&[NEW, FORMER], None), now),
        None
    );
}

/// One version that can't be told is nothing to the other, and is all that is left.
#[test]
fn what_was_told_is_not_told_again() {
    let case = filing(Case::ended(Outcome::Completed), Ending::Completed, 1);
    let (before, now) = (&case.deployment, case.now);
    let half = protocol::registered(before, &round(&[NEW], Some("denied")), now).unwrap();
    assert_eq!(
        brief(&half.standings()),
        [(FORMER, None, Some(Stage::Archived))]
    );
    let filed = half.state.filing.clone().unwrap();
    assert_eq!((filed.told.len(), &filed.filed), (1, &None));
    let is_due = |after| filed.is_due(now + minutes(after));
    assert!(!is_due(4) && is_due(5));
    // By two at once, twice.
    let again = protocol::registered(&half, &round(&[NEW], Some("denied")), now).unwrap();
    assert_eq!(again.state.filing.clone().unwrap().told, filed.told);
    let all = protocol::registered(&again, &round(&[FORMER], None), now).unwrap();
    let says = format!("{NEW} is so; {FORMER} is so");
    assert_eq!(all.state.filing.unwrap().filed, Some(says));
    // Given up, it is said what is left and what is not.
    let late = filing(Case::ended(Outcome::Completed), Ending::Completed, 60);
    let late = late.with(|case| {
        let filing = case.deployment.state.filing.as_mut().unwrap();
        filing.told = round(&[NEW], None).told;
    });
    let decision = look(&late, None);
    let [(Name::RegistryLeft, _, reason)] = told(&decision)[..] else {
        panic!("one line: {:?}", decision.entries)
    };
    let (wanted, so) = (
        format!("{FORMER} is to be in stage Archived"),
        format!("{NEW} is so"),
    );
    assert!(
        reason.ends_with(&format!("{wanted}; it was told: {so}")),
        "{reason}"
    );
}

/// The same once nobody tries any more.
fn watched_out(case: &Case) -> crate::domain::deployment::Deployment {
    let mut deployment = case.deployment.clone();
    deployment.state.filing = None;
    deployment
}

#[track_caller]
fn look(case: &Case, successor: Option<&after::Successor>) -> Decision {
    assert_eq!(violations(&case.deployment), Vec::<String>::new());
    let observation = seen(case.endpoint());
    let (deployment, evidence) = (&case.deployment, &case.evidence);
    let decision = after::look_after(deployment, evidence, &observation, successor, case.now);
    assert_eq!(violations(&decision.next), Vec::<String>::new());
    decision
}

/// Another deployment, of this version.
fn other(package: Option<&str>) -> after::Successor {
    after::Successor {
        id: "019c-other".to_owned(),
        package: package.map(arn),
    }
}

fn told(decision: &Decision) -> Vec<(Name, Severity, &str)> {
    let entries = decision.entries.iter();
    entries
        .map(|it| (it.event, it.severity, it.reason.as_str()))
        .collect()
}

#[test]
fn after_the_end_it_is_followed_until_it_is_told_or_given_up() {
    for outcome in [Outcome::Completed, Outcome::RolledBack, Outcome::Failed] {
        let ending = match outcome {
            Outcome::Completed => Ending::Completed,
            _ => went_back("errors"),
        };
        let waits = filing(Case::ended(outcome), ending.clone(), 59);
        assert!(after::is_due(&waits.deployment, &waits.evidence, waits.now));
        let decision = look(&waits, None);
        assert_eq!(
            (told(&decision), &decision.next),
            (Vec::new(), &waits.deployment)
        );
        let filed = waits.clone().with(|case| {
            case.deployment.state.filing.as_mut().unwrap().filed = Some("all is said".to_owned());
        });
        let decision = look(&filed, Some(&other(Some(NEW))));
        let expected = "the model registry says now: all is said";
        assert_eq!(
            told(&decision),
            [(Name::Registered, Severity::Info, expected)]
        );
        assert!(!decision.next.state.is_active());
        for (late, successor, why) in [
            (
                filing(Case::ended(outcome), ending.clone(), 60),
                None,
                "it was not reached",
            ),
            (
                refused(filing(Case::ended(outcome), ending, 60), 3),
                None,
                "ThrottlingException",
            ),
            (
                waits,
                Some(&other(Some(NEW))),
                "deployment 019c-other has begun",
            ),
        ] {
            let decision = look(&late, successor);
            let [(name, severity, reason)] = told(&decision)[..] else {
                panic!("one line: {:?}", decision.entries)
            };
            assert_eq!((name, severity), (Name::RegistryLeft, Severity::Warning));
            assert!(reason.contains(why) && reason.contains(NEW), "{reason}");
            assert!(!decision.next.state.is_active());
        }
    }
}

/// Whatever else is deployed after it, a version that went back is as bad as it was.
#[test]
fn a_rejection_gives_way_to_another_deployment_of_the_same_version_only() {
    let back = || filing(Case::ended(Outcome::RolledBack), went_back("errors"), 1);
    assert!(after::asks_what_follows(&back().deployment));
    for follows in [other(None), other(Some(FORMER))] {
        let decision = look(&back(), Some(&follows));
        assert_eq!(decision.next, back().deployment, "{follows:?}");
    }
    let decision = look(&back(), Some(&other(Some(&NEW.replace("wine", "Wine")))));
    assert_eq!(told(&decision)[0].0, Name::RegistryLeft);
    // A completion is replaced by whatever follows it.
    let completed = filing(Case::ended(Outcome::Completed), Ending::Completed, 1);
    assert!(!after::asks_what_follows(&completed.deployment));
    let decision = look(&completed, Some(&other(None)));
    assert_eq!(told(&decision)[0].0, Name::RegistryLeft);
}

#[test]
fn a_completion_that_somebody_has_replaced_is_not_told_any_more() {
    let case = filing(Case::ended(Outcome::Completed), Ending::Completed, 1);
    let foreign = endpoint("someone-elses", vec![variant(CANARY, 100, INSTANCES)]);
    let (deployment, evidence) = (&case.deployment, &case.evidence);
    let decision = after::look_after(deployment, evidence, &seen(foreign), None, case.now);
    assert_eq!(told(&decision)[0].0, Name::RegistryLeft);
    assert!(told(&decision)[0].2.contains("config someone-elses"));
    let unread = after::look_after(deployment, evidence, &reading(unread()), None, case.now);
    assert_eq!(
        unread.next, case.deployment,
        "what could not be read says nothing"
    );
}
