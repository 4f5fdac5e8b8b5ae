//! Models that are alike, models that are not, and the names that they get.

use std::collections::BTreeSet;

use crate::domain::model::{ModelView, Network, Unlike};
use crate::domain::registry::PackageArn;
use crate::domain::specification::is_name;

const PACKAGE: &str = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3";

fn ids(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn production() -> ModelView {
    ModelView {
        package: Some(PACKAGE.to_owned()),
        execution_role: Some("arn:aws:iam::123456789012:role/serving".to_owned()),
        network: Some(Network {
            security_groups: ids(&["sg-2", "sg-1"]),
            subnets: ids(&["subnet-1"]),
        }),
        is_isolated: true,
    }
}

/// Everything that another model may have otherwise, with what is said of it.
fn others() -> Vec<(ModelView, &'static str)> {
    let network = |security_groups: &[&str], subnets: &[&str]| ModelView {
        network: Some(Network {
            security_groups: ids(security_groups),
            subnets: ids(subnets),
        }),
        ..production()
    };
    let role = |role: Option<&str>| ModelView {
        execution_role: role.map(str::to_owned),
        ..production()
    };
    let nowhere = ModelView {
        network: None,
        ..production()
    };
    let open = ModelView {
        is_isolated: false,
        ..production()
    };
    vec![
        (
            role(Some("arn:aws:iam::123456789012:role/dev")),
            "execution role",
        ),
        (role(None), "execution role"),
        (nowhere, "network (VpcConfig)"),
        (network(&["sg-1"], &["subnet-1"]), "network (VpcConfig)"),
        (
            network(&["sg-1", "sg-2"], &["subnet-1", "subnet-2"]),
            "network (VpcConfig)",
        ),
        (open, "isolation (EnableNetworkIsolation)"),
    ]
}

#[test]
fn models_are_alike_by_role_network_and_isolation() {
    let alike = ModelView {
        package: None,
        network: Some(Network {
            security_groups: ids(&["sg-1", "sg-2"]),
            subnets: ids(&["subnet-1"]),
        }),
        ..production()
    };
    assert!(production().differences_from(&alike).is_empty());
    assert_eq!(production().likeness(), alike.likeness());
    let mut likenesses = BTreeSet::from([production().likeness()]);
    for (other, what) in others() {
        assert_eq!(other.differences_from(&production()), [what], "{other:?}");
        assert_eq!(production().differences_from(&other), [what], "{other:?}");
        assert!(likenesses.insert(other.likeness()), "{other:?}");
    }
    let all = ModelView::default().differences_from(&production());
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn a_model_is_of_one_version_however_its_arn_is_written() {
    let package = PackageArn::parse(PACKAGE).unwrap();
    let written = PackageArn::parse(&PACKAGE.replace("wine", "Wine")).unwrap();
    for package in [&package, &written] {
        assert_eq!(production().unlike(package, &production()), None);
    }
    assert_eq!(written.model_name(), "wine-quality-package-3");
    let next = PackageArn::parse(&PACKAGE.replace("/3", "/4")).unwrap();
    let other = Some(Unlike::OfAnother);
    assert_eq!(production().unlike(&next, &production()), other);
    assert_eq!(ModelView::default().unlike(&package, &production()), other);
    let open = ModelView {
        is_isolated: false,
        execution_role: None,
        ..production()
    };
    let unlike = open.unlike(&package, &production()).unwrap();
    assert_eq!(
        unlike.to_string(),
        "was made of it with another execution role, another isolation (EnableNetworkIsolation) than the model in production has"
    );
}

#[test]
fn a_model_that_is_made_otherwise_has_a_name_of_its_own() {
    let package = PackageArn::parse(PACKAGE).unwrap();
    // The first digits of a SHA-256; the rest of it says no more.
    let name = package.model_name_with("0a1b2c3d4e5f");
    assert_eq!(name, "wine-quality-package-3-0a1b2c3d");
    for length in 1..=63 {
        for version in ["1", "999999999"] {
            // Hyphens wherever the end of the stem may fall.
            let group = format!("{}z", &"A-".repeat(length)[..length - 1]).replace("-z", "az");
            let arn = PACKAGE.replace("wine-quality/3", &format!("{group}/{version}"));
            let name = PackageArn::parse(&arn).unwrap().model_name_with("0a1b2c3d");
            assert!(is_name(&name), "{name}");
            assert!(
                name.ends_with(&format!("-package-{version}-0a1b2c3d")),
                "{name}"
            );
        }
    }
}
