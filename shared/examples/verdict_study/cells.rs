//! The cells: which canaries on which endpoints.

use crate::world::{Bursts, Traffic, World};

/// A world with the words it is shown by.
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) world: World,
}

/// 1,000 canary requests a minute, a tenth of the traffic, 0.2 % errors, and nothing unusual.
const PLAIN: World = World {
    per_minute: 1_000.0,
    share: 0.1,
    rate: 0.002,
    canary_rate: 0.002,
    onset: 1,
    bursts: Bursts::Calm,
    traffic: Traffic::Even,
    signals: 1,
    past_limit: (1.0, 1.0),
};

fn cell(name: impl Into<String>, world: World) -> Cell {
    Cell {
        name: name.into(),
        world,
    }
}

const BURSTS: [(&str, Bursts); 7] = [
    ("errors of an arm vary by 50 %", Bursts::OfAnArm(0.25)),
    ("errors of an arm vary by 100 %", Bursts::OfAnArm(1.0)),
    ("errors of an arm vary by 140 %", Bursts::OfAnArm(2.0)),
    ("errors of both arms vary by 100 %", Bursts::Shared(1.0)),
    ("an arm has x10 for 3 min every 2 h", Bursts::Lasting(3.0)),
    ("an arm has x10 for 10 min every 2 h", Bursts::Lasting(10.0)),
    ("both arms have x10 for 20 min", Bursts::Incident),
];

/// Canaries as good as production, and canaries as bad as is tolerated.
pub(crate) fn healthy() -> Vec<Cell> {
    let mut cells = Vec::new();
    for per_minute in [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0] {
        let world = World {
            per_minute,
            ..PLAIN
        };
        cells.push(cell(format!("{per_minute}/min"), world));
    }
    for (percent, rate) in [("0.02", 0.0002), ("2", 0.02), ("20", 0.2)] {
        let world = World {
            rate,
            canary_rate: rate,
            ..PLAIN
        };
        cells.push(cell(format!("1000/min, {percent} % errors"), world));
    }
    for (name, bursts) in BURSTS {
        cells.push(cell(format!("1000/min, {name}"), World { bursts, ..PLAIN }));
    }
    for per_minute in [10.0, 100.0, 10_000.0, 100_000.0] {
        for (name, bursts) in [BURSTS[1], BURSTS[4]] {
            let world = World {
                per_minute,
                bursts,
                ..PLAIN
            };
            cells.push(cell(format!("{per_minute}/min, {name}"), world));
        }
    }
    cells.push(cell(
        "1000/min each arm",
        World {
            share: 0.5,
            ..PLAIN
        },
    ));
    cells.push(cell(
        "staged 1, 10, 50, 90 % of 10000/min",
        World {
            traffic: Traffic::Staged,
            ..PLAIN
        },
    ));
    cells.push(cell(
        "1000/min, four times as many at noon",
        World {
            traffic: Traffic::Daily,
            ..PLAIN
        },
    ));
    for signals in [2, 4, 8] {
        cells.push(cell(
            format!("1000/min, {signals} signals"),
            World { signals, ..PLAIN },
        ));
    }
    for (name, spread) in LATENCIES {
        cells.push(cell(format!("100/min, {name}"), slower(spread, 1.0)));
    }
    let tolerated: Vec<Cell> = cells
        .iter()
        .map(|healthy| {
            let odds = 1.25 * healthy.world.rate / (1.0 - healthy.world.rate);
            let world = World {
                canary_rate: odds / (1.0 + odds),
                ..healthy.world
            };
            cell(format!("{}, as bad as tolerated", healthy.name), world)
        })
        .collect();
    cells.extend(tolerated);
    cells
}

fn of(signals: usize) -> String {
    match signals {
        1 => "1 signal".to_owned(),
        more => format!("{more} signals"),
    }
}

/// Canaries that should go.
pub(crate) fn worse() -> Vec<Cell> {
    let mut cells = Vec::new();
    let rates = [("0.5", 0.005), ("1", 0.01), ("5", 0.05)];
    for signals in [1, 2, 4, 8] {
        for (percent, canary_rate) in rates {
            let world = World {
                canary_rate,
                signals,
                ..PLAIN
            };
            cells.push(cell(
                format!("1000/min, {percent} %, {}", of(signals)),
                world,
            ));
        }
    }
    for onset in [60, 240, 600, 1_440] {
        for (percent, canary_rate) in rates {
            for signals in [1, 2] {
                let world = World {
                    canary_rate,
                    onset,
                    signals,
                    ..PLAIN
                };
                let name = format!("1000/min, {percent} % from minute {onset}, {}", of(signals));
                cells.push(cell(name, world));
            }
        }
    }
    for (per_minute, percent, canary_rate) in [
        (10.0, "5", 0.05),
        (100.0, "1", 0.01),
        (10_000.0, "0.5", 0.005),
        (100_000.0, "0.3", 0.003),
    ] {
        let world = World {
            per_minute,
            canary_rate,
            ..PLAIN
        };
        cells.push(cell(format!("{per_minute}/min, {percent} %"), world));
    }
    for (name, bursts) in BURSTS
        .into_iter()
        .chain([("x10 for 20 min on the day before", Bursts::IncidentBefore)])
    {
        let world = World {
            canary_rate: 0.01,
            bursts,
            ..PLAIN
        };
        cells.push(cell(format!("1000/min, 1 %, {name}"), world));
    }
    for (name, traffic) in [("staged", Traffic::Staged), ("daily curve", Traffic::Daily)] {
        let world = World {
            canary_rate: 0.01,
            traffic,
            ..PLAIN
        };
        cells.push(cell(format!("1000/min, 1 %, {name}"), world));
    }
    for (name, spread) in LATENCIES {
        for factor in [1.2, 1.5] {
            let world = slower(spread, factor);
            cells.push(cell(
                format!("100/min, {factor} times slower, {name}"),
                world,
            ));
        }
    }
    cells
}

/// A latency's distribution: parts of the requests, each lognormal with a median in milliseconds and
/// a spread. The p99 is at 80 ms.
pub(crate) type Spread = [(f64, f64, f64); 2];
pub(crate) const LATENCIES: [(&str, Spread); 2] = [
    ("lognormal latency", [(1.0, 25.0, 0.5), (0.0, 1.0, 1.0)]),
    ("bimodal latency", [(0.9, 10.0, 0.3), (0.1, 56.6, 0.27)]),
];

/// Requests slower than production's own p99, at 1 % of them.
pub(crate) fn slower(spread: Spread, factor: f64) -> World {
    let p99 = latency_at(spread, 0.01);
    let over = |limit: f64, factor: f64| over(spread, limit / factor);
    World {
        per_minute: 100.0,
        rate: over(p99, 1.0),
        canary_rate: over(p99, factor),
        past_limit: (
            over(100.0, 1.0) / over(p99, 1.0),
            over(100.0, factor) / over(p99, factor),
        ),
        ..PLAIN
    }
}

/// The share of requests slower than a limit in milliseconds.
fn over(spread: Spread, limit: f64) -> f64 {
    spread
        .iter()
        .map(|(part, median, sigma)| part * upper_tail((limit / median).ln() / sigma))
        .sum()
}

/// The latency that this share of the requests is slower than, by halving.
pub(crate) fn latency_at(spread: Spread, share: f64) -> f64 {
    let (mut low, mut high) = (0.1f64, 10_000.0f64);
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        if over(spread, middle) > share {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The upper tail of the normal distribution (Abramowitz and Stegun 7.1.26).
fn upper_tail(value: f64) -> f64 {
    let scaled = value.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * scaled);
    let series = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = series * (-scaled * scaled).exp() / 2.0;
    if value < 0.0 { 1.0 - tail } else { tail }
}
