//! Numbers with units, plans, change windows, presets and names.

use crate::domain::calendar::ChangeWindow;
use crate::domain::deployment::Deployment;
use crate::domain::observation::limit_key;
use crate::domain::plan::{Plan, PlanError, Preset, Stage};
use crate::domain::policy::{Percentile, Policy};
use crate::domain::quantity::{Latency, Rate, Span, Weight};

use super::builders::*;

#[test]
fn rates_carry_a_percent_sign() {
    let fraction = |text: &str| text.parse::<Rate>().map(Rate::fraction);
    for (text, expected) in [
        ("1%", 0.01),
        ("0%", 0.0),
        ("100%", 1.0),
        ("0.5%", 0.005),
        (" 2.5 % ", 0.025),
    ] {
        assert_eq!(fraction(text), Ok(expected), "{text}");
    }
    for text in [
        "0.01",
        "1",
        "",
        "%",
        "-1%",
        "101%",
        "NaN%",
        "inf%",
        "1e1%",
        "1 percent",
        "1%%",
        "1.2.3%",
        "٣%",
        "+1%",
    ] {
        let refusal = fraction(text).unwrap_err().to_string();
        assert!(refusal.contains("like \"1%\""), "{refusal}");
    }
    for wrong in [f64::NAN, f64::INFINITY, -0.1, 100.1] {
        assert_eq!(Rate::from_percent(wrong), None);
    }
    assert_eq!(Rate::from_percent(0.1).unwrap().to_string(), "0.1%");
}

#[test]
fn latencies_are_milliseconds_above_zero() {
    let ms = |text: &str| text.parse::<Latency>().map(Latency::ms);
    for (text, expected) in [
        ("100ms", 100.0),
        ("1.5s", 1500.0),
        ("0.5ms", 0.5),
        (" 2 s ", 2000.0),
    ] {
        assert_eq!(ms(text), Ok(expected), "{text}");
    }
    for text in [
        "100", "0ms", "-1ms", "NaNms", "infs", "1e3ms", "1m", "ms", "s", "",
    ] {
        assert!(
            ms(text).unwrap_err().to_string().contains("like \"100ms\""),
            "{text}"
        );
    }
    assert_eq!(
        (limit_key(latency(100.0)), limit_key(latency(0.1))),
        (100_000, 100),
        "microseconds, CloudWatch's unit"
    );
}

#[test]
fn spans_are_whole_numbers_with_one_unit() {
    for (text, seconds, shown) in [
        ("90s", 90, "90s"),
        ("10m", 600, "10m"),
        ("60m", 3600, "1h"),
        ("24h", 86_400, "1d"),
        ("7d", 604_800, "7d"),
        ("0s", 0, "0s"),
    ] {
        let span: Span = text.parse().unwrap();
        assert_eq!((span.secs(), span.to_string().as_str()), (seconds, shown));
    }
    for text in [
        "",
        "10",
        "m",
        "1.5h",
        "-1h",
        "1h30m",
        "10 m",
        "1w",
        "1é",
        "99999999999999999999d",
        "367d",
        "8785h",
    ] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    assert_eq!("366d".parse::<Span>(), Ok(Span::LONGEST));
    assert_eq!(
        Span::between(now(), now() - minutes(1)),
        Span::ZERO,
        "a negative difference is no time"
    );
    assert_eq!(Span::between(now() - minutes(1), now()), Span::from_mins(1));
}

#[test]
fn errors_repeat_what_was_written_only_as_far_as_it_is_safe() {
    let refusal = format!("\u{1b}[31m{}", "9".repeat(500))
        .parse::<Rate>()
        .unwrap_err()
        .to_string();
    assert!(
        !refusal.contains('\u{1b}') && refusal.len() < 200,
        "{refusal}"
    );
}

#[test]
fn weights_are_whole_percent() {
    assert_eq!(Weight::new(101), None);
    assert_eq!(
        (weight(5).fraction(), weight(5).to_string()),
        (0.05, "5 %".to_owned())
    );
    assert!(serde_json::from_str::<Weight>("101").is_err());
    assert!(serde_json::from_str::<Weight>("-1").is_err());
    assert!(serde_json::from_str::<Weight>("1.5").is_err());
    assert_eq!(serde_json::from_str::<Weight>("100").unwrap(), Weight::FULL);
}

fn stage(percent: u8, bake: Span) -> Stage {
    Stage {
        weight: weight(percent),
        bake,
        approval: false,
        min_labels: 0,
    }
}

#[test]
fn a_plan_rises_strictly_to_full_traffic() {
    let hour = Span::from_hours(1);
    let plan = |stages: &[(u8, Span)], deadline: Span| {
        Plan::new(
            stages
                .iter()
                .map(|(percent, bake)| stage(*percent, *bake))
                .collect(),
            hour,
            deadline,
            Vec::new(),
        )
        .map(|plan| plan.shortest())
    };
    assert_eq!(
        plan(&[(5, hour), (50, hour), (100, Span::ZERO)], Plan::DEADLINE),
        Ok(Span::from_hours(2))
    );
    assert_eq!(plan(&[(100, Span::ZERO)], Plan::DEADLINE), Ok(Span::ZERO));
    let refusals = [
        (plan(&[], Plan::DEADLINE), PlanError::Empty),
        (
            plan(&vec![(1, hour); 101], Plan::DEADLINE),
            PlanError::TooMany(101),
        ),
        (
            plan(&[(0, hour), (100, hour)], Plan::DEADLINE),
            PlanError::NotRising {
                stage: 1,
                weight: 0,
                before: 0,
            },
        ),
        (
            plan(&[(5, hour), (5, hour), (100, hour)], Plan::DEADLINE),
            PlanError::NotRising {
                stage: 2,
                weight: 5,
                before: 5,
            },
        ),
        (
            plan(&[(5, hour), (50, hour)], Plan::DEADLINE),
            PlanError::NotFull(50),
        ),
        (
            plan(&[(5, Span::ZERO), (100, hour)], Plan::DEADLINE),
            PlanError::NoBake { stage: 1 },
        ),
        (
            plan(&[(5, hour), (100, hour)], hour),
            PlanError::PastDeadline {
                needed: hour,
                deadline: hour,
            },
        ),
    ];
    for (found, expected) in refusals {
        assert_eq!(found, Err(expected));
    }
}

#[test]
fn a_share_by_hand_takes_the_bake_of_the_stage_it_has_passed() {
    let plan = terms().plan;
    let index = |percent: u8| plan.stage_index(weight(percent));
    assert_eq!(
        [0, 9, 10, 19, 20, 99, 100].map(index),
        [0, 0, 0, 0, 1, 8, 9]
    );
    assert_eq!(plan.stage_above(weight(0)).unwrap().weight, weight(10));
    assert_eq!(plan.stage_above(weight(33)).unwrap().weight, weight(40));
    assert_eq!(plan.stage_above(Weight::FULL), None);
}

#[test]
fn the_presets_are_as_written() {
    let text = |preset: Preset| {
        let stages: Vec<String> = preset
            .stages()
            .iter()
            .map(|stage| format!("{} {}", stage.weight.percent(), stage.bake))
            .collect();
        let guards: Vec<String> = Policy::preset(preset)
            .guards
            .iter()
            .map(|guard| format!("{} {:?}", guard.name, guard.sustain))
            .collect();
        (stages.join(", "), guards.join(", "))
    };
    let (stages, guards) = text(Preset::Linear);
    assert_eq!(
        stages,
        "10 10m, 20 10m, 30 10m, 40 10m, 50 10m, 60 10m, 70 10m, 80 10m, 90 10m, 100 0s"
    );
    assert_eq!(
        guards,
        "error_rate.limit Checks(2), error_rate.worse_by Checks(2), latency_p99.limit Checks(3), latency_p99.ratio Checks(3)"
    );
    let (stages, guards) = text(Preset::Playbook);
    assert_eq!(stages, "5 1h, 10 3h, 25 20h, 50 1d, 100 0s");
    assert_eq!(
        guards,
        "error_rate.limit Checks(2), latency_p95.ratio Checks(3), error_rate.emergency For(Span(300)), latency_p95.emergency For(Span(300))"
    );
    let (stages, guards) = text(Preset::Quick);
    assert_eq!(stages, "5 30m, 25 1h, 100 0s");
    assert_eq!(
        guards,
        "error_rate.limit Checks(2), latency_p95.limit Checks(3)"
    );
    let (stages, guards) = text(Preset::Phased);
    assert_eq!(stages, "1 1d, 10 12h, 50 6h, 100 0s");
    assert_eq!(
        guards,
        "error_rate.limit For(Span(300)), latency_p95.ratio For(Span(600)), latency_p95.emergency For(Span(300))"
    );
    for preset in [
        Preset::Linear,
        Preset::Playbook,
        Preset::Quick,
        Preset::Phased,
    ] {
        let plan = Plan::new(preset.stages(), preset.soak(), Plan::DEADLINE, Vec::new())
            .expect("a preset is a plan");
        let soak = match preset {
            // In production within two hours, by the second document.
            Preset::Quick => Span::from_mins(10),
            _ => Span::from_hours(24),
        };
        assert_eq!(plan.soak, soak, "{preset:?}");
        let policy = Policy::preset(preset);
        assert_eq!(
            (policy.min_samples, policy.blind_limit),
            (500, Span::from_mins(10))
        );
        assert!(policy.judges_latency());
        let limits = policy.latency_limits();
        assert_eq!(
            limits.len(),
            usize::from(preset != Preset::Phased),
            "{preset:?}"
        );
    }
    assert_eq!(
        Percentile::ALL.map(|percentile| percentile.to_string()),
        ["p50", "p90", "p95", "p99"]
    );
}

#[test]
fn linear_stages_end_at_full_traffic_from_anywhere() {
    let percents = |initial: u8, step: u8| -> Vec<u8> {
        Plan::linear_stages(weight(initial), weight(step), Span::from_mins(10))
            .iter()
            .map(|stage| stage.weight.percent())
            .collect()
    };
    assert_eq!(percents(30, 40), [30, 70, 100]);
    assert_eq!(percents(99, 100), [99, 100]);
    assert_eq!(percents(100, 10), [100]);
    assert_eq!(
        percents(98, 0),
        [98, 99, 100],
        "a step of nothing would never end"
    );
}

#[test]
fn change_windows_follow_the_local_clock() {
    let open = |window: &str, at: &str| {
        window
            .parse::<ChangeWindow>()
            .unwrap()
            .is_open(at.parse().unwrap())
    };
    // 2026-03-02 is a Monday; Berlin is an hour ahead of UTC in winter, two in summer.
    let office = "Mon-Thu 09:00-17:00 Europe/Berlin";
    for (at, expected) in [
        ("2026-03-02T07:59:59Z", false),
        ("2026-03-02T08:00:00Z", true),
        ("2026-03-02T15:59:59Z", true),
        ("2026-03-02T16:00:00Z", false),
        ("2026-03-05T12:00:00Z", true),
        ("2026-03-06T12:00:00Z", false),
        ("2026-07-06T07:00:00Z", true),
        ("2026-07-06T15:00:00Z", false),
    ] {
        assert_eq!(open(office, at), expected, "{at}");
    }
    assert!(
        open("Fri-Mon 00:00-24:00 UTC", "2026-03-01T23:59:59Z"),
        "the week wraps"
    );
    assert!(!open("Fri-Mon 00:00-24:00 UTC", "2026-03-03T00:00:00Z"));
    assert!(open("Mon 10:00-11:00 UTC", "2026-03-02T10:30:00Z"));
}

#[test]
fn change_windows_that_cannot_be_are_refused() {
    for text in [
        "",
        "Mon-Thu",
        "Mon-Thu 09:00-17:00",
        "Mo-Do 09:00-17:00 UTC",
        "Mon 17:00-09:00 UTC",
        "Mon 09:00-09:00 UTC",
        "Mon 9-17 UTC",
        "Mon 09:00-25:00 UTC",
        "Mon 09:00-17:00 Mars/Base",
    ] {
        let refusal = text.parse::<ChangeWindow>().unwrap_err().to_string();
        assert!(refusal.contains("write it like"), "{refusal}");
    }
    let window: ChangeWindow = serde_json::from_str("\"Mon-Thu  09:00-17:00 UTC\"").unwrap();
    assert_eq!(
        serde_json::to_string(&window).unwrap(),
        "\"Mon-Thu 09:00-17:00 UTC\""
    );
}

/// 1 to 63 characters, `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`.
pub(super) fn assert_is_a_name(name: &str) {
    assert!(
        (1..=63).contains(&name.len()),
        "{name} has {} characters",
        name.len()
    );
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        "{name}"
    );
    assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
}

#[test]
fn names_are_unique_to_the_deployment_and_fit() {
    let id = "019c0000-0000-7000-8000-00000a1b2c3d";
    let names = Deployment::names("wine", id);
    assert_eq!(
        (
            names.canary.as_str(),
            names.canary_config.as_str(),
            names.final_config.as_str()
        ),
        (CANARY, CANARY_CONFIG, FINAL)
    );
    let hyphens = format!("{}-{}", "a".repeat(46), "b".repeat(16));
    for endpoint in ["a", &"x".repeat(63), &hyphens] {
        let names = Deployment::names(endpoint, id);
        for name in [names.canary, names.canary_config, names.final_config] {
            assert_is_a_name(&name);
        }
    }
}
