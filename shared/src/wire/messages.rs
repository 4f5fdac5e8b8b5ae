//! Announcements as people and machines get them: an e-mail that reads by itself, a card for chat,
//! a line for a phone, JSON for programs, and attributes for filter policies.
//!
//! An incident brings the draft of its post-mortem along. SNS takes 256 KB for the texts of all
//! protocols together, EventBridge as much for an event, so a long draft is cut, and says so.

use serde_json::{Value, json};

use crate::domain::audience::Audience;
use crate::domain::history::{Entry, Name, Severity};
use crate::domain::incident::{PostMortem, Room, incident_id, shortened};
use crate::domain::state::{Phase, Status};

/// Everything a message is made from.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The stable id of the announcement.
    pub event_id: &'a str,
    /// The deployment's id.
    pub deployment_id: &'a str,
    /// The endpoint.
    pub endpoint: &'a str,
    /// The new model.
    pub model: &'a str,
    /// The former model.
    pub former_model: &'a str,
    /// What happened.
    pub entry: &'a Entry,
    /// Where browsers reach the API, if they do: `https://…` without a slash at the end.
    pub approvals: Option<&'a str>,
    /// The draft of the post-mortem, of an incident alone.
    pub draft: Option<&'a PostMortem>,
}

/// An attribute of a message, as filter policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// Its type, in SNS's words.
    pub kind: &'static str,
    /// Its value; of a list, as JSON.
    pub text: String,
}

/// What is announced without a deployment has none of its statuses.
const fn own_status(event: Name) -> Option<&'static str> {
    match event {
        Name::Rejected => Some("REJECTED"),
        Name::Frozen => Some("FROZEN"),
        Name::Thawed => Some("THAWED"),
        _ => None,
    }
}

fn status(entry: &Entry) -> String {
    own_status(entry.event).map_or_else(|| entry.status.to_string(), str::to_owned)
}

/// Whether it is about a deployment: of anything else there is no phase, and no share of a canary.
const fn is_of_deployment(entry: &Entry) -> bool {
    own_status(entry.event).is_none()
}

/// The longest subject that SNS is sure to take: the service model says "less than 100 characters".
const SUBJECT_LIMIT: usize = 99;
/// A text message of one part.
const SMS_LIMIT: usize = 140;
/// The most bytes that a draft takes inside one protocol's text, as it is quoted there: five of the
/// nine texts hold all of it and two most of it, and all nine have 256 KB.
const DRAFT_LIMIT: usize = 24 * 1024;

/// The most bytes of each text of an entry in a message; the history has all of it. Beside a full draft
/// all texts of all protocols fit.
pub const TEXT_LIMIT: usize = 800;

/// Subject of an e-mail: ASCII, one line, less than 100 characters, as SNS asks.
pub fn subject(about: About) -> String {
    let entry = about.entry;
    let event = entry.event.as_str();
    let what = event.strip_prefix("deployment.").unwrap_or(event);
    let what = what.replace(['.', '_'], " ");
    let text = format!(
        "[{}] {}: {what} ({})",
        entry.severity,
        about.endpoint,
        status(entry)
    );
    text.chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_control())
        .take(SUBJECT_LIMIT)
        .collect()
}

/// The message of `MessageStructure: json`: each protocol its own text.
pub fn by_protocol(about: About) -> Value {
    let machine = machine(about).to_string();
    let email = email(about);
    json!({
        "default": email,
        "email": email,
        "email-json": machine,
        "sms": sms(about),
        "http": machine,
        "https": chat(about).to_string(),
        "sqs": machine,
        "lambda": machine,
        "firehose": machine,
    })
}

/// The draft as far as a message has room for it.
fn draft(about: About) -> Option<PostMortem> {
    let draft = about.draft?;
    let fits = |cut: &PostMortem| quoted(cut) <= DRAFT_LIMIT;
    let mut cuts = Room::ALL.into_iter().map(|room| draft.within(room));
    cuts.find(fits)
}

/// The bytes of a draft as a text inside a text.
fn quoted(draft: &PostMortem) -> usize {
    let text = serde_json::to_string(draft).unwrap_or_default();
    Value::String(text).to_string().len()
}

/// The attributes that filter policies pick by.
///
/// What is about a breach also says which signal broke, and how bad the policy calls that. What is for
/// nobody has no audience.
pub fn attributes(about: About) -> Vec<Attribute> {
    let entry = about.entry;
    let text = |name, text: String| Attribute {
        name,
        kind: "String",
        text,
    };
    let mut attributes = vec![
        text("event", entry.event.to_string()),
        text("severity", entry.severity.to_string()),
        text("endpoint", about.endpoint.to_owned()),
        text("deployment_id", about.deployment_id.to_owned()),
        text("event_id", about.event_id.to_owned()),
    ];
    let audiences = Audience::of(entry);
    if !audiences.is_empty() {
        attributes.push(Attribute {
            name: "audience",
            kind: "String.Array",
            text: json!(audiences).to_string(),
        });
    }
    attributes.extend(entry.signal.clone().map(|signal| text("signal", signal)));
    let severity = entry.signal_severity.map(|grade| grade.to_string());
    attributes.extend(severity.map(|grade| text("signal_severity", grade)));
    attributes
}

/// The announcement for programs: what SQS, Lambda and EventBridge get.
///
/// An incident has its stable id and the draft of its post-mortem beside what every event has.
pub fn machine(about: About) -> Value {
    let entry = about.entry;
    let mut message = json!({
        "event_id": about.event_id,
        "event": entry.event,
        "severity": entry.severity,
        "deployment_id": about.deployment_id,
        "endpoint": about.endpoint,
        "model": about.model,
        "former_model": about.former_model,
        "status": status(entry),
        "reason": entry.reason,
        "value": entry.value,
        "limit": entry.limit,
        "by": entry.by,
        "signal": entry.signal,
        "signal_severity": entry.signal_severity,
        "audiences": Audience::of(entry),
        "at": entry.at,
    });
    if is_of_deployment(entry) {
        message["phase"] = json!(entry.phase);
        message["weight"] = json!(entry.weight);
        message["confirmed_weight"] = json!(entry.confirmed_weight);
    }
    if entry.event == Name::Incident {
        message["incident_id"] = json!(incident_id(about.deployment_id));
        if let Some(page) = report_page(about) {
            message["report_url"] = json!(page);
        }
        message["post_mortem"] = json!(draft(about));
        message["title"] = json!(title(about));
        message["summary"] = json!(shortened(&summary(about), SUMMARY_LIMIT));
    }
    message
}

/// An OpsItem's title has at most 1,024 characters and its description 2,048, by the service's model;
/// fewer bytes are fewer characters.
const SUMMARY_LIMIT: usize = 2000;

fn title(about: About) -> String {
    let plain = || format!("{}: rollback of {}", about.endpoint, about.model);
    about.draft.map_or_else(plain, |draft| draft.title.clone())
}

/// What an incident says by itself, where nobody opens the draft.
fn summary(about: About) -> String {
    let what = about
        .draft
        .map_or_else(|| sentence(about), |draft| draft.summary.clone());
    format!("{what} All of it: canary report {}", about.deployment_id)
}

/// An e-mail that reads by itself.
pub fn email(about: About) -> String {
    let entry = about.entry;
    let mut lines = vec![sentence(about), String::new()];
    let facts = facts(about).into_iter();
    lines.extend(facts.map(|(name, it)| format!("{name:<12}{it}")));
    if entry.event == Name::Incident {
        lines.push(String::new());
        lines.extend(post_mortem(about));
    }
    lines.push(String::new());
    for (step, command) in next_steps(about) {
        lines.push(format!("{step}:  {command}"));
    }
    lines.push(String::new());
    lines.push(format!("Event {} · {}", entry.event, about.event_id));
    lines.join("\n")
}

/// What people are told in a column. What is announced without a deployment lacks some of it.
fn facts(about: About) -> Vec<(&'static str, String)> {
    let entry = about.entry;
    let (standing, canary) = if is_of_deployment(entry) {
        (format!("{} / {}", status(entry), entry.phase), share(entry))
    } else {
        (status(entry), String::new())
    };
    let is_incident = entry.event == Name::Incident;
    let incident = is_incident.then(|| incident_id(about.deployment_id));
    let mut facts = vec![
        ("Endpoint", about.endpoint.to_owned()),
        ("New model", about.model.to_owned()),
        ("Old model", about.former_model.to_owned()),
        ("Status", standing),
        ("Canary", canary),
        ("Measured", entry.value.clone()),
        ("Limit", entry.limit.clone()),
        ("When", entry.at.to_string()),
        ("By", entry.by.clone().unwrap_or_default()),
        ("Incident", incident.unwrap_or_default()),
    ];
    facts.retain(|(_, it)| !it.is_empty());
    facts
}

/// The canary's share: the one in force, or the one that it is to have and was not seen to have yet.
fn share(entry: &Entry) -> String {
    let share = format!("{} of the traffic", entry.weight);
    match entry.confirmed_weight {
        Some(confirmed) if confirmed == entry.weight => share,
        Some(confirmed) => format!("{share} (intended), {confirmed} last confirmed"),
        // Nothing is meant any more where the rollout has failed, from the cleanup on.
        None if entry.status == Status::Failed || entry.phase == Phase::CleaningUp => {
            format!("{share} (last confirmed)")
        }
        None => format!("{share} (intended)"),
    }
}

/// The draft as an e-mail holds it.
fn post_mortem(about: About) -> Vec<String> {
    let Some(draft) = draft(about) else {
        return vec!["The draft of the post-mortem could not be put together.".to_owned()];
    };
    let mut lines = vec![
        "POST-MORTEM, A DRAFT".to_owned(),
        draft.summary,
        String::new(),
    ];
    let mut part = |title: &str, texts: Vec<String>| {
        if !texts.is_empty() {
            lines.push(title.to_owned());
            lines.extend(texts.into_iter().map(|text| format!("- {text}")));
            lines.push(String::new());
        }
    };
    let timeline = draft.timeline.iter();
    let timeline = timeline.map(|line| format!("{} {}: {}", line.at, line.event, line.reason));
    part("Timeline", timeline.collect());
    let shown = draft.evidence.iter().map(|shown| shown.sentence.clone());
    part("Evidence", shown.collect());
    let told = draft.told.iter().map(|told| {
        let (audience, lines) = (told.audience, told.lines);
        format!(
            "{audience}: {lines} of these lines, from {} to {}",
            told.first, told.last
        )
    });
    part("Who was told", told.collect());
    part("Open questions", draft.open_questions);
    lines.extend(draft.left_out);
    lines
}

/// A text message.
pub fn sms(about: About) -> String {
    let text = format!(
        "{}: {} {}",
        about.endpoint,
        status(about.entry),
        about.entry.reason
    );
    text.chars().take(SMS_LIMIT).collect()
}

/// The facts on a chat card: the others stand in its title and its keywords.
const ON_CARDS: [&str; 5] = ["Canary", "Measured", "Limit", "By", "Incident"];

/// The custom notification schema, version 1.0, of Amazon Q Developer in chat applications. One
/// deployment is one thread.
pub fn chat(about: About) -> Value {
    let entry = about.entry;
    let mark = match entry.severity {
        Severity::Critical => ":rotating_light: ",
        Severity::Warning => ":warning: ",
        Severity::Info | Severity::Detail => "",
    };
    let steps: Vec<String> = next_steps(about)
        .into_iter()
        .map(|(step, command)| {
            // A link is one only outside a code span.
            if command.starts_with("https://") {
                format!("{step}: {command}")
            } else {
                format!("{step}: `{command}`")
            }
        })
        .collect();
    let facts = facts(about).into_iter();
    let facts = facts.filter(|(name, _)| ON_CARDS.contains(name));
    let mut lines = vec![sentence(about)];
    lines.extend(facts.map(|(name, it)| format!("*{name}* {it}")));
    let keywords = [about.endpoint, about.model];
    let keywords: Vec<&str> = keywords.into_iter().filter(|it| !it.is_empty()).collect();
    json!({
        "version": "1.0",
        "source": "custom",
        "id": about.event_id,
        "content": {
            "textType": "client-markdown",
            "title": format!("{mark}{}: {} ({})", about.endpoint, entry.event, status(entry)),
            "description": lines.join("\n"),
            "nextSteps": steps,
            "keywords": keywords,
        },
        "metadata": {
            "threadId": about.deployment_id,
            "summary": format!("{}: {}", about.endpoint, status(entry)),
            "eventType": entry.event,
            "relatedResources": [about.endpoint],
            "additionalContext": {
                "deployment_id": about.deployment_id,
                "severity": entry.severity,
                "value": entry.value,
                "limit": entry.limit,
            },
        },
    })
}

/// Where a browser finds the report, if it reaches the API.
fn report_page(about: About) -> Option<String> {
    let address = about.approvals?;
    let id = about.deployment_id;
    Some(format!("{address}/deployments/{id}/report"))
}

/// What a person can do now.
fn next_steps(about: About) -> Vec<(&'static str, String)> {
    match about.entry.event {
        Name::Rejected => {
            let command = "canary compare predictions.csv".to_owned();
            return vec![("Measure it again", command)];
        }
        Name::Frozen | Name::Thawed => {
            return vec![("See what is under way", "canary list".to_owned())];
        }
        _ => {}
    }
    let id = about.deployment_id;
    let mut steps = vec![("See what happened", format!("canary history {id}"))];
    if about.entry.event == Name::Incident {
        steps.push(("Read the report", format!("canary report {id}")));
        let page = report_page(about);
        steps.extend(page.map(|page| ("See it in a browser", page)));
    }
    if about.entry.event == Name::ApprovalNeeded {
        steps.push(("Approve it", format!("canary approve {id}")));
        if let Some(address) = about.approvals {
            let page = format!("{address}/deployments/{id}/approve");
            steps.push(("What it is about", page));
        }
    }
    // Once the end has begun, that order is refused.
    if matches!(about.entry.status, Status::Pending | Status::InProgress)
        && about.entry.phase != Phase::CleaningUp
    {
        steps.push(("Take everything back", format!("canary rollback {id}")));
    }
    // What can be done after the end, the reason says: an undo has none itself.
    steps
}

/// The reason as a sentence. A name that it begins with is written as it is.
fn sentence(about: About) -> String {
    let text = about.entry.reason.as_str();
    let end = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    let names = [about.model, about.former_model, about.endpoint];
    let is_name = |name: &&str| !name.is_empty() && text.starts_with(*name);
    let mut rest = text.chars();
    match rest.next() {
        Some(first) if !names.iter().any(is_name) => {
            format!("{}{}{end}", first.to_uppercase(), rest.as_str())
        }
        _ => format!("{text}{end}"),
    }
}
