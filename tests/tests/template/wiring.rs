//! Names that stand in two places: settings, aliases, events that filters pick by, the table's shape.

use std::collections::BTreeSet;
use std::iter;

use serde_json::{Value, json};
use shared::domain::audience::Audience;
use shared::domain::history::{Entry, Name, Severity};
use toml_edit::DocumentMut;

use super::document::{of_type, resources, template};
use super::file;

#[test]
fn every_setting_that_is_read_is_set_on_the_functions_that_read_it() {
    let code = file("shared/src/config.rs");
    let is_name = |text: &&str| {
        text.starts_with("CANARY_") && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    };
    let read: BTreeSet<&str> = code.split('"').filter(is_name).collect();
    assert!(read.len() >= 8, "{read:?}");
    let everywhere = template()["Globals"]["Function"]["Environment"]["Variables"].clone();
    for (id, function) in of_type("AWS::Serverless::Function") {
        let own = &function["Properties"]["Environment"]["Variables"];
        let is_set = |name: &str| !own[name].is_null() || !everywhere[name].is_null();
        assert!(
            !is_set("CANARY_CLOCK"),
            "a clock is for a simulated account alone"
        );
        for name in &read {
            // `inference` wakes nobody and has no bus; `deploy` alone has modes.
            let reads = match *name {
                "CANARY_STACK" | "CANARY_TABLE" | "CANARY_TOPIC_ARN" => true,
                "CANARY_MODE" | "CANARY_PACKAGE_APPROVALS" => id.starts_with("Deploy"),
                "CANARY_DEPLOYERS"
                | "CANARY_APPROVERS"
                | "CANARY_MODELS"
                | "CANARY_TOPICS"
                | "CANARY_EXECUTION_ROLES"
                | "CANARY_PACKAGE_GROUPS"
                | "CANARY_PRECONDITIONS"
                | "CANARY_PRICES" => id == "DeployApi",
                // Who announces: the page's address goes into the message about an approval.
                "CANARY_APPROVAL_URL" => id == "DeployApi" || id == "Monitor",
                "CANARY_INVOKERS" => id == "Inference",
                "CANARY_ENDPOINTS" => id == "DeployApi" || id == "Inference",
                "CANARY_CLOCK" => false,
                _ => id != "Inference",
            };
            assert!(
                is_set(name) || !reads,
                "{id} reads {name}, and nothing sets it"
            );
        }
    }
}

#[test]
fn the_table_is_the_one_that_every_test_runs_on() {
    let table = &resources()["Table"]["Properties"];
    let code = file("shared/src/aws/loopback.rs");
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let keys = |schema: &Value| {
        let name = |at: usize| {
            schema[at]["AttributeName"]
                .as_str()
                .map(|name| format!("\"{name}\""))
        };
        [name(0).expect("a hash key"), name(1).expect("a range key")].join(",")
    };
    assert!(code.contains(&format!("keys({})", keys(&table["KeySchema"]))));
    let indexes = table["GlobalSecondaryIndexes"].as_array().expect("indexes");
    for index in indexes {
        let name = index["IndexName"].as_str().expect("a name");
        let projection = match index["Projection"]["ProjectionType"].as_str() {
            Some("KEYS_ONLY") => "KeysOnly",
            Some("ALL") => "All",
            other => panic!("{other:?}"),
        };
        let made = format!(
            "(\"{name}\",{},ProjectionType::{projection}",
            keys(&index["KeySchema"])
        );
        assert!(code.contains(&made), "{made}");
    }
    assert_eq!(code.matches("ProjectionType::").count(), indexes.len());
    let expires = table["TimeToLiveSpecification"]["AttributeName"].as_str();
    assert!(code.contains(&format!(
        ".attribute_name(\"{}\")",
        expires.expect("an attribute")
    )));
}

#[test]
fn functions_wake_each_other_through_the_alias_that_may_be_invoked() {
    let variables = &resources()["Monitor"]["Properties"]["Environment"]["Variables"];
    let mut named = BTreeSet::new();
    for (setting, function) in [
        ("CANARY_FUNCTION_PROVISION", "DeployProvision"),
        ("CANARY_FUNCTION_TRAFFIC_SHIFT", "TrafficShift"),
        ("CANARY_FUNCTION_ROLLBACK", "Rollback"),
    ] {
        let physical = &resources()[function]["Properties"]["FunctionName"]["Fn::Sub"];
        let physical = physical.as_str().expect("a name");
        let alias = template()["Globals"]["Function"]["AutoPublishAlias"].clone();
        let qualified = format!("{physical}:{}", alias.as_str().expect("an alias"));
        assert_eq!(variables[setting]["Fn::Sub"], qualified);
        named.insert(qualified);
    }
    for role in ["DeployApiRole", "MonitorRole"] {
        let policies = resources()[role]["Properties"]["Policies"].to_string();
        for name in &named {
            assert!(
                policies.contains(&format!(":function:{name}\"")),
                "{role}, {name}"
            );
        }
    }
}

#[test]
fn a_new_version_of_rollback_takes_over_at_once_and_the_others_by_and_by() {
    for (id, function) in of_type("AWS::Serverless::Function") {
        let preference = &function["Properties"]["DeploymentPreference"];
        if id == "Rollback" {
            assert_eq!(preference["Type"], "AllAtOnce");
        } else {
            assert_eq!(preference["Type"]["Ref"], "FunctionRollout", "{id}");
            // What fails without an error of the function: an answer of 500, and a pass that misses somebody.
            let also = match id.as_str() {
                "DeployApi" | "Inference" => Some("ApiErrorsAlarm"),
                "Monitor" => Some("HeartbeatAlarm"),
                _ => None,
            };
            let errors = format!("{id}ErrorsAlarm");
            let wanted: Vec<Value> = iter::once(errors.as_str())
                .chain(also)
                .map(|alarm| json!({"Ref": alarm}))
                .collect();
            assert_eq!(preference["Alarms"]["Fn::If"][1], json!(wanted), "{id}");
        }
    }
}

#[test]
fn the_stages_set_parameters_that_exist_to_what_they_may_be() {
    let template = template();
    let parameters = template["Parameters"].as_object().expect("parameters");
    let settings: DocumentMut = file("samconfig.toml").parse().expect("TOML");
    for stage in ["default", "dev", "staging", "prod"] {
        let overrides = &settings[stage]["deploy"]["parameters"]["parameter_overrides"];
        let overrides = overrides.as_array().expect("parameters").iter();
        let overrides: Vec<&str> = overrides.filter_map(|given| given.as_str()).collect();
        // Set for one deployment at a time: what is not listed would stay.
        for name in ["FunctionRollout=", "DeletionProtection="] {
            let is_listed = overrides.iter().any(|given| given.starts_with(name));
            assert!(is_listed, "{stage}: {name}");
        }
        for given in overrides {
            let (name, value) = given.split_once('=').expect("NAME=VALUE");
            let parameter = parameters
                .get(name)
                .unwrap_or_else(|| panic!("{stage}: {name}"));
            let allowed = parameter["AllowedValues"].as_array();
            let is_allowed = |one: &Value| one.to_string().trim_matches('"') == value;
            assert!(
                allowed.is_none_or(|all| all.iter().any(is_allowed)),
                "{stage}: {given}"
            );
        }
    }
}

#[test]
fn every_parameter_is_asked_for_in_a_group_and_the_guide_names_all_and_no_others() {
    let template = template();
    let groups = &template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
    let groups = groups.as_array().expect("groups").iter();
    let grouped = groups.flat_map(|group| group["Parameters"].as_array().expect("names"));
    let grouped: Vec<&str> = grouped.filter_map(Value::as_str).collect();
    let parameters = template["Parameters"].as_object().expect("parameters");
    let outputs = template["Outputs"].as_object().expect("outputs");
    assert_eq!(grouped.len(), parameters.len());
    assert!(grouped.iter().all(|name| parameters.contains_key(*name)));
    let guide = file("docs/install.md");
    let untold = parameters.keys().filter(|name| !guide.contains(*name));
    assert_eq!(untold.collect::<Vec<_>>(), Vec::<&String>::new());
    let rows = guide.lines().filter(|line| line.starts_with("| `"));
    let mut named = Vec::new();
    for row in rows {
        let first = row.split('|').nth(1).expect("a first column");
        named.extend(
            first
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| !name.starts_with('…')),
        );
    }
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        assert!(
            parameters.contains_key(name),
            "docs/install.md names the parameter {name}"
        );
    }
    for name in [
        "ApiUrl",
        "ApiId",
        "DashboardUrl",
        "TopicArn",
        "AlarmTopicArn",
        "FailureQueueUrl",
    ] {
        assert!(
            guide.contains(name) && outputs.contains_key(name),
            "the output {name}"
        );
    }
}

#[test]
fn subscriptions_pick_by_events_and_severities_that_exist() {
    let events: BTreeSet<&str> = Name::ALL.iter().map(|name| name.as_str()).collect();
    let mut filtered = 0;
    for (id, subscription) in of_type("AWS::SNS::Subscription") {
        let Some(filter) = subscription["Properties"]["FilterPolicy"].as_object() else {
            assert_eq!(
                subscription["Properties"]["TopicArn"]["Ref"], "AlarmTopic",
                "{id}"
            );
            continue;
        };
        filtered += 1;
        // Alarms carry no attributes: a filter would drop every one of them.
        assert_eq!(
            subscription["Properties"]["TopicArn"]["Ref"], "Topic",
            "{id}"
        );
        assert_eq!(filter.keys().collect::<Vec<_>>(), ["$or"], "{id}");
        let either = filter["$or"].as_array().expect("alternatives");
        assert_eq!(either.len(), 2, "{id}: an audience, or nothing said of any");
        for (attribute, values) in either
            .iter()
            .flat_map(|one| one.as_object().expect("a filter"))
        {
            for value in values.as_array().expect("values") {
                if *value == json!({"exists": false}) {
                    assert_eq!(attribute, "audience", "{id}");
                    continue;
                }
                let value = value.as_str().expect("a text");
                let exists = match attribute.as_str() {
                    "audience" => serde_json::from_value::<Audience>(json!(value)).is_ok(),
                    "event" => events.contains(value),
                    "severity" => serde_json::from_value::<Severity>(json!(value)).is_ok(),
                    _ => false,
                };
                assert!(exists, "{id}: {attribute} is never {value}");
            }
        }
    }
    assert_eq!(filtered, 6);
}

/// What a subscription lets through, as SNS filters: what an audience is told of, and while two versions
/// announce side by side what the one without audiences says to the same people.
#[test]
fn each_audience_hears_what_it_is_told_of_and_nothing_else() {
    for (id, audience) in [
        ("OnCallByEmail", Audience::OnCall),
        ("OnCallByUrl", Audience::OnCall),
        ("TeamByEmail", Audience::MlTeam),
        ("TeamByUrl", Audience::MlTeam),
        ("FinOpsByEmail", Audience::FinOps),
        ("FinOpsByUrl", Audience::FinOps),
    ] {
        let filter = resources()[id]["Properties"]["FilterPolicy"].clone();
        for event in Name::ALL {
            for severity in ["detail", "info", "warning", "critical"] {
                let entry = entry(*event, severity);
                let told: Vec<Audience> = Audience::of(&entry);
                let names: Vec<&str> = told.iter().map(|told| told.as_str()).collect();
                let mut message = json!({"event": [event.as_str()], "severity": [severity]});
                if !names.is_empty() {
                    message["audience"] = json!(names);
                }
                let about = format!("{id} {event} {severity}");
                assert_eq!(
                    lets_through(&filter, &message),
                    told.contains(&audience),
                    "{about}"
                );
                let former = match audience {
                    Audience::OnCall => ["warning", "critical"].contains(&severity),
                    Audience::MlTeam => severity != "detail",
                    Audience::FinOps => told.contains(&Audience::FinOps),
                };
                message
                    .as_object_mut()
                    .expect("attributes")
                    .remove("audience");
                assert_eq!(
                    lets_through(&filter, &message),
                    former,
                    "{about}, of the version before"
                );
            }
        }
    }
}

fn entry(event: Name, severity: &str) -> Entry {
    let entry = json!({
        "seq": 1, "at": "2026-03-02T09:30:00Z", "event": event, "severity": severity,
        "reason": "r", "value": "v", "limit": "l", "status": "IN_PROGRESS", "phase": "Baking",
        "weight": 10,
    });
    serde_json::from_value(entry).expect("a line of history")
}

/// Attributes of an array match when one of theirs does; all keys of a filter have to, and one of `$or`.
fn lets_through(filter: &Value, message: &Value) -> bool {
    let fits = |filter: &Value| {
        filter
            .as_object()
            .expect("a filter")
            .iter()
            .all(|(name, values)| {
                let found = message[name].as_array();
                values
                    .as_array()
                    .expect("values")
                    .iter()
                    .any(|value| match found {
                        Some(found) => found.contains(value),
                        None => *value == json!({"exists": false}),
                    })
            })
    };
    filter["$or"]
        .as_array()
        .expect("alternatives")
        .iter()
        .any(fits)
}

#[test]
fn incidents_are_picked_by_the_event_that_is_put_and_go_where_the_role_may() {
    let resources = resources();
    let mut targets = BTreeSet::new();
    for id in ["IncidentOpsItemRule", "IncidentCallRule"] {
        let rule = &resources[id];
        assert!(
            rule["Condition"].is_string(),
            "{id} is there on request alone"
        );
        let pattern = &rule["Properties"]["EventPattern"];
        assert_eq!(pattern["source"], json!(["canary"]));
        assert_eq!(pattern["detail-type"], json!([Name::Incident.as_str()]));
        assert_eq!(rule["Properties"]["EventBusName"]["Ref"], "EventBusName");
        for target in rule["Properties"]["Targets"].as_array().expect("targets") {
            let lost = &target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"];
            assert_eq!(lost[0], "FailureQueue", "{id}: what is not taken is kept");
            targets.insert(
                target["RoleArn"]["Fn::GetAtt"][0]
                    .as_str()
                    .expect("a role")
                    .to_owned(),
            );
        }
    }
    let action = |role: &str| {
        resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].clone()
    };
    assert_eq!(targets.len(), 2);
    let (open, send) = (action("IncidentOpsItemRole"), action("IncidentCallRole"));
    assert_eq!(
        (open.as_array().map(Vec::len), send.as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    assert_eq!(open[0]["Action"], "ssm:CreateOpsItem");
    assert_eq!(send[0]["Action"], "events:InvokeApiDestination");
    assert_eq!(send[0]["Resource"]["Fn::GetAtt"][0], "IncidentDestination");
}

/// The template is text with names in it, and what EventBridge puts there is JSON.
#[test]
fn an_ops_item_is_what_systems_manager_takes() {
    let target = &resources()["IncidentOpsItemRule"]["Properties"]["Targets"][0];
    let transformer = &target["InputTransformer"];
    let incident = json!({
        "deployment_id": "d", "endpoint": "e", "incident_id": "incident-d", "model": "m",
        "summary": "two\nlines, \"quoted\"", "title": "t",
    });
    let mut text = transformer["InputTemplate"]
        .as_str()
        .expect("a template")
        .to_owned();
    for (name, path) in transformer["InputPathsMap"].as_object().expect("paths") {
        let field = path
            .as_str()
            .and_then(|path| path.strip_prefix("$.detail."))
            .expect("a field");
        let value = &incident[field];
        let plain = value.as_str().expect("a field of the event");
        let inside = format!("\\\"<{name}>\\\"");
        text = text.replace(&inside, &format!("\\\"{plain}\\\""));
        text = text.replace(&format!("<{name}>"), &value.to_string());
    }
    let item: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(item["title"], "t");
    assert_eq!(item["description"], incident["summary"]);
    assert_eq!(item["severity"], "2");
    let dedup = item["operationalData"]["/aws/dedup"]["value"]
        .as_str()
        .expect("a text");
    let dedup: Value = serde_json::from_str(dedup).expect("JSON in a text");
    assert_eq!(dedup, json!({"dedupString": "incident-d"}));
}

#[test]
fn the_access_log_holds_no_body_no_query_and_no_header() {
    let api = &resources()["Api"]["Properties"];
    let format = api["AccessLogSetting"]["Fn::If"][1]["Format"].as_str();
    let line: Value = serde_json::from_str(format.expect("a format")).expect("a line of JSON");
    let fields: BTreeSet<&str> = line
        .as_object()
        .expect("fields")
        .values()
        .filter_map(Value::as_str)
        .collect();
    for field in fields {
        // `$context.path` would have ids in it, `$context.authorizer…` and `…identity.user` more than the ARN.
        let harmless = [
            "requestId",
            "requestTime",
            "httpMethod",
            "resourcePath",
            "status",
            "identity.userArn",
            "responseLatency",
            "integrationLatency",
            "integrationStatus",
            "integrationErrorMessage",
            "error.responseType",
            "xrayTraceId",
        ];
        let name = field
            .strip_prefix("$context.")
            .expect("a variable of API Gateway");
        assert!(harmless.contains(&name), "{field}");
    }
    for setting in api["MethodSettings"].as_array().expect("settings") {
        assert_eq!(setting["LoggingLevel"], "OFF");
        assert_eq!(setting["DataTraceEnabled"], false);
    }
}

#[test]
fn what_api_gateway_answers_by_itself_is_a_problem_document() {
    let api = &resources()["Api"]["Properties"];
    for (kind, response) in api["GatewayResponses"].as_object().expect("responses") {
        let template = response["ResponseTemplates"]["application/json"].as_str();
        // API Gateway puts a quoted text there.
        let body = template
            .expect("a template")
            .replace("$context.error.messageString", "\"x\"");
        let problem: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(
            problem["type"]
                .as_str()
                .is_some_and(|it| it.starts_with("urn:sagemaker-canary:problem:"))
        );
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{kind}"
        );
        if let Some(status) = response["StatusCode"].as_str() {
            assert_eq!(problem["status"].to_string(), status, "{kind}");
        }
    }
}

#[test]
fn event_bridge_may_use_the_topics_and_their_key_without_saying_for_which_account() {
    let resources = resources();
    let documents = [
        &resources["TopicKey"]["Properties"]["KeyPolicy"],
        &resources["TopicPolicy"]["Properties"]["PolicyDocument"],
        &resources["AlarmTopicPolicy"]["Properties"]["PolicyDocument"],
    ];
    for document in documents {
        let statements = document["Statement"].as_array().expect("statements");
        let of = |service: &str| {
            statements
                .iter()
                .find(|statement| statement["Principal"]["Service"] == service)
                .unwrap_or_else(|| panic!("no statement for {service} in {document}"))
        };
        assert!(of("events.amazonaws.com")["Condition"].is_null());
        let condition = &of("cloudwatch.amazonaws.com")["Condition"]["StringEquals"];
        assert_eq!(condition["aws:SourceAccount"]["Ref"], "AWS::AccountId");
    }
}
