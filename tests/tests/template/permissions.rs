//! Roles against calls. `infra/permissions.toml` says what each function calls; the sources say which calls
//! there are, and the template what each role grants. All three have to agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::domain::registry::PackageArn;
use toml_edit::{DocumentMut, Item};

use super::document::{of_type, resources};
use super::{file, sources};

/// What a role may do, action by action, with the statements that allow it.
type Grants = BTreeMap<String, Vec<Value>>;

#[test]
fn every_call_in_the_sources_is_listed_and_every_listed_one_is_made() {
    let table = Table::read();
    let (made, listed) = (sources::calls(), table.listed());
    let unlisted: Vec<_> = made.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&made).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "infra/permissions.toml [calls]: not listed {unlisted:?}, no longer made {gone:?}"
    );
    let used: BTreeSet<String> = table
        .functions()
        .iter()
        .flat_map(|function| texts(&table.0["functions"][function]["calls"]))
        .collect();
    assert_eq!(used, listed, "calls of the functions, and [calls]");
}

#[test]
fn each_role_grants_what_its_function_calls_and_nothing_else() {
    let table = Table::read();
    let functions = of_type("AWS::Serverless::Function");
    let ids: Vec<&String> = functions.keys().collect();
    assert_eq!(ids, table.functions().iter().collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for id in functions.keys() {
        let (needs, granted) = (table.needs(id), grants(id));
        for action in needs.iter().filter(|action| !granted.contains_key(*action)) {
            wrong.push(format!(
                "{id} needs {action}, and its role does not grant it"
            ));
        }
        for action in granted.keys().filter(|action| !needs.contains(*action)) {
            wrong.push(format!("{id} is granted {action}, and nothing needs it"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// But for a rollback: a tag that goes meanwhile must not keep traffic on the canary.
#[test]
fn an_endpoint_is_changed_only_where_it_has_opted_in() {
    let opted_in = json!({"aws:ResourceTag/canary:enabled": "true"});
    let mut seen = 0;
    for id in of_type("AWS::Serverless::Function").keys() {
        for action in ["UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"] {
            for statement in grants(id)
                .remove(&format!("sagemaker:{action}"))
                .unwrap_or_default()
            {
                if statement["Resource"]
                    .to_string()
                    .contains(":endpoint-config/")
                {
                    assert!(
                        !statement["Resource"].to_string().contains(":endpoint/"),
                        "{statement}"
                    );
                    continue;
                }
                if id == "Rollback" {
                    assert!(statement["Condition"].is_null(), "{statement}");
                    let arn = &statement["Resource"]["Fn::Sub"];
                    let arn = arn.as_str().expect("one pattern of endpoints");
                    assert!(arn.ends_with(":endpoint/${EndpointNames}"), "{arn}");
                    continue;
                }
                seen += 1;
                let equals = &statement["Condition"]["StringEquals"];
                for (key, value) in opted_in.as_object().expect("one key") {
                    assert_eq!(&equals[key], value, "{id}: {statement}");
                }
            }
        }
    }
    assert_eq!(seen, 3, "UpdateEndpoint once; weights for two roles");
}

#[test]
fn what_a_deployment_makes_and_deletes_bears_its_tag() {
    let tag = shared::aws::config_copy::DEPLOYMENT_TAG;
    let granted = grants("DeployProvision");
    let names = shared::domain::deployment::Deployment::names("some-endpoint", ID);
    let configs = [names.canary_config, names.final_config, names.former_config];
    let models = [PackageArn::parse(VERSION).expect("an ARN").model_name()];
    let wanted = [
        ("CreateEndpointConfig", "RequestTag", 1),
        ("CreateModel", "RequestTag", 1),
        // For either of them.
        ("AddTags", "RequestTag", 2),
        ("DeleteEndpointConfig", "ResourceTag", 1),
    ];
    for (action, kind, statements) in wanted {
        let granted = &granted[&format!("sagemaker:{action}")];
        assert_eq!(granted.len(), statements, "{action}");
        for statement in granted {
            let null = &statement["Condition"]["Null"];
            assert_eq!(null[format!("aws:{kind}/{tag}")], "false", "{statement}");
            let is_of_models = statement["Resource"].to_string().contains(":model/");
            let (resource, made) = if is_of_models {
                (":model/", &models[..])
            } else {
                (":endpoint-config/", &configs[..])
            };
            let patterns = patterns(&statement["Resource"], resource);
            for name in made {
                assert!(
                    patterns.iter().any(|pattern| fits(pattern, name)),
                    "{name} and {statement}"
                );
            }
            // A team's own model or config is called otherwise.
            assert!(
                patterns
                    .iter()
                    .all(|pattern| !fits(pattern, "wine-quality-v2"))
            );
        }
    }
}

/// Whoever may update a version may approve it.
#[test]
fn the_registry_is_read_and_told_only_of_the_groups_that_the_stack_names() {
    let version = PackageArn::parse(VERSION).expect("an ARN");
    let mut seen = 0;
    for id in of_type("AWS::Serverless::Function").keys() {
        for action in ["DescribeModelPackage", "UpdateModelPackage"] {
            for statement in grants(id)
                .remove(&format!("sagemaker:{action}"))
                .unwrap_or_default()
            {
                let arn = statement["Resource"]["Fn::Sub"].as_str().expect("an ARN");
                let (_, name) = arn.split_once(":model-package/").expect("a package");
                assert_eq!(name, "${ModelPackageGroups}/*", "{id}: {statement}");
                assert!(fits(
                    &name.replace("${ModelPackageGroups}", "wine-*"),
                    "wine-quality/3"
                ));
                seen += 1;
            }
        }
    }
    assert_eq!(version.group(), "wine-quality");
    assert_eq!(
        seen, 3,
        "read by who names and by who makes, told by who makes"
    );
}

#[test]
fn only_roles_that_the_stack_names_are_passed_on_and_to_sagemaker_alone() {
    for id in of_type("AWS::Serverless::Function").keys() {
        let granted = grants(id).remove("iam:PassRole").unwrap_or_default();
        assert_eq!(granted.len(), usize::from(id == "DeployProvision"), "{id}");
        for statement in granted {
            let split = json!([" ", {"Ref": "ExecutionRoleArns"}]);
            assert_eq!(statement["Resource"]["Fn::Split"], split);
            let to = &statement["Condition"]["StringEquals"]["iam:PassedToService"];
            assert_eq!(to, "sagemaker.amazonaws.com");
        }
    }
}

#[test]
fn no_role_is_granted_a_wildcard_of_actions_and_models_are_reached_by_who_names_or_makes_them() {
    for (id, resource) in resources() {
        let text = resource["Properties"]["Policies"].to_string();
        assert!(
            !text.contains(":*\"]") && !text.contains("NotAction"),
            "{id}"
        );
    }
    for id in of_type("AWS::Serverless::Function").keys() {
        let granted = grants(id);
        assert!(granted.keys().all(|action| !action.contains('*')), "{id}");
        assert!(!granted.contains_key("dynamodb:Scan"), "{id}");
        let (names, makes) = (id == "DeployApi", id == "DeployProvision");
        for (action, is_granted) in [
            ("DescribeModel", names || makes),
            ("DescribeModelPackage", names || makes),
            ("CreateModel", makes),
            ("UpdateModelPackage", makes),
        ] {
            let action = format!("sagemaker:{action}");
            assert_eq!(granted.contains_key(&action), is_granted, "{id} {action}");
        }
    }
}

/// Without a role to pass on no model can be made of a package, so a stack that names none is given
/// nothing that changes models or their registry.
#[test]
fn models_are_made_and_the_registry_is_told_only_by_a_stack_that_may_pass_a_role_on() {
    let statements = resources()["DeployProvisionRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        ["Statement"]
        .clone();
    let mut seen = 0;
    for statement in statements.as_array().expect("statements") {
        let changes = ["sagemaker:CreateModel\"", "sagemaker:UpdateModelPackage\""];
        if changes
            .iter()
            .any(|action| statement.to_string().contains(action))
        {
            assert_eq!(statement["Fn::If"][0], "HasExecutionRoles", "{statement}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

/// A deployment's id.
const ID: &str = "01997b6e-0000-7000-8000-0123456789ab";
/// A version of a model package.
const VERSION: &str = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3";

/// The names of such a kind that the ARNs of a statement allow.
fn patterns(resource: &Value, kind: &str) -> Vec<String> {
    let arns = resource
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![resource.clone()]);
    let name = |arn: &Value| {
        let text = arn["Fn::Sub"]
            .as_str()
            .expect("an ARN with the account in it");
        let (_, name) = text.split_once(kind).expect("what is made");
        name.to_owned()
    };
    arns.iter().map(name).collect()
}

/// Whether an IAM pattern with `*` fits.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut last = "";
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        (rest, last) = (&rest[at + part.len()..], part);
    }
    rest.is_empty() || (last.is_empty() && pattern.ends_with('*'))
}

/// What the role of a function grants.
fn grants(function: &str) -> Grants {
    let resources = resources();
    let role = &resources[function]["Properties"]["Role"]["Fn::GetAtt"];
    let role = role[0].as_str().expect("a role of its own");
    assert_eq!(role, format!("{function}Role"));
    let mut grants = Grants::new();
    let policies = resources[role]["Properties"]["Policies"].as_array();
    for policy in policies.expect("policies") {
        let statements = policy["PolicyDocument"]["Statement"].as_array();
        for statement in statements.expect("statements") {
            // What a parameter adds, as if it were given.
            let statement = statement.get("Fn::If").map_or(statement, |either| {
                assert_eq!(either[2]["Ref"], "AWS::NoValue", "{statement}");
                &either[1]
            });
            assert_eq!(statement["Effect"], "Allow", "{statement}");
            for action in actions(statement) {
                grants.entry(action).or_default().push(statement.clone());
            }
        }
    }
    grants
}

fn actions(statement: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("an action").to_owned();
    match &statement["Action"] {
        Value::Array(many) => many.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

/// `infra/permissions.toml`.
pub(super) struct Table(DocumentMut);

impl Table {
    pub(super) fn read() -> Self {
        Self(file("infra/permissions.toml").parse().expect("TOML"))
    }

    fn listed(&self) -> BTreeSet<String> {
        keys(&self.0["calls"])
    }

    pub(super) fn functions(&self) -> BTreeSet<String> {
        keys(&self.0["functions"])
    }

    /// The calls of a function, as `crate.operation`.
    pub(super) fn calls_of(&self, function: &str) -> impl Iterator<Item = String> {
        texts(&self.0["functions"][function]["calls"]).into_iter()
    }

    fn needs(&self, function: &str) -> BTreeSet<String> {
        let entry = &self.0["functions"][function];
        let calls = texts(&entry["calls"]);
        let of_calls = calls.iter().flat_map(|call| texts(&self.0["calls"][call]));
        let mut needs: BTreeSet<String> = of_calls.collect();
        for action in entry.get("without").map(keys).unwrap_or_default() {
            assert!(
                needs.remove(&action),
                "{function} goes without {action} already"
            );
        }
        let also = entry.get("also").map(keys).unwrap_or_default();
        for action in also.into_iter().chain(keys(&self.0["everywhere"])) {
            assert!(
                needs.insert(action.clone()),
                "{function} needs {action} for its calls already"
            );
        }
        needs
    }
}

/// The keys of a table; each that stands for a reason has one.
fn keys(item: &Item) -> BTreeSet<String> {
    let table = item.as_table_like().expect("a table");
    for (key, value) in table.iter() {
        assert!(
            value.as_str().is_none_or(|why| why.len() > 10),
            "{key} without a reason"
        );
    }
    table.iter().map(|(key, _)| key.to_owned()).collect()
}

fn texts(item: &Item) -> Vec<String> {
    let items = item.as_array().expect("a list").iter();
    items
        .map(|it| it.as_str().expect("a text").to_owned())
        .collect()
}

#[test]
fn patterns_fit_as_iam_fits_them() {
    assert!(fits("*-canary-*", "wine-canary-0123"));
    assert!(fits("a*", "a") && fits("*", "") && fits("abc", "abc"));
    assert!(!fits("*-canary-*", "wine-final-0123") && !fits("abc", "abcd") && !fits("*b", "abc"));
}
