//! How bursts are measured, on minutes made by hand, and the sample-ratio check.

use super::super::burstiness::{self, Variation};
use super::super::e_process::MOST_PER_MINUTE;
use super::super::split::Split;

const DAY: u64 = 1_440;

fn variation(bad: impl Fn(u64) -> u64) -> Variation {
    let mut variation = Variation::default();
    for minute in 0..DAY {
        variation.push(bad(minute));
    }
    variation
}

/// 20 a minute, with a spread near that of independent requests.
fn calm(minute: u64) -> u64 {
    [16, 23, 20, 25, 14, 22, 18, 21, 26, 15, 19, 24, 17][(minute * 7 % 13) as usize]
}

#[test]
fn second_differences_by_hand() {
    // 0 and 20 in turn: second differences of 40, so 1600 / 6 each; the mean is 10.
    let variation = variation(|minute| minute % 2 * 20);
    let noise = (3.9f64 / 1_440.0).sqrt() * 0.1;
    let expected = (1600.0 / 6.0 - 10.0) / 100.0 - noise;
    assert!((variation.excess() - expected).abs() < 1e-12);
    assert!(variation.lasting().abs() < f64::EPSILON);
    assert!((burstiness::of_pair(2.0, 3, 2) - 5.0).abs() < 1e-12);
    assert!((burstiness::kappa(2.0, 3, 2) - 7.5).abs() < 1e-12);
}

#[test]
fn too_little_says_nothing() {
    assert!(burstiness::excess_variation(&[]).abs() < f64::EPSILON);
    assert!(burstiness::excess_variation(&[7]).abs() < f64::EPSILON);
    assert!(burstiness::excess_variation(&[0; 100]).abs() < f64::EPSILON);
    assert!(burstiness::excess_variation(&[0, 90, 0, 90, 0, 90, 0, 90, 0]).abs() < f64::EPSILON);
    let ceiling = burstiness::ceiling(0.0, 1, 1);
    assert!((ceiling - MOST_PER_MINUTE).abs() < f64::EPSILON);
}

#[test]
fn a_calm_day_is_no_burst() {
    let calm = variation(calm);
    assert!(calm.excess() < 0.01 && calm.lasting().abs() < f64::EPSILON);
}

/// Five times the errors at noon, in a smooth curve.
#[test]
fn the_curve_of_a_day_is_no_burst() {
    let curve = |minute: u64| calm(minute) * (900 - minute.abs_diff(DAY / 2)) / 180;
    let day = variation(curve);
    assert!(
        day.excess() < 0.03 && day.lasting() < 0.02,
        "{} {}",
        day.excess(),
        day.lasting()
    );
}

#[test]
fn one_incident_is_no_habit() {
    let incident = |minute: u64| calm(minute) * if (700..720).contains(&minute) { 10 } else { 1 };
    let day = variation(incident);
    assert!(day.excess() < 0.03, "{}", day.excess());
    let habit = variation(|minute| {
        calm(minute)
            * if (700..720).contains(&minute) || (100..120).contains(&minute) {
                10
            } else {
                1
            }
    });
    assert!(
        day.lasting() < 0.1 && habit.lasting() > 10.0 * day.lasting(),
        "{} {}",
        day.lasting(),
        habit.lasting()
    );
}

#[test]
fn lasting_bursts_lower_the_ceiling() {
    let bursts = |minute: u64| calm(minute) * if minute % 120 < 4 { 10 } else { 1 };
    let day = variation(bursts);
    assert!(day.lasting() > 0.5, "{}", day.lasting());
    let ceiling = burstiness::ceiling(day.lasting(), 1, 1);
    assert!(ceiling < 0.2, "{ceiling}");
    // A canary on fewer instances bursts more.
    assert!(burstiness::ceiling(0.1, 4, 1) < burstiness::ceiling(0.1, 1, 1));
}

/// A text and back between two minutes changes nothing.
#[test]
fn measuring_goes_on_after_a_restart() {
    let mut straight = Variation::default();
    let mut restarted = Variation::default();
    for minute in 0..200 {
        straight.push(calm(minute) * 3);
        let text = serde_json::to_string(&restarted).expect("it is text");
        restarted = serde_json::from_str(&text).expect("what was written is read");
        restarted.push(calm(minute) * 3);
    }
    assert!((straight.excess() - restarted.excess()).abs() < 1e-12);
    assert!((straight.lasting() - restarted.lasting()).abs() < 1e-12);
}

#[test]
fn a_split_as_intended_stands_and_another_falls() {
    let minutes_to_refute = |share: f64, canary: u64, production: u64| {
        let mut split = Split::default();
        (1..=600).find(|_| {
            split.take_in(share, canary, production);
            split.is_refuted()
        })
    };
    assert_eq!(minutes_to_refute(0.1, 100, 900), None);
    assert_eq!(
        minutes_to_refute(0.1, 115, 885),
        None,
        "within a factor 1.2"
    );
    for (canary, production) in [(300, 700), (20, 980), (0, 1000)] {
        let minutes = minutes_to_refute(0.1, canary, production).expect("not as intended");
        assert!((3..=6).contains(&minutes), "{minutes} for {canary}");
    }
    let mut nothing = Split::default();
    assert!(!nothing.take_in(0.1, 0, 0));
    assert!(!nothing.take_in(0.0, 0, 10) && !nothing.take_in(1.0, 10, 0));
    assert!(!nothing.take_in(f64::NAN, 1, 1));
    assert_eq!(nothing.observed(), None);
}
