//! What the stack stands on, property by property: how the functions run and who gets to them, what is kept,
//! encrypted, throttled and logged, and what is off until a parameter asks for it.
//!
//! The other files hold what two places have to agree on. Here is what one line could take away without anybody
//! noticing, so that all of it is compared with what it is to be, letter by letter.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::openapi::COMMITTED;

use super::document::{of_type, resources, template};

/// Each function with its folder and its binary.
const FUNCTIONS: [(&str, &str, &str); 6] = [
    ("DeployApi", "../functions/deploy", "deploy"),
    ("DeployProvision", "../functions/deploy", "deploy"),
    ("Inference", "../functions/inference", "inference"),
    ("Monitor", "../functions/monitor", "monitor"),
    ("Rollback", "../functions/rollback", "rollback"),
    (
        "TrafficShift",
        "../functions/traffic-shift",
        "traffic-shift",
    ),
];

/// The functions and their properties.
fn functions() -> BTreeMap<String, Value> {
    let functions = of_type("AWS::Serverless::Function").into_iter();
    functions
        .map(|(id, function)| (id, function["Properties"].clone()))
        .collect()
}

/// What wakes functions in this way: the function, and the event's properties.
fn events(kind: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (id, function) in functions() {
        let events = function["Events"].as_object();
        for (_, event) in events.into_iter().flatten() {
            if event["Type"] == kind {
                found.push((id.clone(), event["Properties"].clone()));
            }
        }
    }
    assert!(!found.is_empty(), "nothing is woken by {kind}");
    found
}

/// The condition holds once the parameter has another value than this, which is its default.
fn assert_off_by_default(condition: &str, parameter: &str, default: &Value) {
    let template = template();
    let differs = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, default]}]});
    assert_eq!(template["Conditions"][condition], differs);
    assert_eq!(&template["Parameters"][parameter]["Default"], default);
}

/// A value that is there under a condition alone.
fn only_if(condition: &str, value: &Value) -> Value {
    json!({"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]})
}

#[test]
fn functions_are_binaries_of_rust_on_arm64() {
    let template = template();
    let everywhere = &template["Globals"]["Function"];
    let functions = of_type("AWS::Serverless::Function");
    let ids: Vec<&String> = functions.keys().collect();
    assert_eq!(ids, FUNCTIONS.map(|(id, ..)| id));
    for (name, value) in [
        ("Architectures", json!(["arm64"])),
        ("Handler", json!("bootstrap")),
        ("Runtime", json!("provided.al2023")),
    ] {
        assert_eq!(everywhere[name], value);
        for (id, function) in &functions {
            assert!(function["Properties"][name].is_null(), "{id}: {name}");
        }
    }
    for (id, folder, binary) in FUNCTIONS {
        let metadata = &functions[id]["Metadata"];
        assert_eq!(metadata["BuildMethod"], "rust-cargolambda", "{id}");
        assert_eq!(metadata["BuildProperties"], json!({"Binary": binary}));
        assert_eq!(functions[id]["Properties"]["CodeUri"], folder, "{id}");
    }
}

#[test]
fn functions_and_the_api_are_traced_unless_a_parameter_says_otherwise() {
    let template = template();
    let is_wanted = json!({"Fn::Equals": [{"Ref": "Tracing"}, "true"]});
    assert_eq!(template["Conditions"]["IsTraced"], is_wanted);
    assert_eq!(template["Parameters"]["Tracing"]["Default"], "true");
    let mode = json!({"Fn::If": ["IsTraced", "Active", "PassThrough"]});
    assert_eq!(template["Globals"]["Function"]["Tracing"], mode);
    for (id, function) in functions() {
        assert!(function["Tracing"].is_null(), "{id} is traced as all are");
    }
    let api = &template["Resources"]["Api"]["Properties"];
    assert_eq!(
        api["TracingEnabled"],
        json!({"Fn::If": ["IsTraced", true, false]})
    );
}

#[test]
fn no_route_is_reached_without_iam() {
    let api = &resources()["Api"]["Properties"];
    assert_eq!(api["Auth"]["DefaultAuthorizer"], "AWS_IAM");
    assert_eq!(api["Auth"]["InvokeRole"], "NONE", "by the caller's own");
    for (id, route) in events("Api") {
        assert!(route["Auth"].is_null(), "{id}: {route}");
    }
    // A function's own address would lead past the API.
    for (id, function) in functions() {
        assert!(function["FunctionUrlConfig"].is_null(), "{id}");
    }
}

#[test]
fn routes_are_throttled_by_parameters() {
    let template = template();
    let settings = &template["Resources"]["Api"]["Properties"]["MethodSettings"];
    let settings = settings.as_array().expect("settings").iter();
    let found = settings.map(|setting| {
        json!([
            setting["HttpMethod"],
            setting["ResourcePath"],
            setting["ThrottlingRateLimit"]["Ref"],
            setting["ThrottlingBurstLimit"]["Ref"],
        ])
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            json!(["*", "/*", "ApiRateLimit", "ApiBurstLimit"]),
            json!([
                "POST",
                "/~1inference",
                "InferenceRateLimit",
                "InferenceBurstLimit"
            ]),
            json!([
                "GET",
                "/~1route",
                "InferenceRateLimit",
                "InferenceBurstLimit"
            ]),
        ]
    );
    for (parameter, default) in [
        ("ApiRateLimit", 20),
        ("ApiBurstLimit", 40),
        ("InferenceRateLimit", 1000),
        ("InferenceBurstLimit", 1000),
    ] {
        let parameter = &template["Parameters"][parameter];
        assert_eq!(parameter["Default"], default);
        assert_eq!(parameter["MinValue"], 1, "0 would turn everybody away");
    }
}

/// What its fields may hold is held in `wiring`.
/// Two asterisks beside each other are no `wildcard` of EventBridge: the stack would be refused while it is deployed.
#[test]
fn endpoints_are_named_by_a_pattern_that_a_rule_takes() {
    let template = template();
    let names = &template["Parameters"]["EndpointNames"];
    let allowed = names["AllowedPattern"].as_str().expect("a pattern");
    let schema = json!({"pattern": format!("^({allowed})$")});
    for fits in ["*", "wine-*", "*-wine-*", "wine"] {
        assert!(jsonschema::is_valid(&schema, &json!(fits)), "{fits}");
    }
    for unfit in ["**", "wine-**", "Wine", "wine?"] {
        assert!(!jsonschema::is_valid(&schema, &json!(unfit)), "{unfit}");
    }
    assert_eq!(
        (&names["MinLength"], &names["MaxLength"]),
        (&json!(1), &json!(63))
    );
}

#[test]
fn requests_are_logged_by_route_caller_and_outcome_unless_logs_are_off() {
    let template = template();
    let wanted = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "AccessLogs"}, "off"]}]});
    assert_eq!(template["Conditions"]["HasAccessLogs"], wanted);
    assert_eq!(template["Parameters"]["AccessLogs"]["Default"], "on");
    let setting = &template["Resources"]["Api"]["Properties"]["AccessLogSetting"];
    let log = &setting["Fn::If"][1];
    assert_eq!(*setting, only_if("HasAccessLogs", log));
    let to = log["DestinationArn"]["Fn::Sub"].as_str();
    assert!(to.is_some_and(|arn| arn.ends_with(":log-group:${ApiLogs}")));
    let line = log["Format"].as_str().expect("a format");
    let line: BTreeMap<String, String> = serde_json::from_str(line).expect("texts by their names");
    assert_eq!(
        line.keys().collect::<Vec<_>>(),
        [
            "at",
            "caller",
            "error",
            "integration_error",
            "integration_latency_ms",
            "integration_status",
            "latency_ms",
            "method",
            "request_id",
            "route",
            "status",
            "trace",
        ]
    );
}

#[test]
fn one_schedule_wakes_monitor_every_minute_to_the_minute() {
    let once = json!({"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60});
    let schedules = events("ScheduleV2");
    let [(id, tick)] = schedules.as_slice() else {
        panic!("{schedules:?}");
    };
    assert_eq!(id, "Monitor");
    assert_eq!(tick["ScheduleExpression"], "rate(1 minute)");
    assert_eq!(tick["FlexibleTimeWindow"], json!({"Mode": "OFF"}));
    assert_eq!(tick["RetryPolicy"], once);
    assert!(tick["State"].is_null(), "enabled, where nothing is said");
    // What only brings the next pass forward is dropped when it is late.
    for (id, rule) in events("EventBridgeRule") {
        assert_eq!((id.as_str(), &rule["RetryPolicy"]), ("Monitor", &once));
    }
}

#[test]
fn events_that_fail_are_not_repeated_and_are_kept() {
    let once = json!({
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {
            "OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]}},
        },
    });
    for (id, function) in functions() {
        let config = &function["EventInvokeConfig"];
        if ["DeployProvision", "Monitor", "Rollback", "TrafficShift"].contains(&id.as_str()) {
            assert_eq!(*config, once, "{id}");
            continue;
        }
        // Whoever asks the API waits for the answer.
        assert!(config.is_null(), "{id}");
        let events = function["Events"].as_object().expect("routes");
        assert!(events.values().all(|event| event["Type"] == "Api"), "{id}");
    }
    let queue = &resources()["FailureQueue"];
    assert_eq!(queue["Type"], "AWS::SQS::Queue");
    let (kept, encrypted) = ("MessageRetentionPeriod", "SqsManagedSseEnabled");
    assert_eq!(queue["Properties"][kept], 1_209_600, "14 days, the longest");
    assert_eq!(queue["Properties"][encrypted], true);
}

#[test]
fn the_table_outlives_its_stack_and_can_be_put_back_to_any_second() {
    let table = &resources()["Table"];
    assert_eq!(table["DeletionPolicy"], "Retain");
    assert_eq!(table["UpdateReplacePolicy"], "Retain");
    for (name, value) in [
        ("BillingMode", json!("PAY_PER_REQUEST")),
        (
            "DeletionProtectionEnabled",
            json!({"Ref": "DeletionProtection"}),
        ),
        (
            "PointInTimeRecoverySpecification",
            json!({"PointInTimeRecoveryEnabled": true}),
        ),
        ("SSESpecification", json!({"SSEEnabled": true})),
        (
            "TimeToLiveSpecification",
            json!({"AttributeName": "expires_at", "Enabled": true}),
        ),
    ] {
        assert_eq!(table["Properties"][name], value, "{name}");
    }
    let protection = &template()["Parameters"]["DeletionProtection"];
    assert_eq!(protection["Default"], "true");
}

/// Under which conditions is held in `wiring`.
#[test]
fn topics_are_encrypted_with_a_key_that_alarms_and_rules_may_use() {
    let resources = resources();
    let topics = of_type("AWS::SNS::Topic");
    let ids: Vec<&String> = topics.keys().collect();
    assert_eq!(ids, ["AlarmTopic", "Topic"]);
    for (id, topic) in &topics {
        let key = &topic["Properties"]["KmsMasterKeyId"];
        assert_eq!(*key, json!({"Fn::GetAtt": ["TopicKey", "Arn"]}), "{id}");
    }
    let key = &resources["TopicKey"]["Properties"];
    assert_eq!(key["EnableKeyRotation"], true);
    let services = ["cloudwatch.amazonaws.com", "events.amazonaws.com"];
    let used = json!(["kms:Decrypt", "kms:GenerateDataKey*"]);
    let published = json!("sns:Publish");
    for (id, document, action) in [
        ("TopicKey", "KeyPolicy", &used),
        ("TopicPolicy", "PolicyDocument", &published),
        ("AlarmTopicPolicy", "PolicyDocument", &published),
    ] {
        let statements = &resources[id]["Properties"][document]["Statement"];
        let statements = statements.as_array().expect("statements").iter();
        let let_in = statements.filter(|statement| statement["Principal"]["Service"].is_string());
        let let_in: Vec<&Value> = let_in.collect();
        let found: Vec<&Value> = let_in
            .iter()
            .map(|it| &it["Principal"]["Service"])
            .collect();
        assert_eq!(found, services, "{id}");
        for statement in let_in {
            assert_eq!(statement["Effect"], "Allow", "{id}");
            assert_eq!(&statement["Action"], action, "{id}");
        }
    }
}

#[test]
fn every_function_has_a_log_that_is_kept_for_as_long_as_a_parameter_says() {
    let logs = of_type("AWS::Logs::LogGroup");
    for (id, function) in functions() {
        let log = format!("{id}Logs");
        let config = &function["LoggingConfig"];
        assert_eq!(*config, json!({"LogGroup": {"Ref": log}}), "{id}");
        let name = function["FunctionName"]["Fn::Sub"]
            .as_str()
            .expect("a name");
        let named = &logs[&log]["Properties"]["LogGroupName"];
        assert_eq!(named["Fn::Sub"], format!("/aws/lambda/{name}"));
    }
    assert_eq!(logs.len(), FUNCTIONS.len() + 1, "and one of the API's");
    for (id, log) in logs {
        let days = &log["Properties"]["RetentionInDays"];
        assert_eq!(*days, json!({"Ref": "LogRetentionDays"}), "{id}");
    }
    let days = &template()["Parameters"]["LogRetentionDays"];
    assert_eq!(days["Default"], 30);
}

#[test]
fn no_concurrency_is_reserved_until_a_parameter_asks_for_it() {
    assert_off_by_default("ReservesConcurrency", "ReservedConcurrency", &json!(0));
    assert_off_by_default("LimitsInference", "InferenceConcurrency", &json!(0));
    for (id, function) in functions() {
        let (condition, parameter) = match id.as_str() {
            "Inference" => ("LimitsInference", "InferenceConcurrency"),
            _ => ("ReservesConcurrency", "ReservedConcurrency"),
        };
        let reserved = only_if(condition, &json!({"Ref": parameter}));
        assert_eq!(function["ReservedConcurrentExecutions"], reserved, "{id}");
    }
}

#[test]
fn a_web_acl_stands_before_the_api_once_a_parameter_names_it() {
    assert_off_by_default("HasWebAcl", "WebAclArn", &json!(""));
    let association = &resources()["WebAclAssociation"];
    assert_eq!(association["Type"], "AWS::WAFv2::WebACLAssociation");
    assert_eq!(association["Condition"], "HasWebAcl");
    let properties = &association["Properties"];
    assert_eq!(properties["WebACLArn"], json!({"Ref": "WebAclArn"}));
    let stage =
        "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Api.Stage}";
    assert_eq!(properties["ResourceArn"], json!({"Fn::Sub": stage}));
}

#[test]
fn functions_are_in_no_vpc_until_a_parameter_names_its_subnets() {
    assert_off_by_default("HasVpc", "SubnetIds", &json!(""));
    let template = template();
    assert_eq!(template["Parameters"]["SecurityGroupIds"]["Default"], "");
    let listed = |parameter: &str| json!({"Fn::Split": [",", {"Ref": parameter}]});
    let network = json!({
        "SubnetIds": listed("SubnetIds"),
        "SecurityGroupIds": listed("SecurityGroupIds"),
    });
    let everywhere = &template["Globals"]["Function"]["VpcConfig"];
    assert_eq!(*everywhere, only_if("HasVpc", &network));
    let policy =
        "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole";
    let granted = json!([only_if("HasVpc", &json!({"Fn::Sub": policy}))]);
    for (id, function) in functions() {
        assert!(function["VpcConfig"].is_null(), "{id}");
        let role = &template["Resources"][format!("{id}Role")]["Properties"];
        assert_eq!(role["ManagedPolicyArns"], granted, "{id}");
    }
}

/// Bodies that API Gateway looks into before a function is started for them.
const VALIDATED: [&str; 4] = [
    "POST /deploy",
    "POST /plan",
    "PUT /deployments/{id}/weight",
    "PUT /endpoints/{name}/freeze",
];
/// Those that are left to the functions, and why.
const LEFT_TO_THE_FUNCTION: [(&str, &str); 9] = [
    ("POST /deployments/{id}/approve", MAY_BE_LEFT_OUT),
    ("POST /deployments/{id}/cancel", MAY_BE_LEFT_OUT),
    ("POST /deployments/{id}/pause", MAY_BE_LEFT_OUT),
    ("POST /deployments/{id}/promote", MAY_BE_LEFT_OUT),
    ("POST /deployments/{id}/resume", MAY_BE_LEFT_OUT),
    ("POST /deployments/{id}/rollback", MAY_BE_LEFT_OUT),
    ("POST /deployments/{id}/undo", MAY_BE_LEFT_OUT),
    ("POST /feedback", READ_ONCE),
    ("POST /inference", READ_ONCE),
];
/// The page for approvals sends a form besides.
const MAY_BE_LEFT_OUT: &str = "it holds a reason, and a validator would ask for one";
const READ_ONCE: &str = "there are many, and the function reads each once and faster";

#[test]
fn every_body_is_validated_or_left_to_its_function_for_a_reason() {
    let validator = json!({"Model": "Document", "Required": true, "ValidateBody": true});
    let mut validated = BTreeSet::new();
    for (_, route) in events("Api") {
        if !route["RequestModel"].is_null() {
            assert_eq!(route["RequestModel"], validator, "{route}");
            let text = |name: &str| route[name].as_str().expect("a text");
            validated.insert(format!(
                "{} {}",
                text("Method").to_uppercase(),
                text("Path")
            ));
        }
    }
    assert_eq!(validated, BTreeSet::from(VALIDATED.map(str::to_owned)));
    let models = &resources()["Api"]["Properties"]["Models"];
    assert_eq!(*models, json!({"Document": {"type": "object"}}));
    let left = LEFT_TO_THE_FUNCTION.map(|(route, _)| route.to_owned());
    assert!(validated.is_disjoint(&BTreeSet::from(left.clone())));
    validated.extend(left);
    assert_eq!(validated, described_with_a_body());
}

/// The routes that take a body, by the API's description.
fn described_with_a_body() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, methods) in COMMITTED["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if !operation["requestBody"].is_null() {
                found.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}
