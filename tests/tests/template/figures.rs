//! Alarms and dashboard against the figures that exist: the control plane's and the models' own, as the code sends
//! them, and AWS's, as they are documented. An alarm over a metric that nobody sends never fires.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::app::health::Figure;
use shared::app::ports::Class;
use shared::aws::figures::{NAMESPACE, line, model_line};
use shared::domain::model_signals::{self, BINS, Outcome, Prediction, Tally};
use shared::domain::policy::Percentile;

use super::document::{of_type, resources};
use super::file;

/// Namespace, name and the names of the dimensions.
type Metric = (String, String, BTreeSet<String>);

/// Metrics of AWS, with the dimensions they are looked at by. From the user guides of Lambda, API Gateway,
/// DynamoDB, SQS and SageMaker ("Metrics for monitoring Amazon SageMaker AI").
const OF_AWS: [(&str, &[&str], &[&str]); 6] = [
    (
        "AWS/SageMaker",
        &["EndpointName", "VariantName"],
        &[
            "Invocations",
            "InvocationsPerInstance",
            "Invocation4XXErrors",
            "Invocation5XXErrors",
            "InvocationModelErrors",
            "ModelLatency",
            "OverheadLatency",
        ],
    ),
    (
        "/aws/sagemaker/Endpoints",
        &["EndpointName", "VariantName"],
        &["CPUUtilization", "MemoryUtilization"],
    ),
    (
        "AWS/Lambda",
        &["FunctionName"],
        &["Errors", "Throttles", "Duration"],
    ),
    (
        "AWS/ApiGateway",
        &["ApiName", "Stage"],
        &["Count", "4XXError", "5XXError", "Latency"],
    ),
    (
        "AWS/DynamoDB",
        &["TableName"],
        &["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"],
    ),
    (
        "AWS/SQS",
        &["QueueName"],
        &["ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"],
    ),
];

#[test]
fn every_metric_of_an_alarm_or_the_dashboard_is_sent_by_somebody() {
    let known = known();
    let (alarms, dashboard) = (in_alarms(), in_dashboard());
    assert!(
        alarms.len() >= 12 && dashboard.len() >= 20,
        "too few were found to be all"
    );
    for (place, metric) in alarms.iter().chain(&dashboard) {
        assert!(known.contains(metric), "{place}: nobody sends {metric:?}");
    }
    let shown: BTreeSet<&Metric> = alarms.iter().chain(&dashboard).map(|(_, it)| it).collect();
    let unseen: Vec<_> = known
        .iter()
        .filter(|metric| !shown.contains(metric))
        .collect();
    // `Errors` is looked at by its class alone.
    let all_errors = (NAMESPACE.to_owned(), "Errors".to_owned(), names(&["Stack"]));
    assert_eq!(
        unseen,
        [&all_errors],
        "sent or listed, and on no alarm or dashboard"
    );
}

#[test]
fn the_alarms_of_the_issue_are_there_and_tell_somebody() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    for (id, alarm) in &alarms {
        let properties = &alarm["Properties"];
        let topics = json!([
            {"Ref": "AlarmTopic"},
            {"Fn::If": ["HasOnCallTopic", {"Ref": "OnCallTopicArn"}, {"Ref": "AWS::NoValue"}]},
        ]);
        assert_eq!(properties["AlarmActions"], topics, "{id}");
        // Of a queue with something in it nobody is told that it was emptied.
        let well = &properties["OKActions"];
        assert!(*well == topics || id.starts_with("Fail"), "{id}");
        // A loop that does not run sends nothing at all: only there silence is bad news.
        let silence = if id == "HeartbeatAlarm" {
            "breaching"
        } else {
            "notBreaching"
        };
        assert_eq!(properties["TreatMissingData"], silence, "{id}");
    }
    for function in of_type("AWS::Serverless::Function").keys() {
        let errors = &alarms[&format!("{function}ErrorsAlarm")]["Properties"];
        assert_eq!(errors["Dimensions"][0]["Value"]["Ref"], function.as_str());
        let throttles = alarms["ThrottlesAlarm"]["Properties"]["Metrics"].to_string();
        assert!(
            throttles.contains(&format!("{{\"Ref\":\"{function}\"}}")),
            "{function}"
        );
    }
    let listed = dashboard()["widgets"].to_string();
    for id in alarms.keys() {
        assert!(
            listed.contains(&format!("${{{id}.Arn}}")),
            "{id} is not on the dashboard"
        );
    }
}

/// A team's alarm may be called like the stack, and a policy may roll back for it.
#[test]
fn monitor_is_woken_by_every_alarm_but_the_stacks_own() {
    let named = of_type("AWS::CloudWatch::Alarm");
    let named = named
        .values()
        .map(|alarm| &alarm["Properties"]["AlarmName"]);
    let own: BTreeSet<String> = named.map(|name| text(&name["Fn::Sub"])).collect();
    let events = &resources()["Monitor"]["Properties"]["Events"];
    let pattern = &events["AlarmState"]["Properties"]["Pattern"]["detail"]["alarmName"];
    assert_eq!(pattern.as_array().map(Vec::len), Some(1));
    let silent = pattern[0]["anything-but"].as_array().expect("names").iter();
    let silent: Vec<String> = silent.map(|name| text(&name["Fn::Sub"])).collect();
    assert_eq!(silent.len(), own.len());
    assert_eq!(silent.iter().cloned().collect::<BTreeSet<_>>(), own);
    // EventBridge takes patterns of 2048 characters. A function's name has 64, and the longest begins with the stack's.
    let longest = "x".repeat(64 - "-deploy-provision".len());
    let written = silent.iter();
    let written: Vec<String> = written
        .map(|name| name.replace("${AWS::StackName}", &longest))
        .collect();
    let pattern = json!({
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [{"anything-but": written}], "state": {"value": ["ALARM"]}},
    });
    assert!(pattern.to_string().len() < 2048);
}

/// A preset judges p95, and whoever looks on has to see what is judged.
#[test]
fn every_percentile_that_can_be_judged_is_on_the_dashboard() {
    let shown: BTreeSet<String> = expressions()
        .filter_map(|expression| {
            let (_, rest) = expression.split_once("MetricName=\"ModelLatency\"', '")?;
            Some(rest.split('\'').next()?.to_owned())
        })
        .collect();
    let judged = Percentile::ALL.map(|percentile| percentile.statistic().to_owned());
    assert_eq!(shown, BTreeSet::from(judged));
}

/// What CloudWatch takes: "CloudWatch search expression syntax", limits of a graph, and "Using metric math".
#[test]
fn searches_are_such_as_cloudwatch_takes() {
    let mut ids = BTreeSet::new();
    let mut searches = BTreeMap::<String, usize>::new();
    for (place, metric) in lines() {
        let Some(expression) = metric["expression"].as_str() else {
            continue;
        };
        let id = metric["id"].as_str().expect("an id").to_owned();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
        assert!(id.chars().all(is_part), "{id}");
        assert!(
            ids.insert((place.clone(), id)),
            "{place}: an id stands twice"
        );
        if !expression.contains("SEARCH(") {
            continue;
        }
        assert!(expression.len() <= 1024, "{place}");
        assert!(expression.contains("EndpointName=\"ENDPOINT\"") || expression.contains("Stack="));
        for (open, close) in [('(', ')'), ('{', '}')] {
            let count = |c| expression.matches(c).count();
            assert_eq!(count(open), count(close), "{expression}");
        }
        assert_eq!(expression.matches('"').count() % 2, 0, "{expression}");
        *searches.entry(place).or_default() += 1;
    }
    assert!(searches.len() > 20 && searches.values().all(|many| *many <= 100));
}

/// The team's own figures are asked for by the namespace that a parameter names, which the code sends nothing to.
#[test]
fn the_teams_own_figures_are_searched_for_by_the_dimensions_that_checks_fill_in() {
    let own: Vec<String> = expressions()
        .filter(|expression| expression.contains("SEARCH(") && !expression.contains("MetricName"))
        .collect();
    let schema = "{\"${KpiNamespace}\",EndpointName,VariantName}";
    let search = format!("SEARCH('{schema} EndpointName=\"ENDPOINT\"', 'Sum', 60)");
    assert_eq!(own, [search]);
}

/// A field that no line of the log has is an empty column.
#[test]
fn rates_on_the_dashboard_are_computed_of_fields_that_inference_logs() {
    let logged = model_figures();
    let logged = logged.as_object().expect("a line");
    let body = dashboard();
    let widgets = body["widgets"].as_array().expect("widgets").iter();
    let queries = widgets.filter_map(|widget| widget["properties"]["query"].as_str());
    let mut asked = BTreeSet::new();
    for query in queries.filter(|query| is_of_models(query)) {
        let (_, query) = query.split_once('\n').expect("a line after the source's");
        let words = query.split(|c: char| !c.is_ascii_alphanumeric());
        let names = words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
        for name in names.filter(|name| *name != "ENDPOINT") {
            assert!(logged.contains_key(name), "{name} in {query}");
            asked.insert(name.to_owned());
        }
    }
    for needed in ["Correct", "Labelled", "PositivePredictions", "Group"] {
        assert!(asked.contains(needed), "{needed}");
    }
    assert!((0..BINS).all(|bin| asked.contains(&format!("Score{bin}"))));
}

/// Whether a query is about what `inference` logs of models, and not about what goes wrong in functions.
fn is_of_models(query: &str) -> bool {
    query.starts_with("SOURCE '${InferenceLogs}'\n")
}

/// The alarm says that a call was denied, and the log of whichever function made it says which.
#[test]
fn what_goes_wrong_is_looked_for_in_every_functions_log() {
    let body = dashboard();
    let mut widgets = body["widgets"].as_array().expect("widgets").iter();
    let title = "Warnings and errors of the control plane";
    let found = widgets.find(|widget| widget["properties"]["title"] == title);
    let query = found.and_then(|widget| widget["properties"]["query"].as_str());
    let (sources, _) = query.and_then(|it| it.split_once('\n')).expect("a query");
    for (id, function) in of_type("AWS::Serverless::Function") {
        let log = &function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"];
        let log = log.as_str().expect("a log group");
        assert!(sources.contains(&format!("SOURCE '${{{log}}}'")), "{id}");
    }
}

#[test]
fn the_logs_on_the_dashboard_are_asked_for_fields_that_are_logged() {
    let code = file("shared/src/app/health.rs");
    let body = dashboard();
    let widgets = body["widgets"].as_array().expect("widgets").iter();
    let queries = widgets.filter_map(|widget| widget["properties"]["query"].as_str());
    let mut asked = 0;
    // What `inference` logs of models has no such prefix, and a test of its own.
    for query in queries.filter(|query| !is_of_models(query)) {
        for rest in query.split("fields.").skip(1) {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let field = rest.split(|c| !is_part(c)).next().expect("a name");
            asked += 1;
            // tracing's own name for what a line says.
            let is_logged = field == "message" || code.contains(field);
            assert!(is_logged, "{field}");
        }
        for said in query.split("fields.message = '").skip(1) {
            let said = said.split('\'').next().expect("a message");
            assert!(code.contains(&format!("\"{said}\"")), "{said}");
        }
    }
    assert!(asked > 12, "{asked}");
}

#[test]
fn the_dashboard_fills_its_grid_without_overlaps() {
    let body = dashboard();
    let widgets = body["widgets"].as_array().expect("widgets");
    let mut rows: BTreeMap<u64, Vec<(u64, u64, u64)>> = BTreeMap::new();
    for widget in widgets {
        let at = |name: &str| widget[name].as_u64().expect("a place in the grid");
        rows.entry(at("y"))
            .or_default()
            .push((at("x"), at("width"), at("height")));
    }
    let mut next = 0;
    for (y, mut row) in rows {
        assert_eq!(y, next, "a row begins where the one above it ends");
        row.sort_unstable();
        let mut x = 0;
        for (left, width, height) in &row {
            assert_eq!((*left, *height), (x, row[0].2), "row {y}");
            x += width;
        }
        assert_eq!(x, 24, "row {y} is as wide as the page");
        next = y + row[0].2;
    }
}

/// Everything that is sent, by the code or by AWS.
fn known() -> BTreeSet<Metric> {
    let figures = [
        Figure::Heartbeat,
        Figure::Active(1),
        Figure::Error {
            deployment_id: None,
            operation: "UpdateEndpoint",
            class: Class::Denied,
        },
        Figure::Forbidden,
        Figure::OldestUnjudged(Duration::ZERO),
        Figure::RollbackWaits(Duration::ZERO),
        Figure::Outbox {
            rows: 0,
            oldest: Duration::ZERO,
        },
    ];
    let documents = figures.map(|figure| line(&figure, "stack", Timestamp::UNIX_EPOCH));
    let mut known = BTreeSet::new();
    for document in documents.into_iter().chain([model_figures()]) {
        known.extend(sent(&document));
    }
    for (namespace, dimensions, metrics) in OF_AWS {
        for metric in metrics {
            known.insert((
                namespace.to_owned(),
                (*metric).to_owned(),
                names(dimensions),
            ));
        }
    }
    known
}

/// A line with every figure that a model can say of itself, with those by group.
fn model_figures() -> Value {
    let predictions = (0..BINS).map(|bin| Prediction {
        is_positive: true,
        bin: Some(bin),
    });
    let outcomes = [(true, true), (true, false), (false, true), (false, false)];
    let outcomes = outcomes.map(|(predicted, actual)| Outcome { predicted, actual });
    let of_labels = outcomes.into_iter().flat_map(Outcome::figures);
    let figures = predictions
        .flat_map(Prediction::figures)
        .chain(of_labels.map(|(figure, _)| figure))
        .chain([
            model_signals::Figure::UnreadPredictions,
            model_signals::Figure::Served,
            model_signals::Figure::Routed,
        ]);
    let tally = Tally {
        endpoint: "wine-quality".to_owned(),
        variant: "canary-01997b6e".to_owned(),
        group: Some("a".to_owned()),
        figures: figures.map(|figure| (figure, 1)).collect(),
    };
    model_line(&tally, Timestamp::UNIX_EPOCH)
}

/// The metrics that CloudWatch makes of a line, each a count or a time as its name says.
fn sent(document: &Value) -> Vec<Metric> {
    let directives = document["_aws"]["CloudWatchMetrics"].as_array();
    let mut found = Vec::new();
    for directive in directives.expect("directives") {
        for metric in directive["Metrics"].as_array().expect("metrics") {
            let unit = &metric["Unit"];
            assert!(unit == "Count" || unit == "Seconds", "{metric}");
            for set in directive["Dimensions"].as_array().expect("dimensions") {
                let dimensions = set.as_array().expect("names").iter().map(text).collect();
                let (namespace, name) = (text(&directive["Namespace"]), text(&metric["Name"]));
                found.push((namespace, name, dimensions));
            }
        }
    }
    found
}

fn in_alarms() -> Vec<(String, Metric)> {
    let mut found = Vec::new();
    for (id, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        let stats = properties["Metrics"].as_array().into_iter().flatten();
        let metrics = stats
            .map(|it| &it["MetricStat"]["Metric"])
            .filter(|it| !it.is_null());
        let mut metrics: Vec<&Value> = metrics.collect();
        if metrics.is_empty() {
            metrics.push(properties);
        }
        for metric in metrics {
            let dimensions = metric["Dimensions"].as_array().expect("dimensions").iter();
            let dimensions = dimensions
                .map(|dimension| text(&dimension["Name"]))
                .collect();
            let metric = (
                text(&metric["Namespace"]),
                text(&metric["MetricName"]),
                dimensions,
            );
            found.push((id.clone(), metric));
        }
    }
    found
}

fn in_dashboard() -> Vec<(String, Metric)> {
    let mut found = Vec::new();
    let body = dashboard();
    for widget in body["widgets"].as_array().expect("widgets") {
        let place = widget["properties"]["title"].as_str().unwrap_or("text");
        let metrics = widget["properties"]["metrics"].as_array();
        for metric in metrics.into_iter().flatten() {
            let parts = metric.as_array().expect("a metric");
            let metrics = match parts[0]["expression"].as_str() {
                None => vec![named(parts)],
                // Without a search, arithmetic over another line of the same widget.
                Some(expression) => searched(expression),
            };
            let place = format!("dashboard, {place}");
            found.extend(metrics.into_iter().map(|metric| (place.clone(), metric)));
        }
    }
    found
}

/// The options of every line of every graph, with the graph's title.
fn lines() -> Vec<(String, Value)> {
    let body = dashboard();
    let widgets = body["widgets"].as_array().expect("widgets").iter();
    let lines = widgets.flat_map(|widget| {
        let place = widget["properties"]["title"].as_str().unwrap_or("text");
        let metrics = widget["properties"]["metrics"].as_array();
        let metrics = metrics.into_iter().flatten();
        metrics.map(move |metric| {
            let options = metric.as_array().and_then(|parts| parts.last());
            (place.to_owned(), options.cloned().unwrap_or_default())
        })
    });
    lines.collect()
}

/// The expressions among them.
fn expressions() -> impl Iterator<Item = String> {
    lines()
        .into_iter()
        .filter_map(|(_, line)| line["expression"].as_str().map(str::to_owned))
}

/// `[namespace, name, dimension, value, …, {options}]`
fn named(parts: &[Value]) -> Metric {
    let texts: Vec<String> = parts.iter().filter(|it| it.is_string()).map(text).collect();
    let dimensions = texts[2..].iter().step_by(2).cloned().collect();
    (texts[0].clone(), texts[1].clone(), dimensions)
}

/// `SEARCH('{namespace,dimension,…} … MetricName="name"', 'statistic', 60)`, of one name or of several. A search
/// without a name is for whatever a team sends.
fn searched(expression: &str) -> Vec<Metric> {
    let Some((_, search)) = expression.split_once("SEARCH('{") else {
        return Vec::new();
    };
    let (schema, rest) = search.split_once('}').expect("a schema");
    let mut schema = schema.split(',').map(str::to_owned);
    let namespace = schema.next().expect("a namespace");
    let dimensions: BTreeSet<String> = schema.collect();
    let names = rest.split("MetricName=\"").skip(1);
    let names = names.map(|name| name.split('"').next().expect("a name").to_owned());
    names
        .map(|name| (namespace.clone(), name, dimensions.clone()))
        .collect()
}

/// The dashboard's body. Its references are left as they stand; `${!` is CloudFormation's own escape.
fn dashboard() -> Value {
    let resources = resources();
    let body = &resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"];
    serde_json::from_str(body.as_str().expect("a text")).expect("the dashboard's body is JSON")
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
