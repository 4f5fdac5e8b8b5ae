//! Announcements as people and machines get them: an e-mail that reads by itself, a card for chat,
//! a line for a phone, JSON for programs, and attributes for filter policies.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::domain::history::{Entry, Name, Severity};
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

/// What is announced without a deployment may have no model to name.
const fn known(model: &str) -> &str {
    if model.is_empty() { "-" } else { model }
}

/// The longest subject that SNS is sure to take: the service model says "less than 100 characters".
const SUBJECT_LIMIT: usize = 99;
/// A text message of one part.
const SMS_LIMIT: usize = 140;

/// Subject of an e-mail: ASCII, one line, less than 100 characters, as SNS asks.
pub fn subject(about: About) -> String {
    let entry = about.entry;
    let what = entry
        .event
        .as_str()
        .split('.')
        .next_back()
        .unwrap_or_default()
        .replace('_', " ");
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
    json!({
        "default": email(about),
        "email": email(about),
        "email-json": machine,
        "sms": sms(about),
        "http": machine,
        "https": chat(about).to_string(),
        "sqs": machine,
        "lambda": machine,
        "firehose": machine,
    })
}

/// Name and text of the attributes that filter policies pick by.
///
/// What is about a breach also says which signal broke, and how bad the policy calls that.
pub fn attributes(about: About) -> Vec<(&'static str, String)> {
    let entry = about.entry;
    let severity = entry.signal_severity.map(|grade| grade.to_string());
    let signal = [
        ("signal", entry.signal.clone()),
        ("signal_severity", severity),
    ];
    let signal = signal
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)));
    let always = [
        ("event", about.entry.event.to_string()),
        ("severity", about.entry.severity.to_string()),
        ("endpoint", about.endpoint.to_owned()),
        ("deployment_id", about.deployment_id.to_owned()),
        ("event_id", about.event_id.to_owned()),
    ];
    always.into_iter().chain(signal).collect()
}

/// The announcement for programs: what SQS, Lambda and EventBridge get.
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
        "at": entry.at,
    });
    if is_of_deployment(entry) {
        message["phase"] = json!(entry.phase);
        message["weight"] = json!(entry.weight);
    }
    message
}

/// An e-mail that reads by itself.
pub fn email(about: About) -> String {
    let entry = about.entry;
    let mut lines = vec![
        sentence(&entry.reason),
        String::new(),
        format!("Endpoint    {}", about.endpoint),
        format!("New model   {}", known(about.model)),
        format!("Old model   {}", known(about.former_model)),
    ];
    if is_of_deployment(entry) {
        lines.push(format!("Status      {} / {}", status(entry), entry.phase));
        let weight = entry.weight;
        lines.push(format!("Canary      {weight} of the traffic (intended)"));
    } else {
        lines.push(format!("Status      {}", status(entry)));
    }
    lines.extend([
        format!("Measured    {}", entry.value),
        format!("Limit       {}", entry.limit),
        format!("When        {}", entry.at),
    ]);
    if let Some(by) = &entry.by {
        lines.push(format!("By          {by}"));
    }
    lines.push(String::new());
    for (step, command) in next_steps(about) {
        lines.push(format!("{step}:  {command}"));
    }
    lines.push(String::new());
    lines.push(format!("Event {} · {}", entry.event, about.event_id));
    lines.join("\n")
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
    let mut description = format!(
        "{}\n*Measured* {}\n*Limit* {}",
        sentence(&entry.reason),
        entry.value,
        entry.limit
    );
    if is_of_deployment(entry) {
        write!(description, "\n*Canary* {} of the traffic", entry.weight)
            .expect("a string takes everything");
    }
    json!({
        "version": "1.0",
        "source": "custom",
        "id": about.event_id,
        "content": {
            "textType": "client-markdown",
            "title": format!("{mark}{}: {} ({})", about.endpoint, entry.event, status(entry)),
            "description": description,
            "nextSteps": steps,
            "keywords": [about.endpoint, about.model],
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
    if about.entry.status == Status::Completed
        && matches!(about.entry.event, Name::Breached | Name::Blind)
    {
        steps.push(("Bring the old model back", format!("canary undo {id}")));
    }
    steps
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{end}", characters.as_str())
}
