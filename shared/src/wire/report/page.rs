//! The report as a page: one file, read in a browser by day and by night, on a wide screen and on a
//! phone, printed, and sent on.
//!
//! No script, nothing fetched, and a policy that forbids the browser both: the style is allowed by its
//! digest and by nothing else. Everything that comes from the record is escaped.

use std::fmt::Write as _;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::picture::{self, Picture, STYLE, moments};
use super::series::{Point, Series, Track};
use super::{Report, ReportLine, share};
use crate::domain::audience::Audience;
use crate::domain::comparison::effect::percent;
use crate::domain::evidence::Totals;
use crate::domain::history::{Entry, Severity};
use crate::domain::incident::PostMortem;
use crate::domain::quantity::Weight;
use crate::domain::signal::spoken;
use crate::domain::state::{Phase, Status};
use crate::wire::api::DeploymentView;
use crate::wire::html::{by_digest, escaped};

/// How the page looks; the pictures' own style comes with them.
///
/// On a narrow screen the rows of every table in a `.wide` become blocks: what is short beside each other,
/// with its `data-label` where it has one, and below it the sentence, `.said`. Pictures stay as large as
/// they can be read at and scroll; written from right to left, what holds them begins at the newest end.
const PAGE_STYLE: &str = ":root{color-scheme:light dark;--ground:#fff;--panel:#f8fafc;--ink:#0f172a;--muted:#475569;--line:#cbd5e1;--old:#94a3b8;--new:#0d9488;--bad:#dc2626;--warn:#b45309;--good:#15803d;--share:#4f46e5}@media(prefers-color-scheme:dark){:root{--ground:#0b1220;--panel:#131c2e;--ink:#e2e8f0;--muted:#a3b1c6;--line:#334155;--old:#64748b;--new:#2dd4bf;--bad:#f87171;--warn:#fbbf24;--good:#4ade80;--share:#a5b4fc}}*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 4rem;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;line-height:1.25;margin:.25rem 0 .5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2.25rem 0 .5rem}h3{font-size:1rem;margin:1.25rem 0 .25rem}p{margin:.4rem 0;overflow-wrap:anywhere}.muted{color:var(--muted)}.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92em}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}thead th{color:var(--muted);font-weight:600;white-space:nowrap}td{overflow-wrap:break-word}table.facts td{overflow-wrap:anywhere}td.when,td.who,td.event{white-space:nowrap}td.said{min-width:16rem}table.facts th{width:11rem;color:var(--muted);font-weight:600;white-space:nowrap}.status{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:1px solid;font-weight:600;font-size:.85rem}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}figure{margin:1rem 0;padding:.75rem;background:var(--panel);border:1px solid var(--line);border-radius:.5rem;overflow-x:auto}figure svg{display:block;width:100%;min-width:44rem;height:auto}figcaption{margin-top:.5rem;color:var(--muted);font-size:.9em;min-width:0}code{background:var(--panel);border:1px solid var(--line);border-radius:.25rem;padding:.05rem .3rem;overflow-wrap:anywhere}ul{padding-left:1.25rem}li{margin:.25rem 0}label{display:block}input{display:block;width:100%;max-width:36rem;margin-top:.25rem;padding:.4rem .6rem;font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--line);border-radius:.25rem}button{margin:.75rem 0;padding:.5rem 1rem;font:inherit;font-weight:600;color:var(--ground);background:var(--share);border:0;border-radius:.25rem}.narrow{display:none}@media(max-width:40rem){table.facts th{width:7rem;white-space:normal}.wide table,.wide tbody{display:block}.wide thead{display:none}.wide tr{display:flex;flex-wrap:wrap;gap:.1rem .75rem;padding:.6rem 0;border-bottom:1px solid var(--line)}.wide td{min-width:0;max-width:100%;padding:0;border:0;overflow-wrap:anywhere}.wide td.said{flex:0 0 100%;order:1}.wide td[data-label]::before{content:attr(data-label)\": \";color:var(--muted)}figure{direction:rtl}figure svg,figcaption{direction:ltr}.narrow{display:block}}@media print{figure{break-inside:avoid}body{max-width:none}}";

static ALL_STYLE: LazyLock<String> = LazyLock::new(|| format!("{PAGE_STYLE}{STYLE}"));

/// What the browser may do with the page: show it in the style that it brings along.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = by_digest(style());
    format!("default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'")
});

/// How the page and its pictures look.
pub fn style() -> &'static str {
    &ALL_STYLE
}

/// The whole page.
pub fn page(report: &Report) -> String {
    let title = title(&report.deployment);
    let mut page = Page(String::with_capacity(64 * 1024));
    page.add(format_args!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
        escaped(&POLICY),
        escaped(&title),
        style()
    ));
    page.add(format_args!("{}</body>\n</html>\n", body(report)));
    page.0
}

/// What the page shows, without the frame around it: for another page in this [`style`].
pub fn body(report: &Report) -> String {
    let view = &report.deployment;
    let mut page = Page(String::with_capacity(64 * 1024));
    page.head(report, &title(view));
    page.facts(report);
    page.advice(report);
    page.pictures(report);
    page.breaches(&report.breaches);
    page.post_mortem(report);
    page.told(report);
    page.timeline(report);
    page.add(format_args!(
        "<p class=\"muted\">As of {}, version {} of the record. Times are UTC.</p>\n",
        time(view.as_of),
        view.version
    ));
    page.0
}

/// What is replaced by what, and where.
fn title(view: &DeploymentView) -> String {
    format!(
        "{}: {} for {}",
        view.endpoint, view.model, view.former_model
    )
}

struct Page(String);

impl Page {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes everything");
    }

    fn paragraph(&mut self, class: &str, text: &str) {
        self.add(format_args!("<p class=\"{class}\">{}</p>\n", escaped(text)));
    }

    fn head(&mut self, report: &Report, title: &str) {
        let view = &report.deployment;
        self.add(format_args!(
            "<header>\n<span class=\"status {}\">{}</span>\n<h1>{}</h1>\n<p>{}</p>\n</header>\n",
            mood(view.status, view.phase),
            standing(view),
            escaped(title),
            unbroken(&report.ending)
        ));
    }

    fn facts(&mut self, report: &Report) {
        self.add(format_args!(
            "<h2>What was deployed</h2>\n<table class=\"facts\">\n"
        ));
        for (name, value) in facts(report) {
            self.add(format_args!(
                "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n",
                unbroken(&value)
            ));
        }
        self.add(format_args!("</table>\n"));
    }

    fn advice(&mut self, report: &Report) {
        self.add(format_args!("<h2>What to do</h2>\n<ul>\n"));
        for advice in &report.advice {
            self.add(format_args!(
                "<li>{}: <code>{}</code></li>\n",
                escaped(&advice.what),
                escaped(&advice.command)
            ));
        }
        self.add(format_args!("</ul>\n"));
    }

    fn pictures(&mut self, report: &Report) {
        let series = &report.series;
        self.add(format_args!("<h2>What was seen</h2>\n"));
        if let Some(note) = &series.left_out {
            self.paragraph("warn", note);
        }
        let history: Vec<Entry> = report.timeline.iter().map(|it| it.entry.clone()).collect();
        let moments = moments(&history);
        let Some(traffic) = picture::traffic("Traffic", series, &moments) else {
            let why = "No minute was judged, or none is kept any more.";
            return self.paragraph("muted", why);
        };
        self.figure(&traffic, &drawn_of(series));
        if let Some(latency) = picture::latency(series, &moments) {
            self.figure(&latency, &latency_drawn(series.minutes_per_point));
        }
        if let Some(scores) = series.scores.as_ref().and_then(picture::scores) {
            let words = "Where the predictions lie. A model whose scores moved is no worse for it by itself; what is sure of the difference stands under drift.";
            self.figure(&scores, words);
        }
        if let Some(note) = &series.scores_left_out {
            self.paragraph("muted", &format!("{note}."));
        }
        let tracks = series.tracks.iter();
        for (name, track) in tracks.take(MOST_PICTURES) {
            if let Some(picture) = picture::signal(name, track, series, &moments) {
                self.figure(&picture, &caption(track));
            }
        }
        let more: Vec<&str> = series
            .tracks
            .keys()
            .skip(MOST_PICTURES)
            .map(|name| spoken(name))
            .collect();
        if !more.is_empty() {
            let words = format!(
                "Not drawn: {}. The report as JSON has them.",
                more.join(", ")
            );
            self.paragraph("muted", &words);
        }
    }

    fn figure(&mut self, picture: &Picture, caption: &str) {
        self.add(format_args!(
            "<figure>{}<figcaption><strong class=\"narrow\">{} (more to the left)</strong>{}</figcaption></figure>\n",
            picture.svg(),
            escaped(&picture.title),
            escaped(caption)
        ));
    }

    fn breaches(&mut self, breaches: &[Entry]) {
        self.add(format_args!("<h2>What spoke against it</h2>\n"));
        if breaches.is_empty() {
            return self.paragraph("muted", "Nothing.");
        }
        self.add(format_args!(
            "<div class=\"wide\"><table>\n<thead><tr><th>When</th><th>What</th><th>Measured</th><th>Held against</th><th>In words</th></tr></thead>\n<tbody>\n"
        ));
        for entry in breaches {
            let grade = entry.signal_severity;
            let grade = grade.map_or_else(String::new, |grade| format!(" ({grade})"));
            self.add(format_args!(
                "<tr><td class=\"when\">{}</td><td>{}{grade}</td><td data-label=\"Measured\">{}</td><td data-label=\"Held against\">{}</td><td class=\"said\">{}</td></tr>\n",
                time(entry.at),
                escaped(subject(entry)),
                escaped(&entry.value),
                escaped(&entry.limit),
                escaped(&entry.reason)
            ));
        }
        self.add(format_args!("</tbody></table></div>\n"));
    }

    fn post_mortem(&mut self, report: &Report) {
        let Some(draft) = &report.post_mortem else {
            return;
        };
        self.add(format_args!(
            "<h2>Post-mortem, a draft</h2>\n<p class=\"muted\">{}</p>\n",
            escaped(&draft.incident_id)
        ));
        self.paragraph("", &draft.summary);
        self.add(format_args!("<table class=\"facts\">\n"));
        for (name, value) in cause(draft) {
            self.add(format_args!(
                "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n",
                unbroken(&value)
            ));
        }
        self.add(format_args!("</table>\n"));
        let evidence: Vec<String> = draft
            .evidence
            .iter()
            .map(|it| it.sentence.clone())
            .collect();
        self.list("Evidence", &evidence);
        self.list("Open questions", &draft.open_questions);
        if let Some(note) = &draft.left_out {
            self.paragraph("muted", note);
        }
    }

    fn list(&mut self, title: &str, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        self.add(format_args!("<h3>{title}</h3>\n<ul>\n"));
        for text in texts {
            self.add(format_args!("<li>{}</li>\n", escaped(text)));
        }
        self.add(format_args!("</ul>\n"));
    }

    fn told(&mut self, report: &Report) {
        self.add(format_args!("<h2>Who was told</h2>\n<ul>\n"));
        for told in &report.told {
            self.add(format_args!(
                "<li>{}: {} of the lines below, from {} to {}</li>\n",
                told.audience,
                told.lines,
                time(told.first),
                time(told.last)
            ));
        }
        self.add(format_args!(
            "</ul>\n<p class=\"muted\">Each line goes on the event bus and to the topic; who of an audience subscribes there, and to what, the stack decides.</p>\n"
        ));
    }

    fn timeline(&mut self, report: &Report) {
        self.add(format_args!(
            "<h2>What happened</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>When</th><th>Event</th><th>In words</th><th>Target</th><th>For</th><th>By</th></tr></thead>\n<tbody>\n"
        ));
        for ReportLine {
            entry,
            told,
            announced,
        } in &report.timeline
        {
            let waits = if *announced == Some(false) {
                " (waits)"
            } else {
                ""
            };
            self.add(format_args!(
                "<tr><td class=\"when\">{}</td><td class=\"event {}\">{}</td><td class=\"said\">{}</td><td class=\"who\" data-label=\"Target\">{}</td><td class=\"who\" data-label=\"For\">{}{waits}</td><td data-label=\"By\">{}</td></tr>\n",
                time(entry.at),
                tone(entry.severity),
                entry.event,
                escaped(&entry.reason),
                entry.weight,
                audiences(told),
                escaped(entry.by.as_deref().unwrap_or("-"))
            ));
        }
        self.add(format_args!("</tbody></table></div>\n"));
        if let Some(note) = &report.timeline_left_out {
            self.paragraph("warn", note);
        }
    }
}

/// The most signals that are drawn.
const MOST_PICTURES: usize = 12;

fn drawn_of(series: &Series) -> String {
    let each = match series.minutes_per_point {
        1 => "a minute each".to_owned(),
        minutes => format!("{minutes} minutes each"),
    };
    let minutes = series.minutes;
    format!("{minutes} judged minutes, {each}. {}", counted(series))
}

/// What is in the points. What was measured over the deployment goes on after its end, as long as it is
/// watched.
pub(super) fn counted(series: &Series) -> String {
    let sum = |of: fn(&Point) -> Totals| {
        let mut sum = Totals::default();
        for totals in series.points.iter().map(of) {
            sum.invocations += totals.invocations;
            sum.errors_4xx += totals.errors_4xx;
            sum.errors_5xx += totals.errors_5xx;
        }
        in_words(&sum)
    };
    let (canary, production) = (sum(|it| it.canary), sum(|it| it.production));
    format!("Canary: {canary}; production: {production}.")
}

fn latency_drawn(minutes_per_point: i64) -> String {
    let what = "SageMaker's ModelLatency";
    if minutes_per_point == 1 {
        return format!("{what}, each minute by itself.");
    }
    // Percentiles of minutes have no mean.
    format!("{what}: of each {minutes_per_point} minutes the slowest.")
}

fn caption(track: &Track) -> String {
    let band = if track.readings.iter().any(|reading| reading.low.is_some()) {
        " The band is the 95% interval"
    } else {
        " No interval"
    };
    let limit = if track.limit.is_some() {
        "; dashed: what is still good."
    } else {
        "."
    };
    format!("{}.{band}{limit}", track.sentence)
}

fn in_words(totals: &Totals) -> String {
    let (requests, errors) = (totals.invocations, totals.errors_5xx);
    let rate = errors as f64 / requests.max(1) as f64;
    format!(
        "{requests} requests, {errors} of them answered 5XX ({})",
        percent(rate)
    )
}

/// What was deployed, by whom, and what let it in.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let view = &report.deployment;
    let mut facts = vec![
        ("Deployment", view.deployment_id.clone()),
        ("Endpoint", view.endpoint.clone()),
        (
            "New model",
            format!("{} (variant {})", view.model, view.canary_variant),
        ),
        (
            "Old model",
            format!(
                "{} (variant {})",
                view.former_model, view.production_variant
            ),
        ),
        ("Asked for by", view.created_by.clone()),
        ("Begun", time(view.created_at)),
    ];
    if view.status.is_terminal() {
        // A record is written after its end as well; a report of before has its last time alone.
        facts.push(("Ended", time(report.ended_at.unwrap_or(view.updated_at))));
        if view.status == Status::Failed {
            let seen = format!("{} of the traffic when last seen", view.share());
            facts.push(("Canary", seen));
        }
    } else {
        facts.push(("Phase", view.phase.to_string()));
        facts.push(("Canary now", format!("{} of the traffic", share(view))));
        let ends = view.expected_end.map(time);
        facts.extend(ends.map(|at| ("Over at", format!("{at}, if nothing holds it up"))));
        if view.is_held_up() {
            facts.push(("Held up", view.reason.clone()));
        }
    }
    // At 100 % the soak takes the bake's place.
    let stages = view.stages.iter().map(|stage| match stage.weight {
        Weight::FULL => format!("{} with a soak of {}", stage.weight, view.soak),
        weight => format!("{weight} for {}", stage.bake),
    });
    facts.push(("Plan", stages.collect::<Vec<_>>().join(", ")));
    facts.extend(view.undoes.iter().map(|id| ("Undoes", id.clone())));
    facts.extend(view.hotfix.iter().map(|why| ("Hotfix", why.clone())));
    facts.extend(view.gate.iter().map(|gate| ("Gate", gate.clone())));
    let attested = view.preconditions.iter();
    facts.extend(attested.map(|it| ("Attested", it.to_string())));
    let until = view.watched_until.map(time);
    facts.extend(until.map(|at| ("Watched until", at)));
    facts
}

/// What set a rollback going, and who had to do with it.
pub(super) fn cause(draft: &PostMortem) -> Vec<(&'static str, String)> {
    let (cause, impact) = (&draft.cause, &draft.impact);
    let mut rows = vec![
        ("Cause", cause.reason.clone()),
        ("Measured", cause.value.clone()),
        ("Held against", cause.limit.clone()),
    ];
    let signal = cause.signal.as_deref().map(spoken);
    rows.extend(signal.map(|signal| ("Signal", signal.to_owned())));
    rows.extend(cause.by.iter().map(|by| ("Ordered by", by.clone())));
    rows.push(("Largest share", impact.largest_weight.to_string()));
    let lasted = crate::domain::incident::in_words(impact.lasted);
    let until = if draft.traffic_back_at.is_some() {
        "until production had it back"
    } else {
        "until the decision"
    };
    let had = |since| format!("{lasted}, from {} {until}", time(since));
    rows.extend(impact.since.map(|since| ("Had traffic", had(since))));
    rows.push(("Canary", in_words(&impact.canary)));
    let production = in_words(&impact.production);
    let whole = format!("{production}, in all counted minutes, those before the canary's too");
    rows.push(("Production", whole));
    let counted = if impact.is_whole(draft.traffic_back_at) {
        "production had everything back".to_owned()
    } else {
        let until = time(impact.counted_until);
        format!("{until}; later ones are not in it")
    };
    rows.push(("Counted until", counted));
    rows.push(("Decided", time(draft.opened_at)));
    rows.extend(
        draft
            .traffic_back_at
            .map(|at| ("All traffic back", time(at))),
    );
    rows
}

/// What a line is about, as people call it.
pub(super) fn subject(entry: &Entry) -> &str {
    let signal = entry.signal.as_deref().map(spoken);
    signal.unwrap_or(entry.event.as_str())
}

/// To the second, in UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// By name; nobody is a dash.
pub(super) fn audiences(told: &[Audience]) -> String {
    if told.is_empty() {
        return "-".to_owned();
    }
    let names: Vec<String> = told.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The status, and with it the phase where somebody may have to do something.
pub(super) fn standing(view: &DeploymentView) -> String {
    if view.status == Status::InProgress && (view.phase.waits() || view.is_held_up()) {
        format!("{}/{}", view.status, view.phase)
    } else {
        view.status.to_string()
    }
}

const fn mood(status: Status, phase: Phase) -> &'static str {
    match status {
        Status::Completed => "good",
        Status::RollingBack | Status::RolledBack | Status::Failed => "bad",
        Status::Cancelled => "warn",
        Status::Pending | Status::InProgress if phase.waits() => "warn",
        Status::Pending | Status::InProgress => "muted",
    }
}

/// Escaped, with no line that ends between a figure and its percent sign.
fn unbroken(text: &str) -> String {
    escaped(text).replace(" %", "\u{a0}%")
}

const fn tone(severity: Severity) -> &'static str {
    match severity {
        Severity::Detail => "muted",
        Severity::Info => "",
        Severity::Warning => "warn",
        Severity::Critical => "bad",
    }
}
