//! The default policy as a whole: the guards of the `linear` preset and the comparison of errors and
//! slowness together, on healthy canaries.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution as _};
use shared::domain::comparison::{Counts, burstiness};
use shared::domain::comparison::{Signal, calls_for_rollback, combined, ln_even_part};
use shared::domain::evidence::GuardState;
use shared::domain::guard;
use shared::domain::observation::{ArmMinute, LatencyMinute, limit_key};
use shared::domain::plan::Preset;
use shared::domain::policy::Policy;
use shared::domain::quantity::Latency;

use crate::cells::{LATENCIES, Spread, latency_at, slower};
use crate::world::{Bursts, MINUTES, Minute, Stream, Traffic, World};
use crate::{SEED, in_parallel, settings};

/// False rollbacks in percent: by the guards, by the comparison, by either; and by either when a
/// guard's window spans more minutes where errors come in bursts.
pub(crate) struct Whole {
    pub(crate) name: String,
    pub(crate) by_guards: f64,
    pub(crate) by_comparison: f64,
    pub(crate) by_either: f64,
    pub(crate) by_either_widened: f64,
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
        let mut counts = [0u32; 4];
        for number in 0..rollouts {
            let seed = SEED ^ ((index as u64 + 5_001) << 32) ^ number;
            let mut chance = ChaCha8Rng::seed_from_u64(seed);
            let [guards, comparison, widened] = rollout(case, &mut chance);
            for (count, happened) in counts.iter_mut().zip([
                guards,
                comparison,
                guards || comparison,
                widened || comparison,
            ]) {
                *count += u32::from(happened);
            }
        }
        let percent = counts.map(|count| 100.0 * f64::from(count) / rollouts as f64);
        Whole {
            name: case.name.clone(),
            by_guards: percent[0],
            by_comparison: percent[1],
            by_either: percent[2],
            by_either_widened: percent[3],
        }
    })
}

/// Whether the guards, the comparison and the widened guards roll back.
fn rollout(case: &Case, chance: &mut ChaCha8Rng) -> [bool; 3] {
    let policy = Policy::preset(Preset::Linear);
    let mut streams = [
        Stream::new(case.errors, false, chance),
        Stream::new(case.slowness, false, chance),
    ];
    let histories = streams.each_mut().map(|stream| stream.history(chance));
    let settings = histories.each_ref().map(|history| settings(history));
    let bad: Vec<u64> = histories[0].iter().map(|minute| minute.x()).collect();
    let raw = burstiness::of_pair(burstiness::excess_variation(&bad), 1, 1);
    let span = (2.0 * raw).ceil().max(1.0);
    let wide = policy.min_samples as f64 + (span - 1.0) * case.errors.per_minute;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of requests"
    )]
    let samples = [policy.min_samples, wide as u64];
    let mut guards = samples.map(|_| vec![GuardState::default(); policy.guards.len()]);
    let mut signals = [Signal::default(), Signal::default()];
    let mut rolled_back = [false; 3];
    for minute in 1..=MINUTES {
        let [errors, slowness] = streams.each_mut().map(|stream| stream.next(minute, chance));
        for ((signal, settings), seen) in signals.iter_mut().zip(&settings).zip([errors, slowness])
        {
            signal.take_in(settings, seen.canary, seen.production);
        }
        let evidence = combined(
            signals
                .iter()
                .map(|signal| (ln_even_part(2), signal.ln_e())),
        );
        rolled_back[1] |= calls_for_rollback(evidence, policy.comparison.alpha);
        let (canary, production) = arms(case, &errors, &slowness, chance);
        for ((states, samples), at) in guards.iter_mut().zip(samples).zip([0, 2]) {
            for (rule, state) in policy.guards.iter().zip(states) {
                guard::take_in(rule, state, &canary, Some(&production), samples);
                rolled_back[at] |= guard::has_tripped(rule, state);
            }
        }
        if rolled_back == [true; 3] {
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
