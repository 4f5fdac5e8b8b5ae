//! `monitor` under load: its own binary, thousands of running deployments, and an account that takes
//! its time to answer.
//!
//! One deployment is rolled out to its first stage in the usual way; the others are copies of its
//! record under other names, each with an endpoint, a lock and metrics of its own. The simulated
//! clock stands at the wall clock's minute, because the binary reads that one. The first tick makes
//! up for the time that the setting took; the second has one minute to judge and is the one that
//! counts.
//!
//! | module | holds |
//! |---|---|
//! | [`account`] | the account on loopback: answers late, and counts what it is asked |
//! | [`fleet`] | the deployments and their endpoints |
//! | [`process`] | the binary, its events, and what it takes of the machine |

pub mod account;
pub mod fleet;
pub mod process;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use account::{Account, Asked};
use process::Process;

/// A tick, measured.
pub struct Tick {
    /// From the event to its answer.
    pub wall: Duration,
    /// What the account was asked.
    pub asked: Asked,
    /// The most memory the process has had so far, in bytes.
    pub peak: u64,
    /// What the process used of processors, both modes.
    pub cpu: Duration,
    /// Deployments that were judged.
    pub committed: u64,
}

/// Two ticks over so many deployments, with this time for each answer.
///
/// # Panics
/// When the machine has no port, the binary does not start, or a pass fails.
pub async fn measure(binary: &Path, deployments: usize, answer: Duration) -> [Tick; 2] {
    let world = fleet::set(deployments).await;
    let account = Account::open(world.stack.simulator.clone(), answer).await;
    let mut process = Process::start(binary, &world, account.address()).await;
    let mut ticks = Vec::new();
    for _ in 0..2 {
        fleet::come_to_the_next_minute(&world).await;
        account.forget();
        let (started, cpu) = (Instant::now(), process.cpu());
        let report = process.tick().await;
        ticks.push(Tick {
            wall: started.elapsed(),
            asked: account.asked(),
            peak: process.peak(),
            cpu: process.cpu().saturating_sub(cpu),
            committed: report["committed"].as_u64().unwrap_or(0),
        });
    }
    ticks
        .try_into()
        .unwrap_or_else(|_| unreachable!("two ticks"))
}

/// The figures as a table in Markdown.
pub fn table(rows: &[(usize, Tick)]) -> String {
    let mut text = String::from(
        "| deployments | judged | wall, s | processor, s | peak memory, MB | calls | GetMetricData calls | queries | queries / 500 |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (deployments, tick) in rows {
        let queries = tick.asked.queries;
        writeln!(
            text,
            "| {deployments} | {} | {:.2} | {:.2} | {:.0} | {} | {} | {queries} | {:.1} |",
            tick.committed,
            tick.wall.as_secs_f64(),
            tick.cpu.as_secs_f64(),
            tick.peak as f64 / 1_048_576.0,
            tick.asked.calls,
            tick.asked.metric_calls,
            queries as f64 / 500.0,
        )
        .expect("writing to a string does not fail");
    }
    text
}
