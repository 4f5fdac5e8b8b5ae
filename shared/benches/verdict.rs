//! What a verdict costs: one minute of eight signals, taken in and combined. Beside it, what the
//! hourly rank test asks for on as many signals: every pair of 60 by 60 minutes, and two order
//! statistics of their differences.
#![allow(
    missing_docs,
    reason = "criterion's macro writes the group, and nothing else is public"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use shared::domain::baseline::Baseline;
use shared::domain::comparison::{Counts, Settings, Signal, combined, ln_even_part};
use shared::domain::evidence::Evidence;
use shared::domain::judge::bench::{Bench, Instances, Minute};
use shared::domain::observation::ArmMinute;
use shared::domain::plan::Preset;
use shared::domain::policy::Policy;
use shared::domain::quantity::Weight;
use shared::domain::signal::SignalRule;

const SIGNALS: usize = 8;

fn counts(n: u64, x: u64) -> Counts {
    Counts::new(n, x).expect("fewer bad ones than trials")
}

fn verdict(criterion: &mut Criterion) {
    let settings =
        Settings::new(1.25, 5_760, counts(14_400_000, 28_800), 0.1).expect("these are fit");
    let mut signals = vec![Signal::default(); SIGNALS];
    for signal in &mut signals {
        for minute in 0..100 {
            signal.take_in(&settings, counts(1_000, minute % 5), counts(9_000, 18));
        }
    }
    criterion.bench_function("verdict of 8 signals", |bencher| {
        bencher.iter(|| {
            let mut minute = signals.clone();
            for signal in &mut minute {
                signal.take_in(&settings, black_box(counts(1_000, 3)), counts(9_000, 18));
            }
            let part = ln_even_part(SIGNALS);
            combined(minute.iter().map(|signal| (part, signal.ln_e())))
        });
    });
    whole_minute(criterion);
    let arm = |offset: u64| -> Vec<f64> {
        (0..60u64)
            .map(|minute| (minute * 7_919 + offset) as f64 % 101.0)
            .collect()
    };
    let (canary, production) = (arm(3), arm(50));
    criterion.bench_function("8 Mann-Whitney tests of 60 minutes", |bencher| {
        bencher.iter(|| {
            (0..SIGNALS)
                .filter(|_| is_higher(black_box(&canary), &production))
                .count()
        });
    });
}

/// What a tick does with a minute: the guards of the default policy, eight signals, the split, and
/// everything that speaks against the canary.
fn whole_minute(criterion: &mut Criterion) {
    let mut policy = Policy::preset(Preset::Linear);
    let rule = policy.signals.remove(0);
    policy.signals = (0..SIGNALS)
        .map(|index| SignalRule {
            name: format!("signal-{index}"),
            ..rule.clone()
        })
        .collect();
    let baseline = Baseline::default();
    let instances = Instances {
        canary: 2,
        production: 4,
    };
    let bench = Bench::new(&policy, &baseline, 5_760, instances);
    let arm = |invocations, errors_5xx| ArmMinute {
        invocations,
        errors_5xx,
        ..ArmMinute::default()
    };
    let (canary, production) = (arm(1_000, 3), arm(9_000, 18));
    let minute = |index: i64| Minute {
        at: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(index),
        in_stage: true,
        share: Weight::new(10),
        canary: Some(&canary),
        production: Some(&production),
    };
    let mut evidence = Evidence::starting_after(Timestamp::UNIX_EPOCH);
    for index in 1..100 {
        bench.take_in(&mut evidence, minute(index));
    }
    criterion.bench_function("a minute of the bench: 4 guards, 8 signals", |bencher| {
        bencher.iter(|| {
            let mut evidence = evidence.clone();
            bench.take_in(&mut evidence, black_box(minute(100)));
            bench.breaches(&evidence)
        });
    });
}

/// Whether the 98 % interval of the shift lies above zero.
fn is_higher(canary: &[f64], production: &[f64]) -> bool {
    let mut shifts: Vec<f64> = canary
        .iter()
        .flat_map(|canary| production.iter().map(move |production| canary - production))
        .collect();
    let (_, estimate, _) = shifts.select_nth_unstable_by(1_800, f64::total_cmp);
    let estimate = *estimate;
    let (_, low, _) = shifts.select_nth_unstable_by(1_356, f64::total_cmp);
    *low > 0.25 * estimate.abs()
}

criterion_group!(benches, verdict);
criterion_main!(benches);
