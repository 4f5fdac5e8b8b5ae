//! `canary compare`: requirement by requirement, group by group, and the block for a specification.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use shared::domain::comparison::effect::percent;
use shared::domain::gate::{
    By, Called, Cells, Finding, Judgement, Outcome, Requirement, Results, Rules, TooFew, Verdict,
    interval,
};
use shared::wire::predictions::Counted;

use super::table::{cell, number, table, toned};
use super::{Look, Tone, printable};

/// What was found, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    outcome: Outcome,
    rows: u64,
    requirements: Vec<Finding>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, Group>,
    /// What the `gate` of a specification takes; absent while it is not said whose they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Results>,
    #[serde(skip)]
    sentence: String,
}

/// The challenger on the rows of one group.
#[derive(Debug, Serialize)]
struct Group {
    rows: u64,
    recall: Share,
    fpr: Share,
}

/// A share with its 95 % interval; the value is absent without a row.
#[derive(Debug, Serialize)]
struct Share {
    value: Option<f64>,
    low: f64,
    high: f64,
}

impl Share {
    fn of(called: &Called) -> Self {
        let (hits, trials) = (called.both + called.challenger, called.rows());
        let (low, high) = interval::share(hits, trials);
        Self {
            value: (trials > 0).then(|| hits as f64 / trials as f64),
            low,
            high,
        }
    }

    fn text(&self) -> String {
        let Some(value) = self.value else {
            return "-".to_owned();
        };
        let (value, low, high) = (percent(value), percent(self.low), percent(self.high));
        format!("{value} ({low} to {high})")
    }
}

impl Group {
    fn of(cells: &Cells) -> Self {
        Self {
            rows: cells.rows(),
            recall: Share::of(&cells.positives),
            fpr: Share::of(&cells.negatives),
        }
    }
}

impl Compared {
    /// From what was counted and what it comes to.
    pub(crate) fn new(counted: &Counted, results: &Results, judgement: Judgement) -> Self {
        let groups = counted.groups.iter();
        Self {
            outcome: judgement.outcome,
            rows: counted.cells.rows(),
            sentence: judgement.sentence(),
            requirements: judgement.requirements,
            groups: groups
                .map(|(name, cells)| (name.clone(), Group::of(cells)))
                .collect(),
            results: (!results.model.is_empty()).then(|| results.clone()),
        }
    }
}

/// For people.
pub(crate) fn table_of(look: Look, compared: &Compared) -> String {
    let rows = compared.requirements.iter().map(|finding| {
        let (word, tone) = verdict(finding.verdict);
        vec![
            cell(finding.requirement.as_str()),
            toned(word, tone),
            number(&figure(finding.requirement, finding.value)),
            number(&bounds(finding)),
            cell(limit(finding)),
        ]
    });
    let header = [
        "REQUIREMENT",
        "VERDICT",
        "MEASURED",
        "95% INTERVAL",
        "REQUIRED",
    ];
    let mut text = table(look, &header, rows.collect());
    if !compared.groups.is_empty() {
        let rows = compared.groups.iter().map(|(name, group)| {
            vec![
                cell(printable(name)),
                number(&group.rows),
                number(&group.recall.text()),
                number(&group.fpr.text()),
            ]
        });
        let header = ["GROUP", "ROWS", "RECALL", "FALSE POSITIVES"];
        text.push('\n');
        text.push_str(&table(look, &header, rows.collect()));
    }
    let (word, tone) = match compared.outcome {
        Outcome::Passed => ("passed", Tone::Good),
        Outcome::Rejected => ("REJECTED", Tone::Bad),
    };
    let word = tone.paint(look, word);
    writeln!(text, "\n{word}: {}", compared.sentence).expect("a string takes everything");
    text
}

const fn verdict(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Passed => ("passed", Tone::Good),
        Verdict::Failed => ("failed", Tone::Bad),
        Verdict::TooFew => ("too few rows", Tone::Warning),
    }
}

fn figure(requirement: Requirement, value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    match requirement {
        Requirement::Recall | Requirement::Fpr => percent(value),
        Requirement::Latency => format!("{value}ms"),
        Requirement::F1Ratio => format!("{value:.3}"),
    }
}

fn bounds(finding: &Finding) -> String {
    match (finding.low, finding.high) {
        (None, None) => "-".to_owned(),
        (low, high) => {
            let text = |bound| figure(finding.requirement, bound);
            format!("{} to {}", text(low), text(high))
        }
    }
}

fn limit(finding: &Finding) -> String {
    let sign = match finding.requirement {
        Requirement::Recall | Requirement::F1Ratio => ">=",
        Requirement::Fpr | Requirement::Latency => "<=",
    };
    let limit = match finding.requirement {
        Requirement::F1Ratio => finding.limit.to_string(),
        Requirement::Latency => format!("{}ms (p95)", finding.limit),
        Requirement::Recall | Requirement::Fpr => percent(finding.limit),
    };
    format!("{sign} {limit}")
}

/// The `gate` of a specification, in YAML: rules and results.
pub(crate) fn block(rules: &Rules, results: &Results) -> String {
    let mut lines = vec![
        ("recall", json!(rules.recall)),
        ("fpr", json!(rules.fpr)),
        ("latency", json!(rules.latency)),
        ("f1_ratio", json!(rules.f1_ratio)),
        ("max_age", json!(rules.max_age)),
    ];
    if rules.by != By::default() {
        lines.push(("by", json!(rules.by)));
    }
    if rules.too_few != TooFew::default() {
        lines.push(("too_few", json!(rules.too_few)));
    }
    if !rules.leave_out.is_empty() {
        lines.push(("leave_out", json!(rules.leave_out)));
    }
    let mut text = "gate:\n".to_owned();
    for (name, value) in lines {
        writeln!(text, "  {name}: {value}").expect("a string takes everything");
    }
    text.push_str("  results:\n");
    let results = serde_json::to_value(results).unwrap_or(Value::Null);
    for (name, value) in results.as_object().into_iter().flatten() {
        // A value of JSON is one of YAML too.
        writeln!(text, "    {name}: {value}").expect("a string takes everything");
    }
    text
}
