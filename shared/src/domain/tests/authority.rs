//! Who may do what: the names of callers, tags, patterns, and every action for every set of roles.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::authority::{
    Action, Caller, Denial, Grants, Home, Names, Patterns, Role, Seen, Settings, Tags, Why,
    in_force, is_enabled,
};

const OWN: &str = "123456789012";

fn name(arn: &str) -> Option<String> {
    Caller::of(arn, OWN).map(|caller| caller.name().to_owned())
}

fn named(name: &str) -> Caller {
    Caller::Named(name.to_owned())
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Everybody of these roles is called like the role.
fn grants() -> Grants {
    Grants {
        deployers: Names::parse("deployer"),
        approvers: Names::parse("approver"),
        invokers: Names::parse("invoker"),
    }
}

#[test]
fn no_two_principals_share_a_name() {
    for (arn, expected) in [
        (
            "arn:aws:sts::123456789012:assumed-role/Release/run-17",
            "Release",
        ),
        (
            "arn:aws-cn:sts::123456789012:assumed-role/Release/i-0abc",
            "Release",
        ),
        (
            "arn:aws:sts::111122223333:assumed-role/Release/run-17",
            "111122223333/Release",
        ),
        (
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Release_0123456789abcdef/anna@example.com",
            "AWSReservedSSO_Release_0123456789abcdef",
        ),
        ("arn:aws:iam::123456789012:user/Release", "user/Release"),
        (
            "arn:aws:iam::123456789012:user/team/of/wine/Release",
            "user/Release",
        ),
        (
            "arn:aws:iam::111122223333:user/Release",
            "111122223333/user/Release",
        ),
        ("arn:aws:iam::123456789012:user/root", "user/root"),
        ("arn:aws:sts::123456789012:assumed-role/root/run-17", "root"),
        ("arn:aws:iam::123456789012:root", "account/root"),
        (
            "arn:aws:iam::111122223333:root",
            "111122223333/account/root",
        ),
        (
            "arn:aws:sts::123456789012:assumed-role/a+b=c,d.e@f-g_h/s",
            "a+b=c,d.e@f-g_h",
        ),
        // A role may be called like another account.
        (
            "arn:aws:sts::123456789012:assumed-role/111122223333/s",
            "111122223333",
        ),
    ] {
        assert_eq!(name(arn).as_deref(), Some(expected), "{arn}");
    }
}

#[test]
fn what_is_no_principal_has_no_name() {
    for unfit in [
        "",
        "Release",
        "arn:aws:sts::123456789012:federated-user/Release",
        "arn:aws:sts::123456789012:assumed-role/",
        "arn:aws:sts::123456789012:assumed-role/Release",
        "arn:aws:sts::123456789012:assumed-role/Release/",
        "arn:aws:sts::123456789012:assumed-role//run-17",
        "arn:aws:sts::123456789012:assumed-role/path/Release/run-17",
        "arn:aws:sts::123456789012:assumed-role/Release Both/run-17",
        "arn:aws:sts:eu-central-1:123456789012:assumed-role/Release/run-17",
        "arn:aws:sts::12345678901:assumed-role/Release/run-17",
        "arn:aws:sts::12345678901x:assumed-role/Release/run-17",
        "arn:aws:sts:::assumed-role/Release/run-17",
        "arn:aws:iam::123456789012:role/Release",
        "arn:aws:iam::123456789012:assumed-role/Release/run-17",
        "arn:aws:sts::123456789012:user/Release",
        "arn:aws:iam::123456789012:user/",
        "arn:aws:iam::123456789012:user",
        "arn:aws:iam::123456789012:root/x",
        "arn:aws:lambda:eu-central-1:123456789012:function:deploy",
        "arn:other:sts::123456789012:assumed-role/Release/run-17",
        "anonymous",
    ] {
        assert_eq!(name(unfit), None, "{unfit}");
    }
}

#[test]
fn a_tag_names_its_callers_an_absent_one_leaves_it_to_the_defaults() {
    let defaults = grants();
    let found = Grants::of(
        &tags(&[
            (
                "canary:deployers",
                "  Release user/anna\u{a0}111122223333/Release ",
            ),
            ("canary:approvers", ""),
            ("Canary:Invokers", "Shop"),
        ]),
        &defaults,
    );
    for held in ["Release", "user/anna", "111122223333/Release"] {
        assert!(found.deployers.hold(held), "{held}");
    }
    for other in [
        "release",
        "Releas",
        "anna",
        "",
        " ",
        "deployer",
        "Release user/anna",
    ] {
        assert!(!found.deployers.hold(other), "{other}");
    }
    assert_eq!(found.approvers, Names::default());
    assert_eq!(found.invokers, defaults.invokers, "keys are case-sensitive");
}

#[test]
fn only_true_opens_an_endpoint() {
    assert!(is_enabled(&tags(&[("canary:enabled", "true")])));
    for value in ["", "True", "TRUE", "yes", "1", " true", "false"] {
        assert!(!is_enabled(&tags(&[("canary:enabled", value)])), "{value}");
    }
    assert!(!is_enabled(&tags(&[("canary-enabled", "true")])));
}

/// Each action with each role, beside the table in the code; the routes' own tests have it once more.
#[test]
fn each_role_may_do_what_it_is_for() {
    for action in Action::ALL {
        let admitted: BTreeSet<&str> = ["deployer", "approver", "invoker", "stranger"]
            .into_iter()
            .filter(|who| action.permit(&named(who), &grants(), None).is_ok())
            .collect();
        let expected: &[&str] = match action {
            Action::Health | Action::Describe => &["approver", "deployer", "invoker", "stranger"],
            Action::Infer | Action::Feedback | Action::Route => &["invoker"],
            Action::Approve | Action::Thaw => &["approver"],
            Action::Deploy
            | Action::Plan
            | Action::Undo
            | Action::Promote
            | Action::SetWeight
            | Action::Resume
            | Action::Cancel => &["deployer"],
            Action::List
            | Action::Get
            | Action::History
            | Action::Checks
            | Action::Report
            | Action::Review
            | Action::Pause
            | Action::Rollback
            | Action::SeeFreeze
            | Action::Freeze => &["approver", "deployer"],
        };
        assert_eq!(
            admitted.into_iter().collect::<Vec<_>>(),
            expected,
            "{action}"
        );
        let nobody = Grants::default();
        assert!(
            action
                .permit(&Caller::Local, &nobody, Some("local"))
                .is_ok()
        );
    }
}

#[test]
fn only_an_approval_asks_who_asked() {
    let both = Grants {
        deployers: Names::parse("both"),
        approvers: Names::parse("both other"),
        invokers: Names::parse("both"),
    };
    for action in Action::ALL {
        let own = action.permit(&named("both"), &both, Some("both"));
        let denied = Denial {
            action,
            caller: "both".to_owned(),
            why: Why::OwnRequest,
        };
        let expected = if action == Action::Approve {
            Err(denied)
        } else {
            Ok(())
        };
        assert_eq!(own, expected, "{action}");
    }
    let approve = Action::Approve;
    assert!(approve.permit(&named("other"), &both, Some("both")).is_ok());
    // The role is missing in the first place: that is what is told.
    let denial = approve.permit(&named("third"), &both, Some("third"));
    assert_eq!(
        denial.expect_err("a denial").why,
        Why::NoRole(&[Role::Approver])
    );
}

#[test]
fn without_the_tags_only_what_is_safe_goes_on_and_by_what_was_kept() {
    let (kept, defaults) = (
        grants(),
        Grants {
            deployers: Names::parse("default"),
            ..Grants::default()
        },
    );
    let unknowns = [Seen::Unread, Seen::Outside];
    for action in Action::ALL {
        let force = |seen, kept| in_force(action, seen, kept, &defaults);
        let safe = action.rule().outlives_tags;
        for unknown in &unknowns {
            let by_kept = force(unknown, Some(&kept));
            assert_eq!(by_kept, safe.then(|| kept.clone()), "{action}");
            let by_defaults = force(unknown, None);
            assert_eq!(by_defaults, safe.then(|| defaults.clone()), "{action}");
        }
        assert_eq!(force(&Seen::Gone, Some(&kept)), Some(kept.clone()));
        assert_eq!(force(&Seen::Gone, None), Some(defaults.clone()));
        let now = Seen::Tags(tags(&[("canary:deployers", "now")]));
        let read = force(&now, Some(&kept)).expect("grants");
        assert!(read.deployers.hold("now"), "{action}");
        // Kept grants add to what the tags say where that can only take risk away, and nowhere else.
        let adds = matches!(action, Action::Pause | Action::Rollback);
        assert_eq!(read.deployers.hold("deployer"), adds, "{action}");
        assert_eq!(read.approvers.hold("approver"), adds, "{action}");
        let untagged = Seen::Tags(Tags::new());
        assert_eq!(force(&untagged, None), Some(defaults.clone()), "{action}");
    }
}

#[test]
fn a_route_is_found_by_its_method_and_path() {
    let id = "019c0000-0000-7000-8000-00000a1b2c3d";
    for action in Action::ALL {
        let (method, path) = action.route();
        assert_eq!(Action::of(method, &path.replace("{id}", id)), Some(action));
    }
    assert_eq!(Action::of("HEAD", "/deployments"), Some(Action::List));
    for (method, path) in [
        ("GET", "/deploy"),
        ("get", "/deployments"),
        ("GET", "/deployments/"),
        ("GET", "//deployments"),
        ("GET", "/deployments/a/b"),
        ("POST", "/deployments//rollback"),
        ("POST", "/v1/deploy"),
        ("GET", ""),
        ("GET", "/"),
        ("DELETE", "/deployments/a"),
    ] {
        assert_eq!(Action::of(method, path), None, "{method} {path}");
    }
}

#[test]
fn patterns_fit_whole_names() {
    for (pattern, name, fits) in [
        ("*", "", true),
        ("*", "anything", true),
        ("wine-*", "wine-", true),
        ("wine-*", "wine-v2", true),
        ("wine-*", "wine", false),
        ("wine-*", "my-wine-v2", false),
        ("*-v?", "wine-v2", true),
        ("*-v?", "wine-v10", false),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("a.c", "abc", false),
        ("?", "", false),
        ("wine beer", "beer", true),
        ("wine beer", "wine beer", false),
        ("", "anything", false),
        ("", "", false),
    ] {
        assert_eq!(
            Patterns::parse(pattern).allow(name),
            fits,
            "{pattern} {name}"
        );
    }
    // Many stars are no reason to take long.
    let stars = "a*".repeat(200) + "b";
    assert!(!Patterns::parse(&stars).allow(&"a".repeat(2000)));
}

#[test]
fn a_home_is_where_an_arn_says() {
    let home = Home::of("arn:aws-us-gov:sns:us-gov-west-1:123456789012:canary").expect("a home");
    assert_eq!(
        home.endpoint_arn("Wine-Quality"),
        "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:endpoint/wine-quality"
    );
    assert_eq!(home.endpoint_arns("wine").len(), 1);
    assert_eq!(home.endpoint_arns("Wine").len(), 2);
    for unfit in [
        "",
        "canary",
        "arn:aws:sns::123456789012:canary",
        "arn:aws:sns:eu-central-1::canary",
        "arn:aws:sns:eu-central-1:1234:canary",
        "arn:aws:sns:eu-central-1:123456789012",
        "urn:aws:sns:eu-central-1:123456789012:canary",
    ] {
        assert_eq!(Home::of(unfit), None, "{unfit}");
        assert_eq!(Settings::open(unfit), None);
    }
}

/// What values of tags may hold.
const TAG: &str = "[A-Za-z0-9_.:/=+@ -]{0,256}";
const NAME: &str = "[A-Za-z0-9_+=,.@-]{1,64}";

proptest! {
    #[test]
    fn a_tag_holds_exactly_its_words(value in TAG, probe in TAG) {
        let found = Grants::of(&tags(&[("canary:deployers", &value)]), &grants()).deployers;
        for word in value.split(' ') {
            prop_assert_eq!(found.hold(word), !word.is_empty());
        }
        prop_assert_eq!(found.hold(&probe), value.split(' ').any(|word| word == probe && !word.is_empty()));
    }

    #[test]
    fn grants_come_back_from_the_record(one in TAG, other in TAG) {
        let granted = Grants { deployers: Names::parse(&one), approvers: Names::parse(&other), invokers: Names::default() };
        let text = serde_json::to_string(&granted).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Grants>(&text).expect("grants"), granted);
    }

    /// Over every kind of principal and two accounts, names differ where principals do.
    #[test]
    fn names_of_principals_differ_where_they_do(one in principal(), other in principal()) {
        let (first, second) = (name(&one.arn), name(&other.arn));
        prop_assert!(first.is_some() && second.is_some(), "{} {}", one.arn, other.arn);
        prop_assert_eq!(first == second, one.who == other.who, "{} {}", one.arn, other.arn);
    }

    #[test]
    fn no_arn_breaks_it(text in ".{0,80}", tail in "[a-z/:-]{0,40}") {
        for arn in [text.clone(), format!("arn:aws:sts::{OWN}:{text}"), format!("arn:aws:iam::{OWN}:{tail}")] {
            if let Some(caller) = Caller::of(&arn, OWN) {
                prop_assert!(!caller.name().is_empty());
                prop_assert!(caller.name().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }

    /// A name without wildcards is a pattern of itself alone, and a star takes any middle.
    #[test]
    fn a_pattern_fits_what_it_is_made_from(start in NAME, middle in NAME, end in NAME) {
        let whole = format!("{start}{middle}{end}");
        prop_assert!(Patterns::parse(&whole).allow(&whole));
        let starred = Patterns::parse(&format!("{start}*{end}"));
        prop_assert!(starred.allow(&whole));
        let marks = "?".repeat(middle.len());
        let marked = Patterns::parse(&format!("{start}{marks}{end}"));
        prop_assert!(marked.allow(&whole));
        let longer = format!("{whole}!");
        prop_assert!(!starred.allow(&longer));
    }
}

/// A principal, as an ARN and as what it is.
#[derive(Debug, Clone)]
struct Principal {
    arn: String,
    who: (bool, &'static str, String),
}

/// From few names, so that they meet.
fn principal() -> impl Strategy<Value = Principal> {
    let name = prop_oneof![
        Just("Release".to_owned()),
        Just("root".to_owned()),
        Just("user".to_owned()),
        Just("account".to_owned()),
        Just("111122223333".to_owned()),
        NAME,
    ];
    (any::<bool>(), 0..3_u8, name, NAME).prop_map(|(own, kind, name, session)| {
        let account = if own { OWN } else { "111122223333" };
        let (arn, who) = match kind {
            0 => (
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
                (own, "role", name),
            ),
            1 => (
                format!("arn:aws:iam::{account}:user/{session}/{name}"),
                (own, "user", name),
            ),
            _ => (
                format!("arn:aws:iam::{account}:root"),
                (own, "root", String::new()),
            ),
        };
        Principal { arn, who }
    })
}
