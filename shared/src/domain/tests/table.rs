//! The whole table status x phase x event, held against the one people read.

use std::collections::BTreeMap;

use crate::domain::state::{self, Event, Phase, Status, belongs};

const ARCHITECTURE: &str = include_str!("../../../../ARCHITECTURE.md");

type Cell = (Status, Phase, String);

fn status(name: &str) -> Status {
    Status::ALL
        .into_iter()
        .find(|status| status.to_string() == name)
        .unwrap_or_else(|| panic!("no status {name}"))
}

fn phase(name: &str) -> Phase {
    Phase::ALL
        .into_iter()
        .find(|phase| phase.to_string() == name)
        .unwrap_or_else(|| panic!("no phase {name}"))
}

/// The legal transitions as written in the section "States".
fn documented() -> BTreeMap<Cell, (Status, Phase)> {
    let section = ARCHITECTURE
        .split("\n## ")
        .find(|section| section.starts_with("States\n"))
        .expect("ARCHITECTURE.md has a section States");
    let mut legal = BTreeMap::new();
    for line in section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| status "))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [from_status, from_phase, event, to_status, to_phase, when] = cells[..] else {
            panic!("six columns in `{line}`")
        };
        assert!(!when.is_empty(), "`{line}` says when");
        assert!(
            Event::ALL.iter().any(|known| format!("{known:?}") == event),
            "no event {event}"
        );
        let before = legal.insert(
            (status(from_status), phase(from_phase), event.to_owned()),
            (status(to_status), phase(to_phase)),
        );
        assert!(before.is_none(), "`{line}` stands twice");
    }
    legal
}

#[test]
fn every_cell_is_as_documented() {
    let documented = documented();
    let mut cells = 0;
    for status in Status::ALL {
        for phase in Phase::ALL {
            for event in Event::ALL {
                cells += 1;
                let found = state::next(status, phase, event);
                match (
                    documented.get(&(status, phase, format!("{event:?}"))),
                    found,
                ) {
                    (Some(target), found) => {
                        assert_eq!(found, Ok(*target), "{status}/{phase} {event:?}");
                    }
                    (None, Ok(target)) => panic!(
                        "{status}/{phase} {event:?} → {target:?} is legal but not documented"
                    ),
                    (None, Err(illegal)) => assert_eq!(
                        (illegal.status, illegal.phase, illegal.event),
                        (status, phase, event)
                    ),
                }
            }
        }
    }
    assert_eq!(
        cells,
        Status::ALL.len() * Phase::ALL.len() * Event::ALL.len()
    );
}

#[test]
fn transitions_never_leave_what_belongs_together() {
    for ((from_status, from_phase, event), (to_status, to_phase)) in documented() {
        assert!(
            belongs(from_status, from_phase),
            "{from_status}/{from_phase} {event}"
        );
        assert!(
            belongs(to_status, to_phase),
            "{to_status}/{to_phase} after {event}"
        );
        assert!(!from_status.is_terminal(), "nothing leaves {from_status}");
    }
}

#[test]
fn every_state_is_reached_and_every_other_one_can_end() {
    let documented = documented();
    let states: Vec<(Status, Phase)> = Status::ALL
        .into_iter()
        .flat_map(|status| Phase::ALL.map(|phase| (status, phase)))
        .filter(|(status, phase)| belongs(*status, *phase))
        .collect();
    let closure = |start: (Status, Phase)| {
        let mut reached = vec![start];
        let mut index = 0;
        while let Some(state) = reached.get(index).copied() {
            for ((status, phase, _), to) in &documented {
                if (*status, *phase) == state && !reached.contains(to) {
                    reached.push(*to);
                }
            }
            index += 1;
        }
        reached
    };
    let from_start = closure((Status::Pending, Phase::Provisioning));
    for state in states {
        assert!(from_start.contains(&state), "{state:?} is never reached");
        assert!(
            closure(state)
                .iter()
                .any(|(status, _)| status.is_terminal()),
            "{state:?} never ends"
        );
    }
}

#[test]
fn a_rollback_never_raises_again() {
    for ((from, _, event), (to, _)) in documented() {
        let goes_back = from == Status::RollingBack
            && matches!(to, Status::Pending | Status::InProgress | Status::Completed);
        assert!(!goes_back, "{event}");
    }
}

#[test]
fn an_illegal_event_says_what_met_what() {
    let illegal = state::next(Status::Pending, Phase::Provisioning, Event::SoakOver).unwrap_err();
    assert_eq!(
        illegal.to_string(),
        "SoakOver is not possible in PENDING/Provisioning"
    );
}
