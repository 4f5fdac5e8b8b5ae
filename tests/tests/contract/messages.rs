//! Messages as people and machines get them: snapshots of each text, the chat schema of Amazon Q
//! Developer, and the rules that SNS has for subjects.

use serde_json::{Value, json};
use shared::domain::history::{Entry, Name, Severity};
use shared::domain::policy::Grade;
use shared::domain::quantity::Weight;
use shared::domain::state::{Phase, Status};
use shared::wire::items::event_id;
use shared::wire::messages::{About, attributes, by_protocol, chat, email, machine, sms, subject};

const ID: &str = "019cad98-d3c0-7177-8e00-9f60d7bff2fc";

fn entry(
    event: Name,
    severity: Severity,
    reason: &str,
    (value, limit): (&str, &str),
    (status, phase): (Status, Phase),
) -> Entry {
    Entry {
        seq: 7,
        at: "2026-03-02T09:30:00Z".parse().expect("a valid timestamp"),
        event,
        severity,
        reason: reason.to_owned(),
        value: value.to_owned(),
        limit: limit.to_owned(),
        status,
        phase,
        weight: Weight::new(if status == Status::InProgress { 10 } else { 0 })
            .expect("at most 100"),
        by: None,
        signal: None,
        signal_severity: None,
    }
}

fn breach() -> Entry {
    let reason = "5XX errors of the canary: 20.10% over 204 requests in 2 min, past the limit of 1%, check 2 of 2";
    let entry = entry(
        Name::RollingBack,
        Severity::Critical,
        reason,
        ("20.10%", "1%"),
        (Status::RollingBack, Phase::Reverting),
    );
    Entry {
        signal: Some("error_rate.limit".to_owned()),
        signal_severity: Some(Grade::High),
        ..entry
    }
}

fn paused() -> Entry {
    let reason = "paused by an operator: lunch, \"back\" at 2";
    let entry = entry(
        Name::Paused,
        Severity::Info,
        reason,
        ("10 %", "no raise until resumed"),
        (Status::InProgress, Phase::Paused),
    );
    Entry {
        by: Some("release-team".to_owned()),
        ..entry
    }
}

fn over() -> Entry {
    let entry = entry(
        Name::Completed,
        Severity::Info,
        "wine-quality-v2 serves all traffic of wine-quality",
        ("config wine-quality-final-d7bff2fc", "nothing left behind"),
        (Status::Completed, Phase::Ended),
    );
    Entry {
        weight: Weight::FULL,
        ..entry
    }
}

fn held() -> Entry {
    let reason = "holding: needs about 80 more canary requests: 40 min at today's rate";
    entry(
        Name::Held,
        Severity::Warning,
        reason,
        ("20 canary requests in this stage", "100 at the least"),
        (Status::InProgress, Phase::Holding),
    )
}

fn about<'a>(event_id: &'a str, entry: &'a Entry) -> About<'a> {
    About {
        event_id,
        deployment_id: ID,
        endpoint: "wine-quality",
        model: "wine-quality-v2",
        former_model: "wine-quality-v1",
        entry,
        approvals: None,
    }
}

#[test]
fn every_text_of_a_message() {
    for (name, entry) in [
        ("breach", breach()),
        ("paused", paused()),
        ("held", held()),
        ("over", over()),
    ] {
        let event_id = event_id(ID, entry.seq);
        let about = about(&event_id, &entry);
        insta::assert_snapshot!(format!("{name}_email"), email(about));
        insta::assert_snapshot!(
            format!("{name}_subject_and_sms"),
            format!("{}\n{}", subject(about), sms(about))
        );
        insta::assert_snapshot!(format!("{name}_chat"), pretty(&chat(about)));
        insta::assert_snapshot!(format!("{name}_machine"), pretty(&machine(about)));
        let attributes: Value = attributes(about)
            .into_iter()
            .map(|(name, text)| (name.to_owned(), json!(text)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        insta::assert_snapshot!(format!("{name}_attributes"), pretty(&attributes));
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON")
}

#[test]
fn every_message_has_value_limit_and_reason() {
    for entry in [breach(), paused(), held(), over()] {
        let event_id = event_id(ID, entry.seq);
        let about = about(&event_id, &entry);
        let protocols = by_protocol(about);
        for protocol in [
            "default",
            "email",
            "email-json",
            "http",
            "https",
            "sqs",
            "lambda",
            "firehose",
        ] {
            let text = protocols[protocol]
                .as_str()
                .unwrap_or_else(|| panic!("no text for {protocol}"));
            for part in [&entry.value, &entry.limit] {
                let quoted = json!(part).to_string();
                assert!(
                    text.contains(part.as_str()) || text.contains(quoted.trim_matches('"')),
                    "{protocol}: {text} names {part}"
                );
            }
            assert!(
                text.contains(&entry.reason[1..10]),
                "{protocol}: {text} says why"
            );
        }
        assert!(
            protocols["sms"]
                .as_str()
                .is_some_and(|text| text.contains(&entry.reason[..10]))
        );
    }
}

#[test]
fn the_chat_card_keeps_the_schema() {
    let entry = breach();
    let event_id = event_id(ID, entry.seq);
    let card = chat(about(&event_id, &entry));
    assert_eq!(
        (
            card["version"].as_str(),
            card["source"].as_str(),
            card["id"].as_str()
        ),
        (Some("1.0"), Some("custom"), Some(event_id.as_str()))
    );
    let names = |value: &Value| {
        value
            .as_object()
            .map(|fields| fields.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    assert_eq!(
        names(&card),
        ["content", "id", "metadata", "source", "version"]
    );
    assert_eq!(
        names(&card["content"]),
        ["description", "keywords", "nextSteps", "textType", "title"]
    );
    assert_eq!(
        names(&card["metadata"]),
        [
            "additionalContext",
            "eventType",
            "relatedResources",
            "summary",
            "threadId"
        ]
    );
    assert_eq!(card["content"]["textType"], "client-markdown");
    assert_eq!(
        card["metadata"]["threadId"], ID,
        "one deployment is one thread"
    );
    let texts = |list: &Value| {
        list.as_array()
            .is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
    };
    assert!(
        texts(&card["content"]["nextSteps"])
            && texts(&card["content"]["keywords"])
            && texts(&card["metadata"]["relatedResources"])
    );
    assert!(
        card["metadata"]["additionalContext"]
            .as_object()
            .is_some_and(|context| context.values().all(Value::is_string))
    );
}

#[test]
fn no_message_advises_what_would_be_refused() {
    let ending = entry(
        Name::CleaningUp,
        Severity::Detail,
        "the end",
        ("v", "l"),
        (Status::InProgress, Phase::CleaningUp),
    );
    for (entry, advised) in [
        (breach(), false),
        (ending, false),
        (over(), false),
        (paused(), true),
        (held(), true),
    ] {
        let event_id = event_id(ID, entry.seq);
        assert_eq!(
            email(about(&event_id, &entry)).contains("canary rollback"),
            advised,
            "{}",
            entry.event
        );
    }
}

#[test]
fn subjects_are_what_sns_takes() {
    let endpoint = "e".repeat(63);
    for name in Name::ALL {
        for status in Status::ALL {
            let entry = entry(
                *name,
                Severity::Critical,
                "r\u{e4}son\nwith 🍷",
                ("v", "l"),
                (status, Phase::AwaitingApproval),
            );
            let event_id = event_id(ID, entry.seq);
            let text = subject(About {
                endpoint: &endpoint,
                ..about(&event_id, &entry)
            });
            assert!(
                (1..100).contains(&text.len())
                    && text.is_ascii()
                    && !text.chars().any(char::is_control),
                "{text}"
            );
            assert!(!text.starts_with(' '), "{text}");
        }
    }
}

#[test]
fn a_text_message_is_one_part() {
    let reason = "ü".repeat(500);
    let entry = entry(
        Name::Held,
        Severity::Warning,
        &reason,
        ("v", "l"),
        (Status::InProgress, Phase::Holding),
    );
    let event_id = event_id(ID, entry.seq);
    assert!(sms(about(&event_id, &entry)).chars().count() <= 140);
}

#[test]
fn a_message_about_an_approval_links_to_the_page_where_there_is_one() {
    let waits = entry(
        Name::ApprovalNeeded,
        Severity::Warning,
        "the stage at 10 % asks for a person's approval before the next raise",
        ("10 %", "an approval"),
        (Status::InProgress, Phase::AwaitingApproval),
    );
    let event_id = event_id(ID, waits.seq);
    let bare = about(&event_id, &waits);
    let shown = About {
        approvals: Some("https://canary.example.com/stack"),
        ..bare
    };
    let page = format!("https://canary.example.com/stack/deployments/{ID}/approve");
    let steps = |about| chat(about)["content"]["nextSteps"].to_string();
    assert!(
        email(shown).lines().any(|line| line.ends_with(&page)),
        "{}",
        email(shown)
    );
    assert!(
        steps(shown).contains(&format!(": {page}\"")),
        "{}",
        steps(shown)
    );
    for text in [email(shown), steps(shown), email(bare), steps(bare)] {
        assert!(text.contains(&format!("canary approve {ID}")), "{text}");
    }
    assert!(!email(bare).contains("https://") && !steps(bare).contains("https://"));
    // Of anything else there is nothing to approve.
    let paused = paused();
    let other = About {
        entry: &paused,
        ..shown
    };
    assert!(!email(other).contains("https://"));
}

/// There is no canary whose share it could tell, and no phase.
#[test]
fn what_is_about_no_deployment_names_no_phase_and_no_share() {
    for name in [Name::Rejected, Name::Frozen, Name::Thawed] {
        let entry = entry(
            name,
            Severity::Warning,
            "endpoint wine-quality: frozen",
            ("endpoint wine-quality", "until it is lifted"),
            (Status::Pending, Phase::Ended),
        );
        let event_id = event_id(ID, entry.seq);
        let about = about(&event_id, &entry);
        let machine = machine(about);
        assert_eq!((machine.get("phase"), machine.get("weight")), (None, None));
        let texts = [email(about), chat(about).to_string(), sms(about)];
        for text in texts {
            assert!(
                !text.contains("of the traffic") && !text.contains("Ended"),
                "{text}"
            );
        }
    }
}
