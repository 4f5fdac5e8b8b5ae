//! What `inference` adds to the InvokeEndpoint that it makes, round by round, so that a difference is one
//! between neighbours.
//!
//! A round is one InvokeEndpoint from a process that does nothing else, one prediction by `inference`, one
//! event that `inference` refuses at once (what the Runtime API, this program and the machine take by
//! themselves), and one prediction for which it reads the endpoint's records anew, as it does every five
//! seconds. Each round begins with another of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tests::World;

use crate::direct::Direct;
use crate::measure::{Environment, Running, one, start};
use crate::options::Options;
use crate::subject::{Subject, inference, program};

/// Longer than `inference` keeps what it read of an endpoint's records.
const BEYOND_KEPT: SignedDuration = SignedDuration::from_secs(6);

/// One of each.
#[derive(Clone, Copy, Default)]
pub(crate) struct Round {
    /// InvokeEndpoint by the SDK.
    pub(crate) direct: Duration,
    /// A prediction by `inference`.
    pub(crate) prediction: Duration,
    /// An event that it refuses at once.
    pub(crate) refusal: Duration,
    /// A prediction with the records read anew.
    pub(crate) anew: Duration,
}

/// A function with what it is given.
struct Warm {
    subject: Subject,
    running: Running,
}

impl Warm {
    async fn start(subject: Subject, environment: &Environment) -> Self {
        let running = start(&subject, environment).await;
        Self { subject, running }
    }

    async fn one(&mut self, round: usize) -> Duration {
        one(&mut self.running, &self.subject, round).await
    }
}

/// As many rounds as there are warm events.
pub(crate) async fn measure(
    options: &Options,
    world: &World,
    environment: &Environment,
) -> Vec<Round> {
    let subject = |name, request| inference(options, world, name, request);
    let mut clock = Clock::from(world.now());
    let mut own_time = environment.to_vec();
    own_time.push(("CANARY_CLOCK".to_owned(), clock.file.display().to_string()));
    let mut direct = Direct::start(&program(options, "invoke-endpoint"), environment);
    let mut prediction = Warm::start(subject("inference", ("POST", 200)), environment).await;
    let mut refusal = Warm::start(subject("a refusal", ("PUT", 405)), environment).await;
    let mut anew = Warm::start(subject("records anew", ("POST", 200)), &own_time).await;
    let mut rounds = Vec::with_capacity(options.requests);
    // The first one opens connections and reads tags.
    for number in 0..=options.requests {
        if number % 100 == 0 {
            eprint!("\rround {number} of {}", options.requests);
        }
        clock.tick();
        let mut round = Round::default();
        for place in 0..4 {
            match (number + place) % 4 {
                0 => round.direct = direct.one().await,
                1 => round.prediction = prediction.one(number).await,
                2 => round.refusal = refusal.one(number).await,
                _ => round.anew = anew.one(number).await,
            }
        }
        if number > 0 {
            rounds.push(round);
        }
    }
    eprintln!();
    direct.stop().await;
    for warm in [prediction, refusal, anew] {
        warm.running.stop().await;
    }
    rounds
}

/// The time of a function in a file, until this value is dropped.
struct Clock {
    now: Timestamp,
    file: PathBuf,
}

impl Clock {
    fn from(now: Timestamp) -> Self {
        let name = format!("canary-bench-clock-{}", std::process::id());
        let clock = Self {
            now,
            file: Path::new(&std::env::temp_dir()).join(name),
        };
        clock.write();
        clock
    }

    /// Nobody reads it meanwhile.
    fn tick(&mut self) {
        self.now += BEYOND_KEPT;
        self.write();
    }

    fn write(&self) {
        std::fs::write(&self.file, self.now.to_string()).expect("a writable folder");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.file));
    }
}
