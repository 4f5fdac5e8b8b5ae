//! The measurements themselves.

use std::process::Stdio;
use std::time::{Duration, Instant};

use simulator::{Outcome, RuntimeApi};
use tokio::process::{Child, Command};

use crate::subject::Subject;

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// One cold start.
#[derive(Clone, Copy)]
pub(crate) struct Cold {
    /// From the start of the process to its first request for an event.
    pub(crate) first_poll: Duration,
    /// From there to its first answer, with the event already waiting.
    pub(crate) first_answer: Duration,
}

/// Resident memory.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// In all, KiB.
    pub(crate) resident: u64,
    /// With pages that other processes have too counted in part, KiB.
    pub(crate) proportional: u64,
}

/// Warm events, one after another.
pub(crate) struct Warm {
    /// From an event to its answer, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// After the last.
    pub(crate) memory: Memory,
}

/// A function that has started.
pub(crate) struct Running {
    api: RuntimeApi,
    child: Child,
    started: Instant,
}

/// The variables of every function.
pub(crate) type Environment = [(String, String)];

/// Starts it.
pub(crate) async fn start(subject: &Subject, environment: &Environment) -> Running {
    let api = RuntimeApi::start().await.expect("a free port");
    let mut command = Command::new(&subject.program);
    command
        .args(&subject.arguments)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "under-measurement")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .envs(subject.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let started = Instant::now();
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", subject.program.display()));
    Running {
        api,
        child,
        started,
    }
}

impl Running {
    fn memory(&self) -> Memory {
        let pid = self.child.id().expect("a running child");
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .expect("a process of ours");
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Memory {
            resident: kib("Rss:"),
            proportional: kib("Pss:"),
        }
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        self.child.kill().await.expect("a child of ours");
    }
}

/// A wake for nobody's deployment fails, as it should; everything else has to be answered.
fn check(subject: &Subject, outcome: Option<Outcome>) {
    let fits = match outcome.expect("the Runtime API runs") {
        Outcome::Answered(answer) => {
            answer["statusCode"] == subject.status
                || subject.event["detail-type"] == "Scheduled Event"
        }
        Outcome::Failed { .. } => subject.event["deployment_id"].is_string(),
    };
    assert!(fits, "{} does not do its work", subject.name);
}

/// Starts it with the event waiting.
pub(crate) async fn cold(subject: &Subject, environment: &Environment) -> Cold {
    let running = start(subject, environment).await;
    let Running {
        api,
        mut child,
        started,
    } = running;
    let poll = async {
        api.polled().await;
        started.elapsed()
    };
    let answer = async {
        let outcome = api.invoke("first", subject.event.to_string()).await;
        (started.elapsed(), outcome)
    };
    let (first_poll, (first_answer, outcome)) = tokio::select! {
        both = async { tokio::join!(poll, answer) } => both,
        ended = child.wait() => panic!("{} ended: {ended:?}", subject.name),
        () = tokio::time::sleep(PATIENCE) => panic!("{} hangs", subject.name),
    };
    check(subject, outcome);
    child.kill().await.expect("a child of ours");
    Cold {
        first_poll,
        first_answer,
    }
}

/// What it holds when it asks for its first event.
pub(crate) async fn memory_after_start(subject: &Subject, environment: &Environment) -> Memory {
    let running = start(subject, environment).await;
    running.api.polled().await;
    let memory = running.memory();
    running.stop().await;
    memory
}

/// So many events to each, in turns.
pub(crate) async fn warm(
    subjects: &[Subject],
    environment: &Environment,
    requests: usize,
) -> Vec<Warm> {
    let mut all = Vec::new();
    for subject in subjects {
        let mut running = start(subject, environment).await;
        // The first one opens connections; it is counted as part of the cold start.
        one(&mut running, subject, 0).await;
        all.push((running, Vec::with_capacity(requests)));
    }
    for request in 1..=requests {
        if request % 100 == 0 {
            eprint!("\rwarm event {request} of {requests}");
        }
        for (subject, (running, latencies)) in subjects.iter().zip(&mut all) {
            latencies.push(one(running, subject, request).await);
        }
    }
    eprintln!();
    let mut measured = Vec::new();
    for (running, mut latencies) in all {
        latencies.sort_unstable();
        let memory = running.memory();
        running.stop().await;
        measured.push(Warm { latencies, memory });
    }
    measured
}

/// From an event to its answer.
pub(crate) async fn one(running: &mut Running, subject: &Subject, number: usize) -> Duration {
    let Running { api, child, .. } = running;
    let (id, event) = (format!("event-{number}"), subject.event.to_string());
    let started = Instant::now();
    let outcome = tokio::select! {
        outcome = api.invoke(&id, event) => outcome,
        ended = child.wait() => panic!("{} ended: {ended:?}", subject.name),
        () = tokio::time::sleep(PATIENCE) => panic!("{} hangs", subject.name),
    };
    let took = started.elapsed();
    check(subject, outcome);
    took
}
