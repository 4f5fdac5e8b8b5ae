//! The gate: requirements that can be met as well as missed, and results that can be.

use super::super::raw::RawGate;
use super::super::{SpecificationError, wrong};
use crate::domain::gate::{Gate, MOST_ROWS, Requirement, Results, Rules};
use crate::domain::quantity::{Rate, Span};

/// Results younger than this are needed by nobody.
const SHORTEST_AGE: Span = Span::from_mins(1);

impl RawGate {
    pub(super) fn check(self) -> Result<Gate, SpecificationError> {
        let usual = Rules::default();
        let rules = Rules {
            recall: share("gate.recall", self.recall, usual.recall)?,
            fpr: share("gate.fpr", self.fpr, usual.fpr)?,
            latency: self.latency.unwrap_or(usual.latency),
            f1_ratio: self.f1_ratio.unwrap_or(usual.f1_ratio),
            by: self.by,
            too_few: self.too_few,
            leave_out: self.leave_out,
            max_age: self.max_age.unwrap_or(usual.max_age),
        };
        if !(0.1..=10.0).contains(&rules.f1_ratio) {
            return Err(wrong("gate.f1_ratio", "a factor from 0.1 to 10, like 1.01"));
        }
        if Requirement::ALL
            .iter()
            .all(|it| rules.leave_out.contains(it))
        {
            return Err(wrong(
                "gate.leave_out",
                "this leaves out every requirement; leave the gate itself out",
            ));
        }
        if rules.leave_out.len() > Requirement::ALL.len() {
            return Err(wrong("gate.leave_out", "a requirement is there twice"));
        }
        if rules.max_age < SHORTEST_AGE {
            return Err(wrong("gate.max_age", format!("at least {SHORTEST_AGE}")));
        }
        if let Some(results) = &self.results {
            check_results(results)?;
        }
        Ok(Gate {
            rules,
            results: self.results,
        })
    }
}

/// 0 % and 100 % are either met by everything or shown by nothing.
fn share(field: &str, given: Option<Rate>, usual: Rate) -> Result<Rate, SpecificationError> {
    let rate = given.unwrap_or(usual);
    if rate.fraction() > 0.0 && rate.fraction() < 1.0 {
        return Ok(rate);
    }
    Err(wrong(field, "above 0% and below 100%"))
}

fn check_results(results: &Results) -> Result<(), SpecificationError> {
    let named = [
        ("gate.results.model", Some(&results.model)),
        ("gate.results.champion", results.champion.as_ref()),
    ];
    for (field, name) in named {
        let fits = |name: &String| {
            (1..=256).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if name.is_some_and(|name| !fits(name)) {
            return Err(wrong(field, "the name of a model in SageMaker"));
        }
    }
    let is_digest =
        |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if results
        .predictions
        .as_ref()
        .is_some_and(|text| !is_digest(text))
    {
        return Err(wrong(
            "gate.results.predictions",
            "the SHA-256 of the file of predictions: 64 hexadecimal digits",
        ));
    }
    let rows = results.cells().rows();
    if rows > MOST_ROWS {
        return Err(wrong(
            "gate.results",
            format!("more than {MOST_ROWS} rows; draw from them"),
        ));
    }
    let Some(latency) = results.latency else {
        return Ok(());
    };
    let milliseconds = [latency.low_ms.unwrap_or(0.0), latency.p95_ms];
    let high = latency.high_ms.unwrap_or(f64::MAX);
    if !(0.0 <= milliseconds[0] && milliseconds[0] <= milliseconds[1] && milliseconds[1] <= high) {
        return Err(wrong(
            "gate.results.latency",
            "low_ms, p95_ms and high_ms are milliseconds from 0 on, and rise",
        ));
    }
    if latency.rows > rows {
        return Err(wrong(
            "gate.results.latency.rows",
            format!("{} rows with a latency, and {rows} in all", latency.rows),
        ));
    }
    Ok(())
}
