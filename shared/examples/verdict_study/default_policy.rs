//! The default policy as a whole: the guards of the `linear` preset and the comparison of errors and
//! slowness together, on healthy canaries.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution as _};
use shared::domain::baseline::Baseline;
use shared::domain::comparison::Counts;
use shared::domain::evidence::Evidence;
use shared::domain::judge::bench::{self, Bench, Instances};
use shared::domain::observation::{ArmMinute, LatencyMinute, limit_key};
use shared::domain::plan::Preset;
use shared::domain::policy::Policy;
use shared::domain::quantity::Latency;
use shared::domain::signal::{CLIENT_ERRORS, ERRORS, SLOWNESS};

use crate::cells::{LATENCIES, Spread, latency_at, slower};
use crate::world::{Bursts, MINUTES, Minute, Stream, Traffic, World};
use crate::{LONGEST, SEED, in_parallel};

/// False rollbacks in percent: by the guards, by the comparison, by either.
pub(crate) struct Whole {
    pub(crate) name: String,
    pub(crate) by_guards: f64,
    pub(crate) by_comparison: f64,
    pub(crate) by_either: f64,
}

struct Case {
    name: String,
    errors: World,
    slowness: World,
    spread: Spread,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (latency, spread) in LATENCIES {
        for per_minute in [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0] {
            cases.push(case(
                format!("{per_minute}/min, {latency}"),
                per_minute,
                Bursts::Calm,
                spread,
            ));
        }
    }
    let spread = LATENCIES[0].1;
    for per_minute in [100.0, 1_000.0, 10_000.0] {
        for (name, bursts) in [
            ("errors of an arm vary by 50 %", Bursts::OfAnArm(0.25)),
            ("errors of an arm vary by 100 %", Bursts::OfAnArm(1.0)),
            ("errors of an arm vary by 140 %", Bursts::OfAnArm(2.0)),
            ("an arm has x10 for 3 min every 2 h", Bursts::Lasting(3.0)),
            ("both arms have x10 for 20 min", Bursts::Incident),
        ] {
            cases.push(case(
                format!("{per_minute}/min, {name}"),
                per_minute,
                bursts,
                spread,
            ));
        }
    }
    cases
}

fn case(name: String, per_minute: f64, bursts: Bursts, spread: Spread) -> Case {
    let slowness = World {
        per_minute,
        ..slower(spread, 1.0)
    };
    let errors = World {
        per_minute,
        rate: 0.002,
        canary_rate: 0.002,
        bursts,
        past_limit: (1.0, 1.0),
        traffic: Traffic::Even,
        ..slowness
    };
    Case {
        name,
        errors,
        slowness,
        spread,
    }
}

/// Every case's false rollbacks.
pub(crate) fn study(rollouts: u64) -> Vec<Whole> {
    in_parallel(&cases(), |index, case| {
        let mut counts = [0u32; 3];
        for number in 0..rollouts {
            let seed = SEED ^ ((index as u64 + 5_001) << 32) ^ number;
            let mut chance = ChaCha8Rng::seed_from_u64(seed);
            let [guards, comparison] = rollout(case, &mut chance);
            let happened = [guards, comparison, guards || comparison];
            for (count, happened) in counts.iter_mut().zip(happened) {
                *count += u32::from(happened);
            }
        }
        let percent = counts.map(|count| 100.0 * f64::from(count) / rollouts as f64);
        Whole {
            name: case.name.clone(),
            by_guards: percent[0],
            by_comparison: percent[1],
            by_either: percent[2],
        }
    })
}

/// Whether the guards, and whether the comparison, roll back: judged by the bench that judges a
/// live deployment.
fn rollout(case: &Case, chance: &mut ChaCha8Rng) -> [bool; 2] {
    let mut policy = Policy::preset(Preset::Linear);
    policy.signals.retain(|rule| rule.name != CLIENT_ERRORS);
    let mut streams = [
        Stream::new(case.errors, false, chance),
        Stream::new(case.slowness, false, chance),
    ];
    let histories = streams.each_mut().map(|stream| stream.history(chance));
    let mut baseline = Baseline::default();
    for (name, history) in [ERRORS, SLOWNESS].into_iter().zip(&histories) {
        let past = baseline.signals.entry(name.to_owned()).or_default();
        for minute in history {
            past.take_in(*minute);
        }
    }
    let instances = Instances {
        canary: 1,
        production: 1,
    };
    let bench = Bench::new(&policy, &baseline, LONGEST, instances);
    let mut evidence = Evidence::starting_after(Timestamp::UNIX_EPOCH);
    let mut rolled_back = [false; 2];
    for minute in 1..=MINUTES {
        let [errors, slowness] = streams.each_mut().map(|stream| stream.next(minute, chance));
        let (mut canary, mut production) = arms(case, &errors, &slowness, chance);
        canary.checks.insert(SLOWNESS.to_owned(), slowness.canary);
        production
            .checks
            .insert(SLOWNESS.to_owned(), slowness.production);
        let at =
            Timestamp::UNIX_EPOCH + SignedDuration::from_mins(i64::try_from(minute).unwrap_or(0));
        let seen = |arm: &ArmMinute| arm.invocations > 0;
        bench.take_in(
            &mut evidence,
            bench::Minute {
                at,
                in_stage: true,
                share: None,
                canary: Some(&canary).filter(|arm| seen(arm)),
                production: Some(&production).filter(|arm| seen(arm)),
            },
        );
        for breach in bench.breaches(&evidence) {
            let by_signal = policy.signals.iter().any(|rule| rule.name == breach.name);
            rolled_back[usize::from(by_signal)] = true;
        }
        if rolled_back == [true; 2] {
            break;
        }
    }
    rolled_back
}

fn arms(
    case: &Case,
    errors: &Minute,
    slowness: &Minute,
    chance: &mut ChaCha8Rng,
) -> (ArmMinute, ArmMinute) {
    let mut arm = |errors: Counts, over_limit: u64| {
        let limit = Latency::from_ms(100.0).expect("above zero");
        ArmMinute {
            invocations: errors.n(),
            errors_5xx: errors.x(),
            latency: (errors.n() > 0).then(|| LatencyMinute {
                samples: errors.n(),
                p99_ms: p99(case.spread, errors.n(), chance),
                slower_than: BTreeMap::from([(limit_key(limit), over_limit)]),
                ..LatencyMinute::default()
            }),
            ..ArmMinute::default()
        }
    };
    (
        arm(errors.canary, slowness.canary_past_limit),
        // No guard counts production's slow requests.
        arm(errors.production, 0),
    )
}

/// The p99 of a minute's sample: an order statistic, whose place in the distribution is Beta.
fn p99(spread: Spread, requests: u64, chance: &mut ChaCha8Rng) -> f64 {
    let above = (requests as f64 * 0.01).floor() + 1.0;
    let below = requests as f64 - above + 1.0;
    let upper = Beta::new(above, below.max(1.0)).map_or(0.01, |beta| beta.sample(chance));
    latency_at(spread, upper)
}
