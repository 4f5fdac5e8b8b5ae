//! The model registry: which ARNs name a version, and where versions are to stand.

use crate::domain::authority::Home;
use crate::domain::registry::*;
use crate::domain::specification::is_name;

pub(super) const NEW: &str =
    "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3";
pub(super) const FORMER: &str =
    "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/2";

pub(super) fn arn(text: &str) -> PackageArn {
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

#[test]
fn an_undo_brings_back_no_version_that_is_there_anyway() {
    let brought_back = |new, former| {
        let packages = Packages { new, former };
        packages.to_bring_back().cloned()
    };
    let former = Some(arn(FORMER));
    assert_eq!(brought_back(Some(arn(NEW)), former.clone()), former);
    assert_eq!(brought_back(None, former.clone()), former);
    assert_eq!(brought_back(former.clone(), former), None);
    assert_eq!(brought_back(Some(arn(NEW)), None), None);
}

fn about(undoes: bool) -> About<'static> {
    About {
        id: "019c",
        endpoint: "wine",
        model: "wine-quality-package-3",
        undoes,
    }
}

pub(super) fn went_back(why: &str) -> Ending {
    Ending::WentBack {
        why: why.to_owned(),
    }
}

/// Package, approval and stage of each.
pub(super) fn brief(standings: &[Standing]) -> Vec<(&str, Option<Approval>, Option<Stage>)> {
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

/// Production has the version itself, and the canary was to have it on other instances.
#[test]
fn a_version_that_production_goes_on_with_is_neither_rejected_nor_archived() {
    for former in [NEW.to_owned(), NEW.replace("wine", "Wine")] {
        let same = Packages {
            new: Some(arn(NEW)),
            former: Some(arn(&former)),
        };
        assert!(standings(&same, &went_back("slower"), about(false)).is_empty());
        let completed = standings(&same, &Ending::Completed, about(false));
        let production = (NEW, Some(Approval::Approved), Some(Stage::Production));
        assert_eq!(brief(&completed), [production], "{former}");
    }
}

#[test]
fn a_reason_fits_into_the_registry() {
    let why = format!(
        "5XX errors\nof\u{2028}the\u{2029}canary\u{7}: {}",
        "é".repeat(2000)
    );
    let told = standings(&packages(), &went_back(&why), about(false)).remove(0);
    let (_, said) = told.approval.unwrap();
    assert_eq!(said.chars().count(), 1024);
    assert!(
        said.starts_with("wine: 5XX errors of the canary : éé"),
        "{said}"
    );
    let breaks = |it: char| it.is_control() || matches!(it, '\u{2028}' | '\u{2029}');
    assert!(!said.contains(breaks));
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
        new.wanted_in_words(),
        format!(
            "{NEW} is to be Approved, unless somebody has rejected it, and in stage Production"
        )
    );
    assert_eq!(
        former.wanted_in_words(),
        format!("{FORMER} is to be in stage Archived")
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
    assert_eq!(back.wanted_in_words(), format!("{NEW} is to be Rejected"));
}
