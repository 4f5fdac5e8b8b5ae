//! The model registry: which ARNs name a version, where versions are to stand, and when that is told.

use super::builders::*;
use crate::domain::authority::Home;
use crate::domain::decide::{Decision, after};
use crate::domain::due::{self, Effect};
use crate::domain::history::{Name, Severity};
use crate::domain::invariants::violations;
use crate::domain::observation::EndpointReading;
use crate::domain::protocol;
use crate::domain::registry::*;
use crate::domain::specification::is_name;
use crate::domain::state::{Outcome, Phase, Status};

const NEW: &str = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3";
const FORMER: &str = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/2";

fn arn(text: &str) -> PackageArn {
    PackageArn::parse(text).unwrap()
}

pub(super) fn packages() -> Packages {
    Packages {
        new: Some(arn(NEW)),
        former: Some(arn(FORMER)),
    }
}

#[test]
fn only_a_version_in_a_group_is_named() {
    assert_eq!(arn(NEW).as_str(), NEW);
    assert_eq!(arn(NEW).home(), Home::of(NEW));
    assert!(arn(NEW).is_same(&NEW.replace("wine", "Wine")) && !arn(NEW).is_same(FORMER));
    let of = |resource: &str| format!("arn:aws:sagemaker:eu-central-1:123456789012:{resource}");
    let long = "a".repeat(64);
    let rows = [
        (of("model-package-group/wine-quality"), NoPackage::Group),
        (of("model-package/wine-quality"), NoPackage::Unversioned),
        (of("model-package/wine-quality/"), NoPackage::Other),
        (of("model-package/wine-quality/0"), NoPackage::Other),
        (of("model-package/wine-quality/03"), NoPackage::Other),
        (of("model-package/wine-quality/-3"), NoPackage::Other),
        (
            of("model-package/wine-quality/1234567890"),
            NoPackage::Other,
        ),
        (of("model-package/wine-quality/3/4"), NoPackage::Other),
        (of("model-package/-wine/3"), NoPackage::Other),
        (of(&format!("model-package/{long}/3")), NoPackage::Other),
        (of("model/wine-quality"), NoPackage::Other),
        (of("model-package/wine\nquality/3"), NoPackage::Other),
        (NEW.replace("sagemaker", "s3"), NoPackage::Other),
        (NEW.replace("123456789012", "12345"), NoPackage::Other),
        (NEW.replace("eu-central-1", ""), NoPackage::Other),
        (
            NEW.replace("eu-central-1", &long.repeat(2)),
            NoPackage::Other,
        ),
        ("wine-quality".to_owned(), NoPackage::Other),
        (String::new(), NoPackage::Other),
    ];
    for (text, why) in rows {
        assert_eq!(PackageArn::parse(&text), Err(why), "{text}");
    }
}

#[test]
fn the_models_name_is_a_name_and_begins_with_the_groups() {
    assert_eq!(arn(NEW).model_name(), "wine-quality-package-3");
    for length in 1..=63 {
        for version in ["1", "999999999"] {
            // Hyphens wherever the end of the stem may fall.
            let inner = "a-".repeat(length);
            let group = format!("{}z", &inner[..length - 1]).replace("-z", "az");
            let name = arn(&NEW.replace("wine-quality/3", &format!("{group}/{version}")));
            let name = name.model_name();
            assert!(is_name(&name), "{name}");
            let stem: String = group.chars().take(44).collect();
            assert!(name.starts_with(stem.trim_end_matches('-')), "{name}");
        }
    }
}

#[test]
fn what_is_not_an_arn_never_comes_out_of_a_record() {
    let read = |text: &str| serde_json::from_value::<PackageArn>(serde_json::json!(text));
    assert_eq!(read(NEW).unwrap(), arn(NEW));
    assert!(read("wine-quality").is_err());
    let empty: Packages = serde_json::from_str("{}").unwrap();
    assert!(empty.is_none());
    assert_eq!(serde_json::to_string(&empty).unwrap(), "{}");
}

#[test]
fn only_what_is_whole_and_accepted_is_deployed() {
    let view = |status: &str, approval| PackageView {
        status: status.to_owned(),
        approval,
        stage: None,
    };
    let strict = Accepted::default();
    let lenient = Accepted::parse("Approved PendingManualApproval");
    let kind = |view: &PackageView, accepted| view.unfit(&arn(NEW), accepted).map(|it| it.kind);
    let not_approved = Some("model-package-not-approved");
    let rows = [
        (Some(Approval::Approved), None, None),
        (Some(Approval::PendingManualApproval), not_approved, None),
        (Some(Approval::Rejected), not_approved, not_approved),
        (None, not_approved, not_approved),
    ];
    for (approval, strictly, leniently) in rows {
        let seen = view("Completed", approval);
        assert_eq!(kind(&seen, strict), strictly, "{approval:?}");
        assert_eq!(kind(&seen, lenient), leniently, "{approval:?}");
    }
    for status in ["Pending", "InProgress", "Failed", "Deleting", "", "Odd"] {
        let seen = view(status, Some(Approval::Approved));
        assert_eq!(
            kind(&seen, lenient),
            Some("model-package-not-ready"),
            "{status}"
        );
    }
    for other in ["", "Approved", "Rejected", "pendingmanualapproval"] {
        assert_eq!(Accepted::parse(other), strict, "{other}");
    }
}

fn about(undoes: bool) -> About<'static> {
    About {
        id: "019c",
        endpoint: "wine",
        model: "wine-quality-package-3",
        undoes,
    }
}

fn went_back(why: &str) -> Ending {
    Ending::WentBack {
        why: why.to_owned(),
    }
}

/// Package, approval and stage of each.
fn brief(standings: &[Standing]) -> Vec<(&str, Option<Approval>, Option<Stage>)> {
    let brief = |it: &Standing| {
        let approval = it.approval.as_ref().map(|(approval, _)| *approval);
        (approval, it.stage.as_ref().map(|(stage, _)| *stage))
    };
    let all = standings.iter();
    all.map(|it| (it.package.as_str(), brief(it).0, brief(it).1))
        .collect()
}

#[test]
fn each_ending_has_its_standings() {
    let at = |packages: &Packages, ending: &Ending, undoes| {
        brief(&standings(packages, ending, about(undoes)))
            .into_iter()
            .map(|(package, approval, stage)| (package.to_owned(), approval, stage))
            .collect::<Vec<_>>()
    };
    let production = |approval| (NEW.to_owned(), approval, Some(Stage::Production));
    let archived = (FORMER.to_owned(), None, Some(Stage::Archived));
    assert_eq!(
        at(&packages(), &Ending::Completed, false),
        [production(Some(Approval::Approved)), archived.clone()]
    );
    // An undo is no verdict on what it brings back, nor is its end on what it was to replace.
    assert_eq!(
        at(&packages(), &Ending::Completed, true),
        [production(None), archived.clone()]
    );
    assert!(at(&packages(), &went_back("errors"), true).is_empty());
    assert_eq!(
        at(&packages(), &went_back("errors"), false),
        [(NEW.to_owned(), Some(Approval::Rejected), None)]
    );
    let alone = Packages {
        former: None,
        ..packages()
    };
    assert_eq!(
        at(&alone, &Ending::Completed, false),
        [production(Some(Approval::Approved))]
    );
    let replaced = Packages {
        new: None,
        ..packages()
    };
    assert_eq!(at(&replaced, &Ending::Completed, true), [archived]);
    assert!(at(&Packages::default(), &Ending::Completed, false).is_empty());
}

#[test]
fn a_reason_fits_into_the_registry() {
    let why = format!("5XX errors\nof the canary\u{7}: {}", "é".repeat(2000));
    let told = standings(&packages(), &went_back(&why), about(false)).remove(0);
    let (_, said) = told.approval.unwrap();
    assert_eq!(said.chars().count(), 1024);
    assert!(
        said.starts_with("wine: 5XX errors of the canary : éé"),
        "{said}"
    );
    assert!(!said.chars().any(char::is_control));
}

#[test]
fn what_the_registry_says_already_is_not_said_again_and_nobody_is_overruled() {
    let wanted = standings(&packages(), &Ending::Completed, about(false));
    let [new, former] = wanted.as_slice() else {
        panic!("two versions")
    };
    let seen = |approval, stage: Option<(&str, &str)>| PackageView {
        status: "Completed".to_owned(),
        approval: Some(approval),
        stage: stage.map(|(stage, status)| (stage.to_owned(), status.to_owned())),
    };
    let left = |standing: &Standing, found: &PackageView| {
        let left = standing.over(found);
        left.map(|left| (left.approval.is_some(), left.stage.is_some()))
    };
    let production = Some(("Production", "Approved"));
    let pending = Approval::PendingManualApproval;
    let rows = [
        (seen(pending, None), Some((true, true))),
        (seen(Approval::Approved, None), Some((false, true))),
        (
            seen(Approval::Approved, Some(("Production", "PendingApproval"))),
            Some((false, true)),
        ),
        (seen(Approval::Approved, production), None),
        (seen(pending, production), Some((true, false))),
        // Somebody rejected it while it was rolled out: that it serves is so, that it is fine is not.
        (seen(Approval::Rejected, None), Some((false, true))),
        (seen(Approval::Rejected, production), None),
    ];
    for (found, expected) in rows {
        assert_eq!(left(new, &found), expected, "{found:?}");
    }
    let rejected = seen(Approval::Rejected, None);
    assert!(
        new.in_words_over(&rejected)
            .contains("Rejected by somebody meanwhile")
    );
    assert_eq!(
        new.in_words(),
        format!("{NEW} is Approved and in stage Production")
    );
    assert_eq!(left(former, &rejected), Some((false, true)));
    assert_eq!(
        former.in_words_over(&rejected),
        format!("{FORMER} is in stage Archived")
    );
    let back = standings(&packages(), &went_back("errors"), about(false)).remove(0);
    assert_eq!(
        left(&back, &rejected),
        None,
        "with the reason that somebody gave"
    );
    assert_eq!(left(&back, &seen(pending, None)), Some((true, false)));
}

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
    // The verdict on a model that nobody was served by is another's.
    let cancelled = because(Case::reverting(0, Outcome::Cancelled));
    let decision = check(&cancelled, &seen(split(0)), &back.clone().nothing_due());
    assert_eq!(ending_of(&decision), None);
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

#[test]
fn an_answer_is_kept_once() {
    let case = filing(Case::ended(Outcome::Completed), Ending::Completed, 1);
    let (before, now) = (&case.deployment, case.now);
    let no = protocol::registered(before, Err("denied"), now).unwrap();
    let kept = no.state.filing.clone().unwrap().refused;
    let why = "denied".to_owned();
    assert_eq!(kept, Some(Refused { at: now, why }));
    let yes = protocol::registered(&no, Ok("so"), now).unwrap();
    let filing = yes.state.filing.clone().unwrap();
    assert_eq!(
        (filing.filed.as_deref(), &filing.refused),
        (Some("so"), &None)
    );
    assert!(yes.standings().is_empty());
    assert_eq!(protocol::registered(&yes, Err("late"), now), None);
    assert_eq!(
        protocol::registered(&watched_out(&case), Ok("so"), now),
        None
    );
}

/// The same once nobody tries any more.
fn watched_out(case: &Case) -> crate::domain::deployment::Deployment {
    let mut deployment = case.deployment.clone();
    deployment.state.filing = None;
    deployment
}

#[track_caller]
fn look(case: &Case, successor: Option<&str>) -> Decision {
    assert_eq!(violations(&case.deployment), Vec::<String>::new());
    let observation = seen(case.endpoint());
    let (deployment, evidence) = (&case.deployment, &case.evidence);
    let decision = after::look_after(deployment, evidence, &observation, successor, case.now);
    assert_eq!(violations(&decision.next), Vec::<String>::new());
    decision
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
        let decision = look(&filed, Some("019c-other"));
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
            (waits, Some("019c-other"), "deployment 019c-other has begun"),
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
