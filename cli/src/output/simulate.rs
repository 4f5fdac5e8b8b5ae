//! `canary simulate`: what goes wrong on demand, and what a pass of the control loop did.

use serde_json::Value;
use shared::domain::quantity::counted;

use super::printable;
use super::text::time;
use crate::local::faults::{AwsFault, AwsFaultKind, Disturbed, Faults};

/// What a reset did.
pub(crate) const RESET: &str = "Everything is as it was at the start: wine-quality serves wine-quality-v1, and \
                                deployments, metrics, faults and what was made in the account are gone.";

/// Everything that goes wrong, a line each.
pub(crate) fn faults(faults: &Faults) -> String {
    if faults.models.is_empty() && faults.aws.is_empty() {
        return "Nothing is disturbed.".to_owned();
    }
    let models = faults.models.iter().map(model);
    let lines: Vec<String> = models.chain(faults.aws.iter().map(calls)).collect();
    lines.join("\n")
}

fn model(fault: &Disturbed) -> String {
    let mut wrong = Vec::new();
    if fault.error_rate.fraction() > 0.0 {
        wrong.push(format!(
            "answers {} of its requests with 500",
            fault.error_rate
        ));
    }
    if fault.latency_factor > 1.0 {
        wrong.push(format!("takes {} times as long", fault.latency_factor));
    }
    if let Some(late) = fault.added_latency {
        wrong.push(format!("answers {late} late"));
    }
    let end = match fault.until {
        Some(until) => format!("until {} UTC", time(until)),
        None => "until canary simulate clear".to_owned(),
    };
    let wrong = if wrong.is_empty() {
        "does as it should".to_owned()
    } else {
        wrong.join(" and ")
    };
    format!("{} {wrong}, {end}", printable(&fault.model))
}

fn calls(fault: &AwsFault) -> String {
    let what = match &fault.operation {
        Some(operation) => format!("{} {operation}", fault.service),
        None => fault.service.clone(),
    };
    let calls = match (fault.skip, fault.times) {
        (0, 1) => "the next call".to_owned(),
        (0, times) => format!("the next {times} calls"),
        (skip, 1) => format!("one call after {skip}"),
        (skip, times) => format!("{times} calls after {skip}"),
    };
    let happens = match fault.fault {
        AwsFaultKind::Error => "answered with an internal error",
        AwsFaultKind::Throttle => "throttled",
        AwsFaultKind::LoseAnswer => "done, and the answer gets lost",
        AwsFaultKind::LoseRequest => "lost on the way",
    };
    let are = if fault.times == 1 { "is" } else { "are" };
    format!("{calls} of {} {are} {happens}", printable(&what))
}

/// What a pass did, and how the deployments under way stand after it.
pub(crate) fn ticked(report: &Value, standing: &[String]) -> String {
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "looked at {}; {} written",
        counted(count("active"), "deployment"),
        counted(count("committed"), "record")
    )];
    for failed in report["failed"].as_array().into_iter().flatten() {
        let part = |place: usize| printable(failed[place].as_str().unwrap_or_default());
        lines.push(format!("{} failed: {}", part(0), part(1)));
    }
    lines.extend(standing.iter().cloned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: Value) -> Faults {
        serde_json::from_value(document).expect("faults")
    }

    #[test]
    fn what_goes_wrong_is_a_line_each() {
        assert_eq!(faults(&Faults::default()), "Nothing is disturbed.");
        let some = read(json!({
            "models": [
                {"model": "wine-quality-v2", "error_rate": "50%", "latency_factor": 1.0},
                {"model": "loans", "error_rate": "0%", "latency_factor": 3.0, "added_latency": "300ms",
                 "until": "2026-11-21T10:00:00Z"},
            ],
            "aws": [
                {"service": "sagemaker", "operation": "UpdateEndpoint", "fault": "throttle", "times": 3, "skip": 0},
                {"service": "sns", "fault": "lose-answer", "times": 1, "skip": 2},
            ],
        }));
        assert_eq!(
            faults(&some).lines().collect::<Vec<_>>(),
            [
                "wine-quality-v2 answers 50% of its requests with 500, until canary simulate clear",
                "loans takes 3 times as long and answers 300ms late, until 2026-11-21 10:00:00 UTC",
                "the next 3 calls of sagemaker UpdateEndpoint are throttled",
                "one call after 2 of sns is done, and the answer gets lost",
            ]
        );
    }

    #[test]
    fn a_pass_says_what_it_did_and_what_failed() {
        let report = json!({"active": 1, "committed": 0, "failed": [["0193", "no\nanswer"]]});
        assert_eq!(
            ticked(&report, &["0193 stands".to_owned()]),
            "looked at 1 deployment; 0 records written\n0193 failed: no answer\n0193 stands"
        );
    }
}
