//! A rollback as somebody has to look into it: the draft of a post-mortem, put together from the
//! record and its history, for people to go on writing.
//!
//! Nothing in it is measured anew. It is a function of the terms, the evidence and the lines of
//! history that it is given; a deployment that rolls back is judged no more, so the draft that goes
//! out with the incident is the same however often it is sent, and the report's own goes on to the
//! end of the history. So it does with what users were served: the incident's own counts what was
//! judged by the decision, the report's everything until production had the traffic back
//! ([`super::exposure`]). Each says up to when it counts.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audience::Audience;
use super::comparison::effect::Interval;
use super::deployment::Deployment;
use super::evidence::{Evidence, Totals};
use super::exposure::Exposure;
use super::history::{Entry, Name};
use super::judge::bench::Bench;
use super::judge::report;
use super::policy::Grade;
use super::quantity::{Span, Weight};

/// The draft of a post-mortem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PostMortem))]
pub struct PostMortem {
    /// One per deployment, and always the same.
    pub incident_id: String,
    /// One line: what is taken back, and where.
    pub title: String,
    /// What happened, in a few sentences.
    pub summary: String,
    /// When the rollback was decided.
    pub opened_at: Timestamp,
    /// When production had everything back; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_back_at: Option<Timestamp>,
    /// What set it going.
    pub cause: Cause,
    /// Who had to do with it.
    pub impact: Impact,
    /// What the signals showed, the strongest first.
    pub evidence: Vec<Shown>,
    /// What happened, oldest first.
    pub timeline: Vec<Line>,
    /// Who was told of how much.
    pub told: Vec<Told>,
    /// What the record can't answer.
    pub open_questions: Vec<String>,
    /// What was left out to keep it short; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// The path of the whole report.
    pub report: String,
}

/// What set a rollback going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cause {
    /// One plain sentence.
    pub reason: String,
    /// What was measured, with its unit.
    pub value: String,
    /// What it was held against, with its unit.
    pub limit: String,
    /// The guard or signal; absent for an order, an alarm, the deadline and blindness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How bad the policy calls that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Grade>,
    /// Who ordered it; absent when the control loop did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What the canary had to do with users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Impact {
    /// Its largest share that was confirmed, in percent.
    pub largest_weight: Weight,
    /// When its first share was confirmed; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// From then until production had everything back, and while it has not, to the decision; zero where
    /// it had no share.
    pub lasted: Span,
    /// Its requests.
    pub canary: Totals,
    /// Production's, in the minutes before the canary's first share too.
    pub production: Totals,
    /// Up to when the requests of both are counted: the end of the last minute that was read. Those that the
    /// canary had afterwards are in neither figure.
    pub counted_until: Timestamp,
}

/// What a signal showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shown {
    /// Its name.
    pub signal: String,
    /// One plain sentence.
    pub sentence: String,
    /// The canary's rate over production's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Where that lies with 95 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The logarithm of the evidence that the canary is worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ln_e: Option<f64>,
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Name,
    /// One plain sentence.
    pub reason: String,
    /// The canary's intended share afterwards, in percent.
    pub weight: Weight,
    /// Who is told of it.
    pub told: Vec<Audience>,
}

/// What an audience was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Told {
    /// Who.
    pub audience: Audience,
    /// Of how many lines of the history.
    pub lines: usize,
    /// Of the first one's time.
    pub first: Timestamp,
    /// Of the last one's.
    pub last: Timestamp,
}

/// How much of a draft is kept: lines, signals, and bytes of each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    lines: usize,
    signals: usize,
    text: usize,
}

impl Room {
    /// Of the draft in the report, beside the timeline of the report itself.
    pub const REPORT: Self = Self::new(200, usize::MAX, usize::MAX);
    /// From the roomiest to the one that is always small enough for a message.
    pub const ALL: [Self; 5] = [
        Self::new(60, 16, 600),
        Self::new(40, 12, 300),
        Self::new(20, 6, 200),
        Self::new(8, 3, 120),
        Self::new(2, 1, 60),
    ];

    const fn new(lines: usize, signals: usize, text: usize) -> Self {
        Self {
            lines,
            signals,
            text,
        }
    }
}

/// The stable id of a deployment's incident.
pub fn incident_id(deployment_id: &str) -> String {
    format!("incident-{deployment_id}")
}

impl PostMortem {
    /// The draft, from these lines of history; `None` where they hold no incident.
    pub fn of(deployment: &Deployment, evidence: &Evidence, history: &[Entry]) -> Option<Self> {
        let opened = history.iter().find(|it| it.event == Name::Incident)?;
        let terms = &deployment.terms;
        let back = history.iter().find(|it| it.event == Name::Reverted);
        let traffic_back_at = back.map(|entry| entry.at);
        let impact = Impact::of(evidence, history, traffic_back_at.unwrap_or(opened.at));
        let cause = Cause::of(history, opened);
        Some(Self {
            incident_id: incident_id(&terms.id),
            title: title(deployment, &impact),
            summary: summary(deployment, &cause, &impact, traffic_back_at),
            opened_at: opened.at,
            traffic_back_at,
            open_questions: questions(deployment, history, &cause, (&impact, opened.at)),
            evidence: shown(deployment, evidence),
            timeline: history.iter().map(Line::of).collect(),
            told: told(history),
            left_out: None,
            report: format!("/deployments/{}/report", terms.id),
            cause,
            impact,
        })
    }

    /// The same with no more than this, and a note of what is missing.
    #[must_use]
    pub fn within(&self, room: Room) -> Self {
        let mut cut = self.clone();
        let mut notes = Vec::new();
        let lines = cut.timeline.len().saturating_sub(room.lines);
        if lines > 0 {
            // How it began and how it ended; what lies between them is in the report.
            let first = room.lines / 4;
            cut.timeline.drain(first..first + lines);
            notes.push(format!("{lines} lines of the timeline"));
        }
        let signals = cut.evidence.len().saturating_sub(room.signals);
        if signals > 0 {
            cut.evidence.truncate(room.signals);
            notes.push(format!("{signals} signals"));
        }
        let texts = cut.texts().filter(|text| text.len() > room.text).count();
        cut.texts_mut()
            .for_each(|text| *text = shortened(text, room.text));
        if texts > 0 {
            notes.push(format!("the ends of {texts} texts"));
        }
        if !notes.is_empty() {
            let note = format!("left out here: {}; the history has all", notes.join(", "));
            cut.left_out = Some(note);
        }
        cut
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let cause = [&self.cause.reason, &self.cause.value, &self.cause.limit];
        let lines = self.timeline.iter().map(|line| &line.reason);
        let shown = self.evidence.iter().map(|shown| &shown.sentence);
        cause.into_iter().chain(lines).chain(shown)
    }

    fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let Cause {
            reason,
            value,
            limit,
            ..
        } = &mut self.cause;
        let lines = self.timeline.iter_mut().map(|line| &mut line.reason);
        let shown = self.evidence.iter_mut().map(|shown| &mut shown.sentence);
        [reason, value, limit].into_iter().chain(lines).chain(shown)
    }
}

impl Cause {
    /// The incident repeats what the rollback was told with, in which the model is not named.
    fn of(history: &[Entry], opened: &Entry) -> Self {
        let decided = history.iter().find(|it| it.event == Name::RollingBack);
        let told = decided.unwrap_or(opened);
        Self {
            reason: told.reason.clone(),
            value: told.value.clone(),
            limit: told.limit.clone(),
            signal: told.signal.clone(),
            severity: told.signal_severity,
            by: told.by.clone(),
        }
    }
}

impl Impact {
    fn of(evidence: &Evidence, history: &[Entry], until: Timestamp) -> Self {
        let confirmed = |entry: &&Entry| matches!(entry.event, Name::Shifted | Name::Soaking);
        let shares = || history.iter().filter(confirmed);
        let since = shares().map(|entry| entry.at).next();
        let exposure = Exposure::of(evidence);
        Self {
            largest_weight: shares()
                .map(|entry| entry.weight)
                .max()
                .unwrap_or(Weight::ZERO),
            since,
            lasted: since.map_or(Span::ZERO, |since| Span::between(since, until)),
            canary: evidence.canary.plus(exposure.canary),
            production: evidence.production.plus(exposure.production),
            counted_until: exposure.until(),
        }
    }

    /// Whether everything is counted that the canary had until production had everything back.
    pub fn is_whole(&self, traffic_back_at: Option<Timestamp>) -> bool {
        traffic_back_at.is_some_and(|back| self.counted_until > back)
    }
}

impl Line {
    /// A line of history, and who is told of it.
    pub fn of(entry: &Entry) -> Self {
        Self {
            at: entry.at,
            event: entry.event,
            reason: entry.reason.clone(),
            weight: entry.weight,
            told: Audience::of(entry),
        }
    }
}

/// Who is told of how much of a history.
pub fn told(history: &[Entry]) -> Vec<Told> {
    let of = |audience: Audience| {
        let own: Vec<&Entry> = history
            .iter()
            .filter(|entry| audience.is_told(entry))
            .collect();
        Some(Told {
            audience,
            lines: own.len(),
            first: own.first()?.at,
            last: own.last()?.at,
        })
    };
    Audience::ALL.into_iter().filter_map(of).collect()
}

fn shown(deployment: &Deployment, evidence: &Evidence) -> Vec<Shown> {
    let standings = report::signals(&Bench::of(deployment), evidence, None, None);
    let mut shown: Vec<Shown> = standings
        .into_iter()
        .map(|(signal, standing)| Shown {
            signal,
            sentence: standing.sentence,
            ratio: standing.ratio,
            interval: standing.interval,
            ln_e: standing.ln_e,
        })
        .collect();
    let weight = |shown: &Shown| shown.ln_e.unwrap_or(f64::NEG_INFINITY);
    shown.sort_by(|a, b| weight(b).partial_cmp(&weight(a)).unwrap_or(Ordering::Equal));
    shown
}

/// The same before production has everything back and after.
fn title(deployment: &Deployment, impact: &Impact) -> String {
    let terms = &deployment.terms;
    let share = match impact.since {
        Some(_) => format!(", which had up to {}", impact.largest_weight),
        None => String::new(),
    };
    format!("{}: rollback of {}{share}", terms.endpoint, terms.model)
}

fn summary(
    deployment: &Deployment,
    cause: &Cause,
    impact: &Impact,
    traffic_back_at: Option<Timestamp>,
) -> String {
    let terms = &deployment.terms;
    let who = cause.by.as_deref().map_or_else(
        || "The control loop".to_owned(),
        |by| format!("{by}, by an order,"),
    );
    let requests = requests(impact, traffic_back_at);
    let share = if impact.since.is_some() {
        let lasted = in_words(impact.lasted);
        let share = impact.largest_weight;
        format!("It had up to {share} of the traffic for {lasted}: {requests}.")
    } else if impact.canary.invocations > 0 {
        format!("No share of the traffic was confirmed on it: {requests}.")
    } else {
        "No share of the traffic was confirmed on it.".to_owned()
    };
    let reason = shortened(&cause.reason, 600);
    let takes = traffic_back_at.map_or("takes", |_| "took");
    format!(
        "{who} {takes} {} back from endpoint {}, where it was to replace {}. Why: {reason}. {share}",
        terms.model, terms.endpoint, terms.former_model
    )
}

/// How many requests the canary had, and up to when that is known.
fn requests(impact: &Impact, traffic_back_at: Option<Timestamp>) -> String {
    let Totals {
        invocations,
        errors_5xx,
        ..
    } = impact.canary;
    let until = if impact.is_whole(traffic_back_at) {
        "production had everything back".to_owned()
    } else {
        let until = impact.counted_until.strftime("%Y-%m-%d %H:%M");
        format!("{until} UTC (later ones are not in it)")
    };
    format!("{invocations} requests were counted until {until}, {errors_5xx} of them answered 5XX")
}

/// A length of time in words that say no more than they need to.
pub fn in_words(span: Span) -> String {
    let (minutes, rest) = (span.secs() / 60, span.secs() % 60);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{rest} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// What the record can't answer.
fn questions(
    deployment: &Deployment,
    history: &[Entry],
    cause: &Cause,
    (impact, decided_at): (&Impact, Timestamp),
) -> Vec<String> {
    let terms = &deployment.terms;
    let mut questions = vec![match (&cause.signal, &cause.by) {
        (_, Some(by)) => format!("What did {by} see that no guard and no signal acted on?"),
        (Some(signal), None) => format!(
            "What makes {signal} worse on {} than on {}: the model, its container, its instances, or who was routed to it?",
            terms.model, terms.former_model
        ),
        (None, None) => {
            "What is behind the cause, and would it have hit production as well?".to_owned()
        }
    }];
    let errors = impact.canary.errors_5xx;
    if errors > 0 {
        questions.push(format!(
            "Whose were the {errors} requests of the canary that were answered 5XX, and does anybody have to be told?"
        ));
    }
    questions.push(if terms.clearance.gate.is_some() {
        "The gate let this model pass: which rows would have shown it?".to_owned()
    } else {
        "No gate looked at this model before it had traffic: would one have shown it?".to_owned()
    });
    if let Some(since) = impact.since.filter(|_| cause.by.is_none()) {
        questions.push(format!(
            "From the first share to the rollback it took {}: should a limit, a stage or min_samples be smaller?",
            in_words(Span::between(since, decided_at))
        ));
    }
    if history.iter().any(|entry| entry.event == Name::Failed) {
        questions.push("The rollback ended as FAILED: what is left at the endpoint?".to_owned());
    }
    questions.push("What keeps it from happening again, who does it, and by when?".to_owned());
    questions
}

/// At most so many bytes, whole characters, with a mark where something is missing.
pub fn shortened(text: &str, most: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_say_so() {
        assert_eq!(shortened("ab", 2), "ab");
        assert_eq!(shortened("abcdef", 5), "ab…");
        for most in 3..20 {
            let cut = shortened("🍷🍷🍷🍷🍷", most);
            assert!(cut.len() <= most && cut.ends_with('…'), "{most}: {cut}");
        }
    }

    #[test]
    fn lengths_of_time_say_no_more_than_they_need() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (7200, "2 h"),
            (93_780, "26 h 3 min"),
        ] {
            assert_eq!(in_words(Span::from_secs(seconds)), words);
        }
    }
}
