//! What a stack costs: prices and quantities of `infra/prices.toml`, multiplied. The tables of docs/costs.md
//! are what this prints, and a check of the documents holds them to it.

use std::fmt::Write as _;
use std::path::Path;

use toml_edit::DocumentMut;

use crate::steps::Outcome;

/// Where the figures stand.
const PRICES: &str = "infra/prices.toml";
/// Where the tables stand, between these two lines.
const DOCUMENT: &str = "docs/costs.md";
const BEGIN: &str = "<!-- cargo xtask costs -->";
const END: &str = "<!-- end -->";

/// Prints the tables, of the project's own figures or of a file like it.
pub(crate) fn print(root: &Path, file: Option<&str>) -> Outcome {
    let path = file.map_or_else(|| root.join(PRICES), Into::into);
    match read(&path) {
        Ok(figures) => {
            print!("{}", tables(&figures));
            Outcome::Passed
        }
        Err(why) => Outcome::failed(why),
    }
}

/// What is wrong with the tables in the document.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let document = std::fs::read_to_string(root.join(DOCUMENT));
    let figures = read(&root.join(PRICES));
    match (document, figures) {
        (Ok(document), Ok(figures)) => differs(&document, &tables(&figures)).into_iter().collect(),
        (Err(error), _) => vec![format!("{DOCUMENT}: {error}")],
        (_, Err(why)) => vec![why],
    }
}

fn differs(document: &str, tables: &str) -> Option<String> {
    let between = document
        .split_once(BEGIN)
        .and_then(|(_, after)| after.split_once(END));
    match between {
        None => Some(format!("{DOCUMENT} has no {BEGIN} … {END}")),
        Some((written, _)) if written.trim() == tables.trim() => None,
        Some(_) => Some(format!(
            "{DOCUMENT} is not what `cargo xtask costs` prints: put that between {BEGIN} and {END}"
        )),
    }
}

/// Prices and quantities, by table and name.
struct Figures(DocumentMut);

fn read(path: &Path) -> Result<Figures, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let figures = Figures(
        text.parse()
            .map_err(|error| format!("{}: {error}", path.display()))?,
    );
    for name in NEEDED {
        figures
            .find(name)
            .ok_or_else(|| format!("{}: {name} is missing", path.display()))?;
    }
    Ok(figures)
}

/// Everything the tables are made of, so that a file that lacks some says so.
const NEEDED: [&str; 44] = [
    "prices.lambda_gigabyte_second",
    "prices.lambda_request",
    "prices.scheduler_invocation",
    "prices.dynamodb_write_unit",
    "prices.dynamodb_read_unit",
    "prices.dynamodb_gigabyte_month",
    "prices.dynamodb_recovery_gigabyte_month",
    "prices.cloudwatch_metric_queried",
    "prices.cloudwatch_custom_metric_month",
    "prices.cloudwatch_alarm_metric_month",
    "prices.cloudwatch_dashboard_month",
    "prices.log_gigabyte",
    "prices.kms_key_month",
    "prices.kms_request",
    "prices.xray_trace",
    "prices.api_request",
    "prices.eventbridge_event",
    "prices.sns_publish",
    "month.minutes",
    "idle.memory_gigabytes",
    "idle.tick_seconds",
    "idle.tick_log_bytes",
    "idle.tick_read_units",
    "idle.custom_metrics",
    "idle.alarm_metrics",
    "idle.dashboards",
    "idle.keys",
    "deployment.tick_seconds",
    "deployment.log_bytes",
    "deployment.metrics_queried",
    "deployment.write_units",
    "deployment.read_units",
    "deployment.stored_bytes_a_minute",
    "deployment.kept_months",
    "deployment.events",
    "deployment.invocations",
    "deployment.invocation_seconds",
    "model.custom_metrics",
    "model.metrics_queried",
    "month.hours",
    "request.seconds",
    "request.log_bytes",
    "request.read_units",
    "request.traced",
];

impl Figures {
    fn find(&self, name: &str) -> Option<f64> {
        let (table, key) = name.split_once('.')?;
        let value = self.0.get(table)?.get(key)?;
        #[expect(clippy::cast_precision_loss, reason = "quantities far below 2^53")]
        value
            .as_float()
            .or_else(|| value.as_integer().map(|number| number as f64))
    }

    fn of(&self, name: &str) -> f64 {
        self.find(name)
            .expect("everything needed was found when the file was read")
    }

    fn price(&self, name: &str) -> f64 {
        self.of(&format!("prices.{name}"))
    }

    /// Functions that run for so many seconds altogether.
    fn lambda(&self, invocations: f64, seconds: f64) -> f64 {
        let memory = self.of("idle.memory_gigabytes");
        invocations * self.price("lambda_request")
            + seconds * memory * self.price("lambda_gigabyte_second")
    }

    fn logs(&self, bytes: f64) -> f64 {
        bytes / 1e9 * self.price("log_gigabyte")
    }
}

/// A row: what, and its dollars.
type Rows = Vec<(&'static str, f64)>;

fn idle(figures: &Figures) -> Rows {
    let ticks = figures.of("month.minutes");
    let standing = |quantity: &str, price: &str| figures.of(quantity) * figures.price(price);
    vec![
        (
            "`monitor` every minute",
            figures.lambda(ticks, ticks * figures.of("idle.tick_seconds"))
                + ticks * figures.price("scheduler_invocation"),
        ),
        (
            "reads of the table",
            ticks * figures.of("idle.tick_read_units") * figures.price("dynamodb_read_unit"),
        ),
        (
            "log lines and figures",
            figures.logs(ticks * figures.of("idle.tick_log_bytes")),
        ),
        ("traces", ticks * figures.price("xray_trace")),
        (
            "custom metrics",
            standing("idle.custom_metrics", "cloudwatch_custom_metric_month"),
        ),
        (
            "alarms",
            standing("idle.alarm_metrics", "cloudwatch_alarm_metric_month"),
        ),
        (
            "dashboard",
            standing("idle.dashboards", "cloudwatch_dashboard_month"),
        ),
        ("KMS key", standing("idle.keys", "kms_key_month")),
    ]
}

/// One deployment that takes so many hours from its acceptance to its end.
fn deployment(figures: &Figures, hours: f64) -> Rows {
    let minutes = hours * 60.0;
    let each = |quantity: &str, price: &str| minutes * figures.of(quantity) * figures.price(price);
    let (events, calls) = (
        figures.of("deployment.events"),
        figures.of("deployment.invocations"),
    );
    let acting = figures.lambda(calls, calls * figures.of("deployment.invocation_seconds"));
    let stored = minutes * figures.of("deployment.stored_bytes_a_minute") / 1e9
        * figures.of("deployment.kept_months");
    let storing = figures.price("dynamodb_gigabyte_month")
        + figures.price("dynamodb_recovery_gigabyte_month");
    // Publishing encrypts once, and each delivery decrypts; ten subscribers are many.
    let announcing = figures.price("sns_publish")
        + figures.price("eventbridge_event")
        + 10.0 * figures.price("kms_request");
    vec![
        (
            "metrics queried",
            each("deployment.metrics_queried", "cloudwatch_metric_queried"),
        ),
        (
            "the table",
            each("deployment.write_units", "dynamodb_write_unit")
                + each("deployment.read_units", "dynamodb_read_unit")
                + stored * storing,
        ),
        (
            "functions",
            figures.lambda(0.0, minutes * figures.of("deployment.tick_seconds")) + acting,
        ),
        (
            "log lines",
            figures.logs(minutes * figures.of("deployment.log_bytes")),
        ),
        ("announcements", events * announcing),
    ]
}

/// What a model says about itself: over a deployment of so many hours, and a month of it afterwards.
fn model(figures: &Figures, hours: f64) -> Rows {
    let metrics = figures.of("model.custom_metrics");
    let month = metrics * figures.price("cloudwatch_custom_metric_month");
    let queried = hours * 60.0 * figures.of("model.metrics_queried");
    vec![
        (
            "custom metrics of both variants, 48 hours",
            2.0 * month * hours / figures.of("month.hours"),
        ),
        (
            "metrics queried beside the others, 48 hours",
            queried * figures.price("cloudwatch_metric_queried"),
        ),
        ("custom metrics of the variant that stays, a month", month),
    ]
}

/// A million requests through `POST /inference`.
fn requests(figures: &Figures) -> Rows {
    const MANY: f64 = 1e6;
    vec![
        ("API Gateway", MANY * figures.price("api_request")),
        (
            "`inference`",
            figures.lambda(MANY, MANY * figures.of("request.seconds")),
        ),
        (
            "log lines",
            figures.logs(MANY * figures.of("request.log_bytes")),
        ),
        (
            "reads of the table",
            MANY * figures.of("request.read_units") * figures.price("dynamodb_read_unit"),
        ),
        (
            "traces",
            MANY * figures.of("request.traced") * figures.price("xray_trace"),
        ),
    ]
}

fn tables(figures: &Figures) -> String {
    let mut text = String::new();
    let mut write =
        |line: String| writeln!(text, "{line}").expect("writing to a string does not fail");
    let mut table = |title: &str, rows: &Rows, sum: Option<f64>| {
        write(format!("| {title} | US dollars |\n|---|---:|"));
        for (what, dollars) in rows {
            let shown = if *dollars < 0.005 {
                "below 0.01".to_owned()
            } else {
                format!("{dollars:.2}")
            };
            write(format!("| {what} | {shown} |"));
        }
        if let Some(sum) = sum {
            write(format!("| **altogether** | **{sum:.2}** |"));
        }
        write(String::new());
    };
    let summed = [
        ("a month without any deployment", idle(figures)),
        ("one deployment of 48 hours", deployment(figures, 48.0)),
        ("a million requests through `/inference`", requests(figures)),
    ];
    for (title, rows) in &summed {
        table(title, rows, Some(total(rows)));
    }
    // Dollars of a deployment and dollars a month: there is nothing to add up.
    table(
        "a model that speaks about itself",
        &model(figures, 48.0),
        None,
    );
    write("| deployments a month | 4 hours each | 48 hours each |\n|---:|---:|---:|".to_owned());
    let standing = total(&idle(figures));
    for number in [1.0, 10.0, 100.0] {
        let month = |hours| standing + number * total(&deployment(figures, hours));
        write(format!(
            "| {number} | {:.2} | {:.2} |",
            month(4.0),
            month(48.0)
        ));
    }
    text
}

fn total(rows: &Rows) -> f64 {
    rows.iter().map(|(_, dollars)| dollars).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let root = crate::environment::workspace_root();
        read(&root.join(PRICES)).expect("the project's own prices")
    }

    #[test]
    fn a_row_is_what_its_quantities_cost() {
        let rows = deployment(&figures(), 1.0);
        // 60 minutes of 28 metrics at a thousandth of a cent.
        assert!((rows[0].1 - 60.0 * 28.0 * 0.00001).abs() < 1e-9, "{rows:?}");
        let month = idle(&figures());
        assert!(
            (month[7].1 - 1.0).abs() < 1e-9 && month[5].1 > 1.9,
            "{month:?}"
        );
    }

    #[test]
    fn what_is_not_twice_the_time_is_not_twice_as_dear() {
        let (one, two) = (deployment(&figures(), 10.0), deployment(&figures(), 20.0));
        assert!((two[0].1 - 2.0 * one[0].1).abs() < 1e-9);
        assert!(
            (two[4].1 - one[4].1).abs() < 1e-9,
            "announcements go by events"
        );
    }

    #[test]
    fn a_models_own_figures_cost_by_the_hour_while_there_are_two_and_by_the_month_after() {
        let (rows, twice) = (model(&figures(), 73.0), model(&figures(), 146.0));
        // A tenth of a month of 34 metrics of two variants, at 0.30 each.
        assert!(
            (rows[0].1 - 2.0 * 34.0 * 0.30 / 10.0).abs() < 1e-9,
            "{rows:?}"
        );
        assert!((twice[0].1 - 2.0 * rows[0].1).abs() < 1e-9);
        assert!((twice[1].1 - 2.0 * rows[1].1).abs() < 1e-9);
        assert!((twice[2].1 - 34.0 * 0.30).abs() < 1e-9, "{twice:?}");
    }

    #[test]
    fn a_document_that_says_otherwise_is_found() {
        let document = |table: &str| format!("x\n{BEGIN}\n{table}\n{END}\ny");
        assert_eq!(differs(&document("a"), "a\n"), None);
        assert!(differs(&document("b"), "a").is_some() && differs("a", "a").is_some());
    }
}
