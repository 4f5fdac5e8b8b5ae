//! When stages will begin, and when windows open.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

use super::builders::*;
use crate::domain::calendar::ChangeWindow;
use crate::domain::deployment::Deployment;
use crate::domain::quantity::Span;
use crate::domain::schedule::Schedule;
use crate::domain::state::{Interrupted, Outcome};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn window(text: &str) -> ChangeWindow {
    text.parse().expect("a change window")
}

/// Zones whose clocks are set by an hour, by half of one and by none, one of them a quarter past the half.
const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

prop_compose! {
    fn windows()(
        first in select(DAYS.to_vec()),
        last in select(DAYS.to_vec()),
        // Nights and early mornings count: that is when clocks are set.
        hours in (0_u32..1439).prop_flat_map(|from| (Just(from), from + 1..=1440)),
        zone in select(ZONES.to_vec()),
    ) -> ChangeWindow {
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        window(&format!("{first}-{last} {}-{} {zone}", clock(hours.0), clock(hours.1)))
    }
}

prop_compose! {
    /// Around the days of 2026 on which clocks are set in one of these zones, and anywhere else.
    fn moments()(
        around in select(vec![
            "2026-02-15T03:00:00Z", "2026-03-08T07:00:00Z", "2026-03-22T02:00:00Z", "2026-03-29T01:00:00Z",
            "2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z", "2026-10-25T01:00:00Z", "2026-11-01T06:00:00Z",
            "2026-07-01T12:00:00Z",
        ]),
        minute in -2880_i64..2880,
        second in 0_i64..60,
    ) -> Timestamp {
        at(around) + SignedDuration::from_secs(minute * 60 + second)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Against looking at every minute.
    #[test]
    fn a_window_opens_at_the_first_minute_at_which_it_is_open(window in windows(), now in moments()) {
        let opens = window.opens_from(now).expect("every window opens within weeks");
        prop_assert!(opens >= now && window.is_open(opens), "{window}: {opens}");
        let mut minute = now;
        while minute < opens {
            prop_assert!(!window.is_open(minute), "{window} is open at {minute}, before {opens}");
            let whole = minute.as_second().div_euclid(60) * 60;
            minute = Timestamp::from_second(whole + 60).expect("a minute later");
        }
    }

    /// Whatever the phase: stage after stage, each raise as soon as the bake before it is over and a window
    /// open, and no sooner.
    #[test]
    fn stages_begin_one_after_the_other_inside_the_windows(
        which in 0_usize..Case::every().len(),
        windows in proptest::collection::vec(windows(), 0..3),
        late in 0_i64..100_000,
    ) {
        let mut case = Case::every().swap_remove(which);
        case.deployment.terms.plan.change_windows = windows;
        let now = case.now + SignedDuration::from_secs(late);
        let schedule = Schedule::ahead(&case.deployment, now);
        let plan = &case.deployment.terms.plan;
        prop_assert_eq!(schedule.begins.len(), plan.stages.len());
        let dates = plan.stages.iter().zip(&schedule.begins);
        let mut before: Option<(Timestamp, Span)> = None;
        for (stage, begins) in dates {
            let Some(begins) = *begins else {
                prop_assert!(before.is_none(), "a stage without a date after one with");
                continue;
            };
            prop_assert!(begins >= now && plan.allows_raise_at(begins), "{begins}");
            if let Some((earlier, length)) = before {
                let over = earlier + length.duration();
                prop_assert!(begins >= over);
                prop_assert_eq!(plan.raises_from(over), Some(begins));
            }
            before = Some((begins, plan.length_at(stage.weight)));
        }
        if let Some((last, length)) = before {
            prop_assert_eq!(schedule.ends, Some(last + length.duration()));
        }
    }
}

/// Clocks in Berlin go from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October, as Python's
/// zoneinfo has it.
#[test]
fn clocks_that_are_set_open_and_close_windows() {
    for (text, now, opens) in [
        // 02:30 does not come on that Sunday: 03:00 does.
        (
            "Sun 02:30-04:00 Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "2026-03-29T01:00:00Z",
        ),
        // Nothing of it comes on that Sunday.
        (
            "Sun 02:10-02:50 Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "2026-04-05T00:10:00Z",
        ),
        // It comes twice.
        (
            "Sun 02:10-02:50 Europe/Berlin",
            "2026-10-25T00:55:00Z",
            "2026-10-25T01:10:00Z",
        ),
        (
            "Mon-Thu 09:00-17:00 Europe/Berlin",
            "2026-03-05T16:00:00Z",
            "2026-03-09T08:00:00Z",
        ),
        (
            "Fri-Mon 22:00-24:00 UTC",
            "2026-03-03T00:00:00Z",
            "2026-03-06T22:00:00Z",
        ),
        (
            "Mon-Sun 00:00-24:00 UTC",
            "2026-03-03T12:34:56Z",
            "2026-03-03T12:34:56Z",
        ),
    ] {
        assert_eq!(
            window(text).opens_from(at(now)),
            Some(at(opens)),
            "{text} from {now}"
        );
    }
}

fn ahead(case: &Case) -> Schedule {
    Schedule::ahead(&case.deployment, case.now)
}

/// Minutes from now of each stage that is to come, and of the end.
fn minutes_ahead(case: &Case) -> (Vec<i64>, Option<i64>) {
    let schedule = ahead(case);
    let since = |at: &Timestamp| at.duration_since(case.now).as_mins();
    let begins = schedule.begins.iter().flatten().map(since).collect();
    (begins, schedule.ends.as_ref().map(since))
}

/// Stages of ten minutes, the present one for 25 by now, and a soak of 20.
#[test]
fn the_stages_to_come_count_from_now() {
    for (case, begins, ends) in vec![
        // Not provisioned yet: the first one of ten may begin at once.
        (
            Case::pending(),
            vec![0, 10, 20, 30, 40, 50, 60, 70, 80, 90],
            110,
        ),
        // A bake that is long over.
        (Case::baking(70), vec![0, 10, 20], 40),
        // One that has five minutes left.
        (
            Case::baking(70).with(|case| case.deployment.state.stage_since = case.now - minutes(5)),
            vec![5, 15, 25],
            45,
        ),
        // A raise that is committed waits for no bake, and passes stages over.
        (
            Case::scaling(70, 80)
                .with(|case| case.deployment.state.stage_since = case.now - minutes(5)),
            vec![0, 10, 20],
            40,
        ),
        (Case::shifting(20, 100), vec![0], 20),
        // Down to 20 %, which bakes anew.
        (
            Case::retreating(30, 20),
            vec![10, 20, 30, 40, 50, 60, 70, 80],
            100,
        ),
        (Case::paused(Interrupted::Bake, 90, 90), vec![0], 20),
        (Case::soaking(), vec![], 0),
        (
            Case::soaking().with(|case| case.deployment.state.stage_since = case.now - minutes(5)),
            vec![],
            15,
        ),
    ] {
        let state = &case.deployment.state;
        let (phase, from, to) = (state.phase, state.weight, state.target);
        assert_eq!(
            minutes_ahead(&case),
            (begins, Some(ends)),
            "{phase} {from} {to}"
        );
    }
}

#[test]
fn what_goes_down_is_held_up_or_is_over_has_nothing_ahead() {
    let held_up = [
        Case::holding(70),
        Case::soaking().with(|case| case.deployment.state.stall_told = true),
    ];
    let down = [
        Case::descending(25, 25),
        Case::descending(50, 25),
        Case::reverting(30, Outcome::RolledBack),
    ];
    let over = [
        Case::cleaning(Outcome::Completed),
        Case::ended(Outcome::Completed),
        Case::ended(Outcome::Failed),
    ];
    for case in held_up.iter().chain(&down).chain(&over) {
        assert_eq!(minutes_ahead(case), (vec![], None));
    }
}

/// Now is Monday, 10:00:20 UTC.
#[test]
fn a_closed_window_is_waited_for_and_a_hotfix_waits_for_none() {
    let windows = ["Mon 10:00-10:05 UTC", "Tue 09:00-17:00 UTC"];
    let case = Case::baking(80).change_windows(&windows);
    let begins =
        |case: &Case| -> Vec<Timestamp> { ahead(case).begins.into_iter().flatten().collect() };
    assert_eq!(begins(&case), [case.now, at("2026-03-03T09:00:00Z")]);
    assert_eq!(ahead(&case).ends, Some(at("2026-03-03T09:20:00Z")));
    let length = ahead(&case).length().expect("it has an end");
    assert_eq!(length, Span::between(case.now, at("2026-03-03T09:20:00Z")));
    let hotfix = case.with(|case| {
        case.deployment.terms.clearance.hotfix = Some("a wrong price".to_owned());
    });
    assert_eq!(begins(&hotfix), [hotfix.now, hotfix.now + minutes(10)]);
}

/// Samoa left out 30 December 2011, a Friday: the window of that week never opened, the next one did.
#[test]
fn a_day_that_a_zone_leaves_out_is_no_day_of_a_window() {
    let opens = window("Fri 09:00-10:00 Pacific/Apia").opens_from(at("2011-12-29T12:00:00Z"));
    assert_eq!(opens, Some(at("2012-01-05T19:00:00Z")));
}

#[test]
fn lengths_lie_between_the_beginnings() {
    let deployment: Deployment = Case::pending().deployment;
    let schedule = Schedule::ahead(&deployment, accepted_at());
    let lengths: Vec<Option<Span>> = schedule.lengths().collect();
    let mut expected = vec![Some(Span::from_mins(10)); 9];
    expected.push(Some(Span::from_mins(20)));
    assert_eq!(lengths, expected);
}
