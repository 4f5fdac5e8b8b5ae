//! Messages as people and machines get them: snapshots of each text, the chat schema of Amazon Q
//! Developer, and the rules that SNS has for subjects.

use serde_json::{Value, json};
use shared::domain::history::{Entry, Name, Severity};
use shared::domain::incident::{Line, PostMortem, Shown, incident_id};
use shared::domain::policy::Grade;
use shared::domain::quantity::Weight;
use shared::domain::state::{Phase, Status};
use shared::wire::items::event_id;
use shared::wire::messages::{
    About, TEXT_LIMIT, attributes, by_protocol, chat, email, machine, sms, subject,
};

const ID: &str = "019cad98-d3c0-7177-8e00-9f60d7bff2fc";

fn percent(share: u8) -> Weight {
    Weight::new(share).expect("at most 100")
}

fn entry(
    event: Name,
    severity: Severity,
    reason: &str,
    (value, limit): (&str, &str),
    (status, phase): (Status, Phase),
) -> Entry {
    let weight = percent(if status == Status::InProgress { 10 } else { 0 });
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
        weight,
        confirmed_weight: Some(weight),
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
        confirmed_weight: Some(percent(10)),
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
        confirmed_weight: Some(Weight::FULL),
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
        draft: None,
    }
}

/// A model that the gate refused: there is no deployment.
fn rejected() -> Entry {
    let entry = entry(
        Name::Rejected,
        Severity::Warning,
        "the gate refuses wine-quality-v2",
        (
            "recall 0.912 (95% interval 0.884 to 0.935), which is below 0.95",
            "what the specification's gate requires",
        ),
        (Status::Failed, Phase::Ended),
    );
    Entry {
        seq: 1,
        by: Some("Release".to_owned()),
        ..entry
    }
}

fn frozen() -> Entry {
    let entry = entry(
        Name::Frozen,
        Severity::Warning,
        "endpoint wine-quality: frozen by OnCall: the sales are on",
        ("endpoint wine-quality", "until 2026-03-02T18:00:00Z"),
        (Status::Pending, Phase::Ended),
    );
    Entry {
        seq: 1,
        by: Some("OnCall".to_owned()),
        ..entry
    }
}

fn thawed() -> Entry {
    let entry = entry(
        Name::Thawed,
        Severity::Warning,
        "endpoint wine-quality: the freeze was lifted by OnCall",
        ("endpoint wine-quality", "raises go on"),
        (Status::Pending, Phase::Ended),
    );
    Entry {
        seq: 1,
        by: Some("OnCall".to_owned()),
        ..entry
    }
}

fn costly() -> Entry {
    let entry = entry(
        Name::Breached,
        Severity::Info,
        "cost of the canary against production: 1.62 times over 6210 requests in 60 min, past the limit of 1.5 times",
        ("1.62", "1.5"),
        (Status::InProgress, Phase::Baking),
    );
    Entry {
        signal: Some("cost.ratio".to_owned()),
        signal_severity: Some(Grade::Low),
        ..entry
    }
}

fn incident() -> Entry {
    let breach = breach();
    Entry {
        seq: 8,
        event: Name::Incident,
        reason: format!("wine-quality-v2 is taken back: {}", breach.reason),
        ..breach
    }
}

/// The draft that goes out with [`incident`].
fn post_mortem() -> PostMortem {
    let at = |minute: u32| format!("2026-03-02T09:{minute:02}:00Z");
    let line = |minute, event: &str, reason: &str, weight: u8, told: &[&str]| json!({"at": at(minute), "event": event, "reason": reason, "weight": weight, "told": told});
    let both = ["on_call", "ml_team"];
    let totals = |invocations: u64, errors: u64| json!({"invocations": invocations, "errors_4xx": 0, "errors_5xx": errors});
    let cause = breach();
    let draft = json!({
        "incident_id": incident_id(ID),
        "title": "wine-quality: rollback of wine-quality-v2, which had up to 10 %",
        "summary": "The control loop takes wine-quality-v2 back.",
        "opened_at": at(30),
        "cause": {
            "reason": cause.reason, "value": cause.value, "limit": cause.limit,
            "signal": cause.signal, "severity": cause.signal_severity,
        },
        "impact": {
            "largest_weight": 10, "since": at(22), "lasted": "8m",
            "canary": totals(820, 164), "production": totals(7380, 3), "counted_until": at(28),
        },
        "evidence": [{
            "signal": "errors",
            "sentence": "5XX errors: canary 20.00% (164 of 820), production 0.04% (3 of 7380)",
            "ratio": 492.0, "interval": {"low": 158.0, "high": 1530.0}, "ln_e": 61.5,
        }],
        "timeline": [
            line(20, "deployment.started", "accepted", 0, &["ml_team"]),
            line(22, "traffic.shifted", "the canary has 10 % of the traffic", 10, &["ml_team"]),
            line(30, "deployment.rolling_back", &cause.reason, 0, &both),
            line(30, "incident.opened", &incident().reason, 0, &both),
        ],
        "told": [
            {"audience": "on_call", "lines": 2, "first": at(30), "last": at(30)},
            {"audience": "ml_team", "lines": 4, "first": at(20), "last": at(30)},
        ],
        "open_questions": ["What keeps it from happening again, who does it, and by when?"],
        "report": format!("/deployments/{ID}/report"),
    });
    serde_json::from_value(draft).expect("a draft")
}

/// What has no deployment has an id that says so, and may have no model.
fn without_a_deployment<'a>(event_id: &'a str, entry: &'a Entry) -> About<'a> {
    let deployment_id = event_id.split('#').next().unwrap_or_default();
    let (model, former_model) = match entry.event {
        Name::Rejected => ("wine-quality-v2", "wine-quality-v1"),
        _ => ("", ""),
    };
    About {
        deployment_id,
        model,
        former_model,
        ..about(event_id, entry)
    }
}

#[test]
fn every_text_of_what_has_no_deployment() {
    for (name, id, entry) in [
        (
            "rejected",
            "rejected-0123456789abcdef0123456789abcdef",
            rejected(),
        ),
        (
            "frozen",
            "freeze-019cad98-d3c0-7177-8e00-9f60d7bff2fc",
            frozen(),
        ),
        (
            "thawed",
            "freeze-019cad98-d3c1-7177-8e00-9f60d7bff2fd",
            thawed(),
        ),
    ] {
        let event_id = event_id(id, entry.seq);
        let about = without_a_deployment(&event_id, &entry);
        for command in ["canary history", "canary rollback", "canary report"] {
            assert!(
                !email(about).contains(command),
                "{name}: there is nothing to ask {command} of"
            );
        }
        assert_texts(name, about);
    }
}

#[test]
fn every_text_of_a_message() {
    let draft = post_mortem();
    for (name, entry) in [
        ("breach", breach()),
        ("paused", paused()),
        ("held", held()),
        ("over", over()),
        ("costly", costly()),
        ("incident", incident()),
    ] {
        let event_id = event_id(ID, entry.seq);
        let about = About {
            draft: (name == "incident").then_some(&draft),
            ..about(&event_id, &entry)
        };
        assert_texts(name, about);
    }
}

fn assert_texts(name: &str, about: About<'_>) {
    insta::assert_snapshot!(format!("{name}_email"), email(about));
    insta::assert_snapshot!(
        format!("{name}_subject_and_sms"),
        format!("{}\n{}", subject(about), sms(about))
    );
    insta::assert_snapshot!(format!("{name}_chat"), pretty(&chat(about)));
    insta::assert_snapshot!(format!("{name}_machine"), pretty(&machine(about)));
    let attributes: Value = attributes(about)
        .into_iter()
        .map(|attribute| (attribute.name.to_owned(), json!(attribute.text)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    insta::assert_snapshot!(format!("{name}_attributes"), pretty(&attributes));
}

/// Long histories, long sentences and characters that take six bytes once they are quoted: the message
/// is what SNS and EventBridge take, and says what it leaves out.
#[test]
fn an_incident_always_fits_into_a_message() {
    const LIMIT: usize = 256 * 1024;
    let small = post_mortem();
    assert_eq!(
        machine_of(&small)["post_mortem"],
        json!(small),
        "nothing is left out of it"
    );
    for text in [
        "a\"b".repeat(400),
        "\u{1}".repeat(3000),
        "\u{1f347}".repeat(2000),
    ] {
        let mut draft = small.clone();
        let line = Line {
            reason: text.clone(),
            ..draft.timeline[1].clone()
        };
        draft.timeline.splice(1..1, vec![line; 2000]);
        let shown = Shown {
            sentence: text.clone(),
            ..draft.evidence[0].clone()
        };
        draft.evidence.extend(vec![shown; 50]);
        let long = "canary-prod-\"wine\"-5xx, ".repeat(1000);
        let entry = Entry {
            reason: long.clone(),
            value: long.clone(),
            limit: long,
            ..incident()
        };
        let entry = entry.shortened(TEXT_LIMIT);
        let event_id = event_id(ID, entry.seq);
        let about = About {
            draft: Some(&draft),
            ..about(&event_id, &entry)
        };
        let attributes: usize = attributes(about)
            .iter()
            .map(|it| it.name.len() + it.text.len())
            .sum();
        let published = by_protocol(about).to_string().len() + attributes;
        assert!(published < LIMIT, "{published} bytes for SNS");
        let message = machine(about);
        assert!(
            message.to_string().len() < LIMIT - 1024,
            "an event has a few fields beside"
        );
        let cut: PostMortem =
            serde_json::from_value(message["post_mortem"].clone()).expect("a draft");
        let note = cut.left_out.expect("a note");
        assert!(
            note.contains("lines of the timeline") && note.contains("the history has all"),
            "{note}"
        );
        let last = cut.timeline.last().map(|line| line.event);
        assert_eq!(last, Some(Name::Incident), "how it ended stays");
        assert!(email(about).contains(&note));
    }
}

fn machine_of(draft: &PostMortem) -> Value {
    let entry = incident();
    let event_id = event_id(ID, entry.seq);
    machine(About {
        draft: Some(draft),
        ..about(&event_id, &entry)
    })
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

/// A share that was not seen in force is not said to be, in any variant of a message.
#[test]
fn every_text_says_which_share_is_in_force() {
    for (confirmed, said) in [
        (Some(10), "10 % of the traffic"),
        (
            Some(0),
            "10 % of the traffic (intended), 0 % last confirmed",
        ),
        (
            Some(25),
            "10 % of the traffic (intended), 25 % last confirmed",
        ),
        (None, "10 % of the traffic (intended)"),
    ] {
        let entry = Entry {
            confirmed_weight: confirmed.map(percent),
            ..held()
        };
        let event_id = event_id(ID, entry.seq);
        let about = about(&event_id, &entry);
        let told = email(about);
        assert!(
            told.lines()
                .any(|line| line == format!("Canary      {said}")),
            "{told}"
        );
        let card = chat(about);
        let told = card["content"]["description"].as_str().unwrap_or_default();
        assert!(
            told.lines().any(|line| line == format!("*Canary* {said}")),
            "{told}"
        );
        let told = machine(about);
        assert_eq!(
            (&told["weight"], &told["confirmed_weight"]),
            (&json!(10), &json!(confirmed))
        );
    }
}

/// Nothing is intended any more, from the cleanup of a failure on.
#[test]
fn a_failure_says_the_share_last_confirmed() {
    for (status, phase) in [
        (Status::RollingBack, Phase::CleaningUp),
        (Status::Failed, Phase::Ended),
    ] {
        let entry = Entry {
            status,
            phase,
            confirmed_weight: None,
            ..held()
        };
        let event_id = event_id(ID, entry.seq);
        let told = email(about(&event_id, &entry));
        let said = "Canary      10 % of the traffic (last confirmed)";
        assert!(told.lines().any(|line| line == said), "{told}");
    }
}

/// What the e-mail tells in a column and the card has no other place for stands on the card in the same words.
#[test]
fn a_card_tells_what_the_e_mail_tells() {
    for entry in [breach(), paused(), held(), over(), incident(), rejected()] {
        let event_id = event_id(ID, entry.seq);
        let about = about(&event_id, &entry);
        let card = chat(about);
        let card = card["content"]["description"].as_str().unwrap_or_default();
        for (name, said) in email(about)
            .lines()
            .filter_map(|line| line.split_at_checked(12))
        {
            if ["Canary", "Measured", "Limit", "By", "Incident"].contains(&name.trim_end()) {
                let line = format!("*{}* {said}", name.trim_end());
                assert!(card.lines().any(|it| it == line), "{line} is not in {card}");
            }
        }
    }
    // A figure that there is none of has no empty line.
    let silent = Entry {
        value: String::new(),
        ..held()
    };
    let event_id = event_id(ID, silent.seq);
    let card = chat(about(&event_id, &silent)).to_string();
    assert!(
        !card.contains("*Measured*") && card.contains("*Limit*"),
        "{card}"
    );
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
    // An incident has a page as well, which approves nothing.
    let incident = incident();
    let opened = About {
        entry: &incident,
        ..shown
    };
    let page = format!("https://canary.example.com/stack/deployments/{ID}/report");
    assert!(email(opened).lines().any(|line| line.ends_with(&page)));
    assert!(!email(opened).contains("/approve"));
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
        for key in ["phase", "weight", "confirmed_weight"] {
            assert_eq!(machine.get(key), None, "{key}");
        }
        let texts = [email(about), chat(about).to_string(), sms(about)];
        for text in texts {
            assert!(
                !text.contains("of the traffic") && !text.contains("Ended"),
                "{text}"
            );
        }
    }
}
