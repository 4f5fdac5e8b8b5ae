//! Runs every case on every backend that is there, and holds the outcomes against the list of gaps.
//!
//! Backends run side by side, the cases of one after another: an emulator is one process, and its
//! log stays readable. Every case has an account of its own, so none sees what another left.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::account::{Account, Backend};
use crate::cases::{self, Case, Running};
use crate::clients;
use crate::gaps;

/// Far more than a case takes, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_mins(2);

/// The other way round, as a case.
const CLIENTS: &str = "boto3 and the AWS CLI take the simulator for AWS";

/// What to run, and where.
pub(crate) struct Wanted {
    backends: Vec<Backend>,
    /// The Python that has boto3 and the AWS CLI.
    clients: Option<PathBuf>,
    /// Case names must hold one of these, if there is any.
    parts: Vec<String>,
}

impl Wanted {
    /// From the command line. The simulator is always there; options that the usual test harness
    /// takes change nothing here.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut backends = vec![Backend::Simulator];
        let (mut clients, mut parts) = (None, Vec::new());
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = |of: &str| {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} needs {of}"))
            };

            match argument.as_str() {
                "--moto" => backends.push(Backend::Moto(value("a URL on loopback")?)),
                "--ministack" => backends.push(Backend::Ministack(value("a URL on loopback")?)),
                "--clients" => clients = Some(PathBuf::from(value("a Python")?)),
                option if option.starts_with('-') => {}
                part => parts.push(part.to_owned()),
            }
        }
        Ok(Self {
            backends,
            clients,
            parts,
        })
    }

    /// How many cases there are on all backends, wanted or not.
    fn most(&self) -> usize {
        cases::all().len() * self.backends.len() + usize::from(self.clients.is_some())
    }

    fn wants(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()))
    }
}

/// How one case ended on one backend, held against the list of gaps.
enum Outcome {
    Passed,
    /// It failed as the list says it must.
    Gap,
    Failed(String),
    /// It is listed and passed, or failed in another way than is listed.
    Stale(String),
}

/// Runs everything and prints what is wrong; the last line is the one that test harnesses print, so
/// that whoever counts tests counts these.
pub(crate) fn run(wanted: &Wanted) -> ExitCode {
    listen_to_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let started = Instant::now();
    let outcomes = runtime.block_on(everywhere(wanted));
    let (mut passed, mut failed, mut gaps) = (0, 0, 0);
    for (backend, case, outcome) in &outcomes {
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Gap => gaps += 1,
            Outcome::Failed(what) => {
                failed += 1;
                println!("FAILED on {backend}: {case}\n    {what}");
            }
            Outcome::Stale(what) => {
                failed += 1;
                println!("STALE GAP on {backend}: {case}\n    {what}");
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let names: Vec<&str> = wanted.backends.iter().map(Backend::name).collect();
    println!(
        "\nconformance on {}: {gaps} known gaps showed as listed",
        names.join(", ")
    );
    println!(
        "test result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; \
         finished in {:.2}s",
        wanted.most() - outcomes.len(),
        started.elapsed().as_secs_f64()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

type Ended = (&'static str, String, Outcome);

async fn everywhere(wanted: &Wanted) -> Vec<Ended> {
    let mut backends = Vec::new();
    for backend in &wanted.backends {
        let chosen: Vec<Case> = cases::all()
            .into_iter()
            .filter(|case| wanted.wants(&case.name))
            .collect();
        backends.push(tokio::spawn(on_one(backend.clone(), chosen)));
    }
    let mut ended = Vec::new();
    if let Some(python) = wanted.clients.as_deref().filter(|_| wanted.wants(CLIENTS)) {
        let outcome = match clients::hold(python).await {
            Ok(()) => Outcome::Passed,
            Err(what) => Outcome::Failed(what),
        };
        ended.push(("simulator", CLIENTS.to_owned(), outcome));
    }
    for backend in backends {
        ended.extend(backend.await.expect("panics are caught case by case"));
    }
    ended
}

async fn on_one(backend: Backend, chosen: Vec<Case>) -> Vec<Ended> {
    let mut ended = Vec::new();
    for (number, case) in chosen.into_iter().enumerate() {
        let started = Instant::now();
        let work: Running = Box::pin({
            let backend = backend.clone();
            let run = case.run;
            async move {
                let account = Arc::new(Account::open(&backend, number, case.service).await);
                run(account).await;
            }
        });
        let found = tokio::time::timeout(PATIENCE, caught(work)).await;
        let found = found.unwrap_or_else(|_| Err(format!("no end within {PATIENCE:?}")));
        let outcome = judged(&backend, case.service, &case.name, found);
        println!(
            "{} {} ... {} ({:.1}s)",
            backend.name(),
            case.name,
            word(&outcome),
            started.elapsed().as_secs_f64()
        );
        ended.push((backend.name(), case.name, outcome));
    }
    ended
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "ok",
        Outcome::Gap => "known gap",
        Outcome::Failed(_) => "FAILED",
        Outcome::Stale(_) => "STALE GAP",
    }
}

fn judged(backend: &Backend, service: &str, case: &str, found: Result<(), String>) -> Outcome {
    let gap = gaps::of(backend.name(), service, case);
    match (gap, found) {
        (None, Ok(())) => Outcome::Passed,
        (None, Err(what)) => Outcome::Failed(what),
        (Some(gap), Ok(())) => Outcome::Stale(format!(
            "it passes now, so this is no gap any more: {}",
            gap.reason
        )),
        (Some(gap), Err(what)) if what.contains(gap.shows) => Outcome::Gap,
        (Some(gap), Err(what)) => Outcome::Stale(format!(
            "it fails in another way than the listed one ({}): {what}",
            gap.shows
        )),
    }
}

thread_local! {
    /// What the last panic on this thread said, with its place.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A failing case is a finding to be judged, not a message on standard error.
fn listen_to_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let said = format!(
            "{} ({})",
            text_of(panic.payload()),
            place.unwrap_or_default()
        );
        SAID.with_borrow_mut(|last| *last = said);
    }));
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

/// The work's end, or what its panic said. A panic is caught on the thread it happened on, so the
/// words are those of this work and of no other.
async fn caught(mut work: Running) -> Result<(), String> {
    poll_fn(
        move |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(SAID.take())),
        },
    )
    .await
}
