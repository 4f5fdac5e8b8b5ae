//! Every order in every phase: where it leads, or what the refusal says to do instead.

use std::fmt::Write;

use super::builders::*;
use crate::domain::command::{Command, IllegalCommand, apply};
use crate::domain::decide::Decision;
use crate::domain::due::{Effect, due};
use crate::domain::history::Name;
use crate::domain::invariants::violations;
use crate::domain::observation::EndpointReading;
use crate::domain::quantity::Weight;
use crate::domain::state::{Interrupted, Outcome, Phase, Status};

fn order(case: &Case, command: Command) -> Result<Decision, IllegalCommand> {
    apply(
        &case.deployment,
        &case.evidence,
        command,
        "operator",
        Some("because"),
        case.now,
    )
}

fn orders() -> [Command; 9] {
    [
        Command::Pause,
        Command::Resume,
        Command::Promote { full: false },
        Command::Promote { full: true },
        Command::Approve,
        Command::SetWeight(weight(60)),
        Command::SetWeight(weight(10)),
        Command::Rollback,
        Command::Cancel,
    ]
}

/// One row a state, in the order of `Case::every`; one column an order, in that of `orders`.
/// A name is the phase it leads to, `-` a refusal.
const TABLE: &str = "
PENDING/Provisioning         | -      | -      | -          | -          | -       | -       | -          | Reverting | Reverting
PENDING/CleaningUp           | -      | -      | -          | -          | -       | -       | -          | -         | -
IN_PROGRESS/Scaling          | Paused | -      | -          | -          | -       | -       | Retreating | Reverting | Reverting
IN_PROGRESS/Shifting         | Paused | -      | -          | -          | -       | -       | Retreating | Reverting | Reverting
IN_PROGRESS/Baking           | Paused | -      | Scaling    | Scaling    | -       | Scaling | Retreating | Reverting | Reverting
IN_PROGRESS/Holding          | Paused | -      | Scaling    | Scaling    | -       | Scaling | Retreating | Reverting | Reverting
IN_PROGRESS/AwaitingApproval | Paused | -      | -          | -          | Scaling | -       | Retreating | Reverting | Reverting
IN_PROGRESS/Paused           | -      | Baking | -          | -          | -       | -       | Retreating | Reverting | Reverting
IN_PROGRESS/Retreating       | -      | -      | -          | -          | -       | -       | -          | Reverting | Reverting
IN_PROGRESS/Retreating       | -      | Baking | -          | -          | -       | -       | -          | Reverting | Reverting
IN_PROGRESS/Soaking          | Paused | -      | Finalizing | Finalizing | -       | Retreating | Retreating | Reverting | Reverting
IN_PROGRESS/Finalizing       | -      | -      | -          | -          | -       | -       | -          | Reverting | Reverting
IN_PROGRESS/CleaningUp       | -      | -      | -          | -          | -       | -       | -          | -         | -
ROLLING_BACK/Reverting       | -      | -      | -          | -          | -       | -       | -          | -         | -
ROLLING_BACK/CleaningUp      | -      | -      | -          | -          | -       | -       | -          | -         | -
COMPLETED/Ended              | -      | -      | -          | -          | -       | -       | -          | -         | -
ROLLED_BACK/Ended            | -      | -      | -          | -          | -       | -       | -          | -         | -
FAILED/Ended                 | -      | -      | -          | -          | -       | -       | -          | -         | -
CANCELLED/Ended              | -      | -      | -          | -          | -       | -       | -          | -         | -
";

#[test]
fn every_order_in_every_state() {
    let rows: Vec<&str> = TABLE.trim().lines().collect();
    let cases = Case::every();
    assert_eq!(rows.len(), cases.len());
    for (row, case) in rows.iter().zip(cases) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let state = &case.deployment.state;
        assert_eq!(cells[0], format!("{}/{}", state.status, state.phase));
        for (cell, command) in cells[1..].iter().zip(orders()) {
            match order(&case, command) {
                Ok(decision) => {
                    assert_eq!(
                        *cell,
                        decision.next.state.phase.to_string(),
                        "{} in {}",
                        command.name(),
                        cells[0]
                    );
                    assert_eq!(violations(&decision.next), Vec::<String>::new());
                    let incidents = decision.entries.iter();
                    let incidents = incidents.filter(|entry| entry.event == Name::Incident);
                    assert_eq!(decision.entries.len(), 1 + incidents.count());
                    let by = decision.entries.iter().map(|entry| entry.by.as_deref());
                    assert!(by.into_iter().all(|by| by == Some("operator")));
                    assert!(
                        decision.entries[0].reason.contains(": because"),
                        "{}",
                        decision.entries[0].reason
                    );
                }
                Err(refusal) => {
                    assert_eq!(*cell, "-", "{} in {}: {refusal}", command.name(), cells[0]);
                    assert!(
                        !matches!(refusal, IllegalCommand::Event(_)),
                        "{} in {} met the table: {refusal}",
                        command.name(),
                        cells[0]
                    );
                }
            }
        }
    }
}

/// A raise that may have landed is traffic; capacity that grows for it is none.
#[test]
fn a_cancel_is_an_incident_once_there_may_be_traffic() {
    let paused = |had_traffic| {
        let paused = Case::paused(Interrupted::Raise, 0, 10);
        paused.with(|case| case.deployment.state.had_traffic = had_traffic)
    };
    let without = [Case::pending(), Case::scaling(0, 10), paused(false)];
    let with = [
        Case::shifting(0, 10),
        paused(true),
        Case::scaling(10, 50),
        Case::baking(10),
    ];
    let without = without.map(|case| (case, false)).into_iter();
    for (case, has_traffic) in without.chain(with.map(|case| (case, true))) {
        let incidents = |command| {
            let decision = order(&case, command).unwrap();
            let told = decision.entries.into_iter();
            told.filter(|entry| entry.event == Name::Incident)
                .collect::<Vec<_>>()
        };
        let state = &case.deployment.state;
        let about = format!("{} at {}, to {}", state.phase, state.weight, state.target);
        assert_eq!(
            incidents(Command::Cancel).len(),
            usize::from(has_traffic),
            "{about}"
        );
        let [incident] = &incidents(Command::Rollback)[..] else {
            panic!("{about}: a rollback is one")
        };
        assert_eq!(incident.by.as_deref(), Some("operator"));
        assert!(
            incident
                .reason
                .contains("is taken back: rolled back by an operator")
        );
    }
}

#[test]
fn refusals_name_the_way_out() {
    let mut text = String::new();
    for case in Case::every() {
        for command in orders() {
            if let Err(refusal) = order(&case, command) {
                if let IllegalCommand::State { way_out, .. } = &refusal {
                    assert!(!way_out.is_empty());
                }
                let line = refusal.to_string();
                if !text.lines().any(|known| known == line) {
                    writeln!(text, "{line}").unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!("refusals", text);
}

#[test]
fn no_order_raises_past_a_red_guard_or_while_blind() {
    let raising = [
        Command::Promote { full: false },
        Command::Promote { full: true },
        Command::Approve,
        Command::SetWeight(weight(60)),
    ];
    for case in Case::every() {
        for (troubled, red) in [
            (case.clone().red("error_rate.limit", 1), true),
            (case.clone().blind_for(1, false), false),
            (case.clone().blind_for(1, true), false),
        ] {
            for command in raising {
                let sound = order(&case, command);
                let troubled = order(&troubled, command);
                let lowers = case.deployment.state.phase == Phase::Soaking
                    && command == Command::SetWeight(weight(60));
                match (sound, troubled) {
                    (Ok(_), Err(IllegalCommand::RedGuard(why))) => {
                        assert!(red && why.contains("past the limit"), "{why}");
                    }
                    (Ok(_), Err(IllegalCommand::Blind(why))) => {
                        assert!(!red && why.contains("InternalError"), "{why}");
                    }
                    (Ok(_), Ok(_)) => assert!(
                        lowers,
                        "{} in {}",
                        command.name(),
                        case.deployment.state.phase
                    ),
                    (Err(_), troubled) => assert!(troubled.is_err()),
                    (Ok(_), Err(other)) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn a_resumed_raise_waits_for_the_guard() {
    let case = Case::paused(Interrupted::Raise, 20, 30).red("error_rate.limit", 1);
    let resumed = order(&case, Command::Resume).unwrap();
    let case = case.with(|case| case.deployment = resumed.next);
    check(&case, &seen(split(20)), &goes_on(Phase::Scaling).quietly());
}

/// Somebody moved the weights during a pause of the soak, and the same share once more puts them back.
#[test]
fn a_pause_at_100_percent_outlives_the_same_share_once_more() {
    let paused = Case::paused(Interrupted::Soak, 100, 100);
    let drifted = paused.with(|case| case.deployment.state.drift = Some("moved".to_owned()));
    let ordered = order(&drifted, Command::SetWeight(Weight::FULL)).unwrap();
    assert_eq!(ordered.next.state.phase, Phase::Retreating);
    let retreating = drifted.with(|case| case.deployment = ordered.next);
    let stays = goes_on(Phase::Paused).weight(100);
    let told = stays.clone().tells(&[Name::Soaking, Name::Paused]);
    let stayed = check(&retreating, &seen(split(100)), &told);
    // However long: the old variant goes when somebody resumes, and not before.
    let later = retreating.with(|case| {
        case.deployment = stayed.next;
        case.now += jiff::SignedDuration::from_hours(2);
    });
    let waits = stays.quietly().nothing_due();
    check(&later, &seen(split(100)), &waits);
    let resumed = order(&later, Command::Resume).unwrap().next.state;
    assert_eq!(resumed.phase, Phase::Soaking);
}

#[test]
fn a_pause_returns_to_where_it_was() {
    let rows = [
        (Case::scaling(20, 30), Interrupted::Raise, Phase::Scaling),
        (Case::shifting(20, 30), Interrupted::Raise, Phase::Scaling),
        (Case::baking(30), Interrupted::Bake, Phase::Baking),
        (Case::holding(30), Interrupted::Bake, Phase::Baking),
        (
            Case::awaiting(30),
            Interrupted::Approval,
            Phase::AwaitingApproval,
        ),
        (Case::soaking(), Interrupted::Soak, Phase::Soaking),
    ];
    for (case, interrupted, back) in rows {
        let (at, target) = (case.deployment.state.weight, case.deployment.state.target);
        let paused = order(&case, Command::Pause).unwrap();
        assert_eq!(paused.next.state.interrupted, Some(interrupted));
        assert_eq!(
            paused.next.state.clock.running_since, None,
            "the deadline's clock stops at once"
        );
        let paused = case.clone().with(|case| case.deployment = paused.next);
        check(
            &paused,
            &seen(paused.endpoint()),
            &goes_on(Phase::Paused).quietly(),
        );
        let resumed = order(&paused, Command::Resume).unwrap().next.state;
        assert_eq!(
            (
                resumed.phase,
                resumed.interrupted,
                resumed.weight,
                resumed.target
            ),
            (back, None, at, target)
        );
    }
}

#[test]
fn promote_goes_to_the_next_stage_or_to_full_traffic() {
    let target = |case: &Case, full| {
        order(case, Command::Promote { full }).map(|decision| decision.next.state.target)
    };
    assert_eq!(target(&Case::baking(30), false), Ok(weight(40)));
    assert_eq!(target(&Case::baking(30), true), Ok(Weight::FULL));
    // A share set by hand lies between two stages.
    assert_eq!(target(&Case::baking(33), false), Ok(weight(40)));
    assert_eq!(target(&Case::baking(95), false), Ok(Weight::FULL));
    let asks = Case::awaiting(30).with(|case| case.deployment.state.phase = Phase::Baking);
    for full in [false, true] {
        assert_eq!(
            target(&asks, full),
            Err(IllegalCommand::NeedsApproval(weight(30)))
        );
        assert_eq!(
            target(&Case::awaiting(30), full),
            Err(IllegalCommand::NeedsApproval(weight(30)))
        );
    }
    assert_eq!(
        order(&asks, Command::SetWeight(weight(60))).unwrap_err(),
        IllegalCommand::NeedsApproval(weight(30))
    );
    assert_eq!(
        order(&Case::awaiting(30), Command::Approve)
            .unwrap()
            .next
            .state
            .target,
        weight(40)
    );
    let keeps = Case::soaking().with(|case| case.deployment.terms.cleanup.keep_old_variant = true);
    let kept = order(&keeps, Command::Promote { full: false })
        .unwrap()
        .next
        .state;
    assert_eq!(
        (kept.phase, kept.outcome),
        (Phase::CleaningUp, Some(Outcome::Completed))
    );
}

#[test]
fn the_share_by_hand() {
    let set = |case: &Case, percent: u8| {
        order(case, Command::SetWeight(weight(percent)))
            .map(|decision| (decision.next.state.phase, decision.next.state.target))
    };
    assert_eq!(
        set(&Case::baking(30), 30),
        Err(IllegalCommand::SameWeight(weight(30)))
    );
    assert_eq!(set(&Case::baking(30), 31), Ok((Phase::Scaling, weight(31))));
    assert_eq!(
        set(&Case::baking(30), 29),
        Ok((Phase::Retreating, weight(29)))
    );
    // Back to the present share calls a raise off.
    assert_eq!(
        set(&Case::shifting(20, 30), 20),
        Ok((Phase::Retreating, weight(20)))
    );
    assert_eq!(
        set(&Case::paused(Interrupted::Raise, 20, 30), 20),
        Ok((Phase::Retreating, weight(20)))
    );
    assert_eq!(
        set(&Case::soaking(), 50),
        Ok((Phase::Retreating, weight(50)))
    );
}

#[test]
fn rollback_and_cancel_differ_in_the_outcome_alone() {
    for (command, outcome, verb) in [
        (Command::Rollback, Outcome::RolledBack, "rolled back"),
        (Command::Cancel, Outcome::Cancelled, "cancelled"),
    ] {
        let decision = order(&Case::soaking(), command).unwrap();
        let state = &decision.next.state;
        assert_eq!(
            (state.status, state.phase, state.outcome, state.target),
            (
                Status::RollingBack,
                Phase::Reverting,
                Some(outcome),
                Weight::ZERO
            )
        );
        assert_eq!(decision.entries[0].event, Name::RollingBack);
        assert_eq!(
            decision.entries[0].reason,
            format!("{verb} by an operator: because")
        );
        assert!(decision.next.pins_production());
    }
}

#[test]
fn orders_read_as_they_are_written() {
    for command in orders() {
        let text = serde_json::to_string(&command).unwrap();
        assert_eq!(
            serde_json::from_str::<Command>(&text).unwrap(),
            command,
            "{text}"
        );
    }
    assert!(serde_json::from_str::<Command>(r#"{"set_weight":101}"#).is_err());
}

#[test]
fn the_committed_share_is_put_back_after_somebody_else_moved_it() {
    for case in [Case::baking(30), Case::awaiting(30), Case::soaking()] {
        let weight = case.deployment.state.weight;
        let case = case.with(|case| {
            let state = &mut case.deployment.state;
            state.drift = Some("moved".to_owned());
            state.see_share(0.01, case.now - minutes(1));
        });
        let order = Command::SetWeight(weight);
        let decision = apply(
            &case.deployment,
            &case.evidence,
            order,
            "anna",
            None,
            case.now,
        )
        .expect("a share that was moved can be set again");
        let state = &decision.next.state;
        assert_eq!((state.phase, state.target), (Phase::Retreating, weight));
        let moved = EndpointReading::Seen(split(1));
        assert_eq!(
            due(&decision.next, &decision.evidence, &moved, case.now),
            Some(Effect::Shift { weight })
        );
    }
}
