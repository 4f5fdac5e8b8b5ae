//! The draft of a post-mortem: a function of the terms, the evidence and the lines it is given.

use serde_json::json;

use super::builders::*;
use crate::domain::audience::Audience;
use crate::domain::decide::decide;
use crate::domain::evidence::Evidence;
use crate::domain::exposure::Exposure;
use crate::domain::history::{Entry, Name};
use crate::domain::incident::{PostMortem, Room, told};
use crate::domain::observation::Metrics;
use crate::domain::state::{Outcome, Phase, Status};

fn entry(seq: u64, event: Name, severity: &str, weight: u8, by: Option<&str>) -> Entry {
    let at = format!("2026-03-02T10:{seq:02}:00Z");
    let entry = json!({
        "seq": seq, "at": at, "event": event, "severity": severity, "reason": format!("reason {seq}"),
        "value": format!("value {seq}"), "limit": "limit", "status": "IN_PROGRESS",
        "phase": "Baking", "weight": weight, "by": by,
    });
    serde_json::from_value(entry).unwrap()
}

/// Up to 25 %, and back by this order, or by the control loop.
fn history(by: Option<&str>) -> Vec<Entry> {
    vec![
        entry(1, Name::Started, "info", 0, Some("Release")),
        entry(2, Name::Shifting, "detail", 10, None),
        entry(3, Name::Shifted, "info", 10, None),
        entry(4, Name::Shifted, "info", 25, None),
        entry(5, Name::RollingBack, "critical", 0, by),
        entry(6, Name::Incident, "critical", 0, by),
    ]
}

#[test]
fn the_draft_is_the_same_whatever_becomes_of_the_record() {
    let evidence = Case::baking(25).evidence;
    let first = PostMortem::of(&Case::baking(25).deployment, &evidence, &history(None)).unwrap();
    for case in Case::every() {
        let draft = PostMortem::of(&case.deployment, &evidence, &history(None)).unwrap();
        assert_eq!(draft, first, "{}", case.deployment.state.phase);
    }
    let without = &history(None)[..5];
    assert_eq!(
        PostMortem::of(&Case::baking(25).deployment, &evidence, without),
        None
    );
}

#[test]
fn the_draft_says_who_had_to_do_with_it_and_asks_what_the_record_cant_answer() {
    let mut case = Case::baking(25);
    case.evidence.canary.errors_5xx = 12;
    let of = |by| PostMortem::of(&case.deployment, &case.evidence, &history(by)).unwrap();
    let draft = of(None);
    assert_eq!(
        (draft.cause.reason.as_str(), draft.cause.value.as_str()),
        ("reason 5", "value 5")
    );
    assert_eq!(draft.impact.largest_weight.percent(), 25);
    assert_eq!(
        draft.impact.lasted.to_string(),
        "3m",
        "from the first share to the decision"
    );
    assert!(
        draft
            .summary
            .contains("up to 25 % of the traffic for 3 min"),
        "{}",
        draft.summary
    );
    let asks = |draft: &PostMortem, words: &str| {
        draft
            .open_questions
            .iter()
            .any(|question| question.contains(words))
    };
    assert!(asks(
        &draft,
        "12 requests of the canary that were answered 5XX"
    ));
    assert!(asks(&draft, "No gate looked at this model") && asks(&draft, "it took 3 min"));
    let mut whole = history(None);
    whole.push(entry(9, Name::Reverted, "info", 0, None));
    let later = PostMortem::of(&case.deployment, &case.evidence, &whole).unwrap();
    assert_eq!(
        later.impact.lasted.to_string(),
        "6m",
        "users had it until production had everything back"
    );
    assert!(
        draft
            .summary
            .starts_with("The control loop takes wine-v2 back")
            && later
                .summary
                .starts_with("The control loop took wine-v2 back"),
        "nothing is said to be done before DescribeEndpoint has shown it: {}",
        draft.summary
    );
    assert_eq!(
        draft.title,
        "wine: rollback of wine-v2, which had up to 25 %"
    );
    assert_eq!(later.title, draft.title);
    assert!(asks(&later, "it took 3 min"), "the decision came before");
    let ordered = of(Some("OnCall"));
    assert!(asks(&ordered, "What did OnCall see") && !asks(&ordered, "it took 3 min"));
    assert!(
        ordered
            .summary
            .starts_with("OnCall, by an order, takes wine-v2 back"),
        "{}",
        ordered.summary
    );
    let mut gated = case.clone();
    gated.deployment.terms.clearance.gate = Some("passed".to_owned());
    let gated = PostMortem::of(&gated.deployment, &case.evidence, &history(None)).unwrap();
    assert!(asks(&gated, "The gate let this model pass"));
}

#[test]
fn who_was_told_is_counted_from_the_same_table_that_messages_go_by() {
    let told = told(&history(None));
    let of = |audience| told.iter().find(|told| told.audience == audience);
    let team = of(Audience::MlTeam).unwrap();
    assert_eq!(
        (team.lines, team.first.to_string().as_str()),
        (5, "2026-03-02T10:01:00Z")
    );
    let on_call = of(Audience::OnCall).unwrap();
    assert_eq!(
        (on_call.lines, on_call.last.to_string().as_str()),
        (2, "2026-03-02T10:06:00Z")
    );
    assert_eq!(of(Audience::FinOps), None, "of nothing they pay for");
}

#[test]
fn a_cut_keeps_both_ends_and_says_what_is_missing() {
    let case = Case::baking(25);
    let mut long = history(None);
    let held = (7..=59).map(|seq| entry(seq, Name::Held, "warning", 25, None));
    long.extend(held);
    let draft = PostMortem::of(&case.deployment, &case.evidence, &long).unwrap();
    let cut = draft.within(Room::ALL[2]);
    assert_eq!(cut.timeline.len(), 20);
    assert_eq!(cut.timeline[..5], draft.timeline[..5]);
    assert_eq!(cut.timeline[5..], draft.timeline[44..]);
    assert_eq!(
        cut.left_out.as_deref(),
        Some("left out here: 39 lines of the timeline; the history has all")
    );
    assert_eq!(
        draft.within(Room::ALL[0]),
        draft,
        "nothing is said where nothing is missing"
    );
}

/// Production was seen to have everything back four minutes ago, at 09:56:20, and nothing was counted since
/// 09:49; the reading goes to 09:57.
fn back() -> (Case, Metrics) {
    let mut case = Case::cleaning(Outcome::RolledBack).with(|case| {
        let state = &mut case.deployment.state;
        (state.had_traffic, state.phase_since) = (true, case.now - minutes(4));
        (
            case.evidence.canary.invocations,
            case.evidence.canary.errors_5xx,
        ) = (50, 5);
    });
    let metrics = last_minutes(&mut case, 8, Some(&arm(100, 40)), Some(&arm(900, 0)));
    (case, metrics)
}

fn counted(case: &Case, metrics: Metrics) -> Evidence {
    let seen = seen(split(0)).metrics(metrics);
    let decision = decide(&case.deployment, &case.evidence, &seen, case.now).unwrap();
    assert!(decision.minutes.is_empty(), "nothing is judged");
    decision.evidence
}

#[test]
fn what_was_served_until_the_traffic_was_back_is_counted_once_and_judged_by_nobody() {
    let (mut case, metrics) = back();
    let evidence = counted(&case, metrics.clone());
    let exposure = evidence.exposure.unwrap();
    assert_eq!(exposure.through.to_string(), "2026-03-02T09:56:00Z");
    assert_eq!(
        (exposure.canary.invocations, exposure.canary.errors_5xx),
        (700, 280),
        "seven minutes, the one in which it came back among them"
    );
    assert_eq!(exposure.production.invocations, 6300);
    assert_eq!(evidence.as_judged(), case.evidence);
    case.evidence = evidence.clone();
    assert_eq!(counted(&case, metrics.clone()), evidence, "each once");
    // A reading of a later record leaves a gap, which is asked for again.
    case.evidence = evidence.as_judged();
    let late = Metrics {
        from: metrics.from + minutes(1),
        ..metrics
    };
    assert_eq!(counted(&case, late), case.evidence);
}

#[test]
fn nothing_is_counted_that_was_not_read_whole_or_is_no_part_of_a_rollback() {
    let (case, metrics) = back();
    for half in [
        Metrics {
            canary: unreadable(),
            ..metrics.clone()
        },
        Metrics {
            production: unreadable(),
            ..metrics.clone()
        },
    ] {
        assert_eq!(counted(&case, half), case.evidence);
    }
    let without: [fn(&mut Case); 3] = [
        // It had no traffic; it is on its way; what became of its traffic is not known.
        |case| case.deployment.state.had_traffic = false,
        |case| case.deployment.state.phase = Phase::Reverting,
        |case| case.deployment.state.outcome = Some(Outcome::Failed),
    ];
    for change in without {
        let case = case.clone().with(change);
        assert_eq!(case.deployment.state.status, Status::RollingBack);
        assert_eq!(counted(&case, metrics.clone()), case.evidence);
    }
}

#[test]
fn a_draft_says_up_to_when_it_counts() {
    let (case, metrics) = back();
    let mut evidence = counted(&case, metrics);
    let mut whole = history(None);
    whole.push(entry(9, Name::Reverted, "info", 0, None));
    let of = |evidence: &Evidence| PostMortem::of(&case.deployment, evidence, &whole).unwrap();
    let decided = of(&evidence.as_judged());
    assert_eq!(decided.impact.canary.invocations, 50);
    assert!(
        decided
            .summary
            .contains("50 requests were counted until 2026-03-02 09:50 UTC (later ones are not in it), 5 of them"),
        "{}",
        decided.summary
    );
    let later = of(&evidence);
    assert_eq!(
        (
            later.impact.canary.invocations,
            later.impact.canary.errors_5xx
        ),
        (750, 285)
    );
    assert!(
        later.summary.contains("until 2026-03-02 09:57 UTC (later"),
        "the traffic came back at 10:09: {}",
        later.summary
    );
    evidence.exposure = evidence.exposure.map(|exposure| Exposure {
        through: "2026-03-02T10:09:00Z".parse().unwrap(),
        ..exposure
    });
    let all = of(&evidence);
    assert!(all.impact.is_whole(all.traffic_back_at));
    assert!(
        all.summary.contains(
            "750 requests were counted until production had everything back, 285 of them"
        ),
        "{}",
        all.summary
    );
}
