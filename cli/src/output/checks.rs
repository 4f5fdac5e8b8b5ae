//! `canary checks`: the evidence, minute by minute.

use shared::domain::judge::MinuteReport;
use shared::domain::observation::ArmMinute;

use super::table::{Cell, cell, is_narrow, number, table, toned, with_sentences};
use super::text::{error_rate, time};
use super::{Look, Tone};

/// What a sentence stands under where it has lines of its own: the first figure.
const INDENT: usize = 7;

/// The minutes in the order given.
pub(crate) fn checks(look: Look, minutes: &[MinuteReport]) -> String {
    if minutes.is_empty() {
        return "no minute has been judged yet".to_owned();
    }
    let mut header = vec![
        if look.terminal { "UTC" } else { "MINUTE (UTC)" },
        "WEIGHT",
        "CANARY",
        "ERRORS",
        "P99",
        "PRODUCTION",
        "ERRORS",
        "P99",
    ];
    if is_narrow(look) {
        let rows = minutes.iter().map(|report| {
            let sentence = tone(&report.verdict).paint(look, &said(report));
            (figures(look, report), sentence)
        });
        return with_sentences(look, &header, rows.collect(), INDENT);
    }
    header.extend(if look.terminal {
        &["WHY"][..]
    } else {
        &["ODDS", "VERDICT", "WHY"]
    });
    let rows = minutes.iter().map(|report| {
        let mut row = figures(look, report);
        let tone = tone(&report.verdict);
        if look.terminal {
            // The widest table of all: the colour and the first word are the verdict.
            row.push(toned(said(report), tone));
        } else {
            row.push(number(&odds(report)));
            row.push(toned(&report.verdict, tone));
            row.push(cell(&report.sentence));
        }
        row
    });
    table(look, &header, rows.collect())
}

/// The minute, the share, and what was measured of both models.
fn figures(look: Look, report: &MinuteReport) -> Vec<Cell> {
    let time = if look.terminal {
        report.minute.strftime("%H:%M").to_string()
    } else {
        time(report.minute)
    };
    let mut row = vec![cell(time), number(&report.share())];
    row.extend(arm(report.canary.as_ref()));
    row.extend(arm(report.production.as_ref()));
    row
}

/// The verdict and why.
fn said(report: &MinuteReport) -> String {
    format!("{}: {}", report.verdict, report.sentence)
}

/// The strongest evidence of all signals that the canary is worse, as odds against luck.
fn odds(report: &MinuteReport) -> String {
    let strongest = report.signals.values().max_by(|a, b| {
        a.ln_e
            .unwrap_or(f64::MIN)
            .total_cmp(&b.ln_e.unwrap_or(f64::MIN))
    });
    strongest
        .and_then(|signal| signal.odds.clone())
        .unwrap_or_else(|| "-".to_owned())
}

fn arm(minute: Option<&ArmMinute>) -> [Cell; 3] {
    let Some(minute) = minute else {
        return [number("-"), number("-"), number("-")];
    };
    let p99 = minute.latency.as_ref().map_or_else(
        || "-".to_owned(),
        |latency| format!("{:.1} ms", latency.p99_ms),
    );
    [
        number(&minute.invocations),
        number(&error_rate(minute.errors_5xx, minute.invocations)),
        number(&p99),
    ]
}

fn tone(verdict: &str) -> Tone {
    match verdict {
        "healthy" => Tone::Good,
        "unhealthy" => Tone::Bad,
        _ => Tone::Warning,
    }
}
