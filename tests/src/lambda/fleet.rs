//! A whole stack of processes over the account of a world: the schedule wakes `monitor`, `monitor` wakes
//! the others through Lambda's own API, and nobody learns anything but from AWS.
//!
//! A function has no process until its first event, and a new one after it ended. The processes read the
//! test's clock from a file, which is written whenever the clock was moved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::{Function, Outcome, service};
use tokio::sync::{Mutex, Notify};

use super::process::{Line, Log, Process};
use super::{Account, PATIENCE, environment, events};
use crate::World;

/// The role that deploys, as the events say.
pub const OPERATOR: &str = "Release";
/// The role that asks for predictions.
pub const INVOKER: &str = "Shop";

/// Variables of the environment, by name.
type Settings = &'static [(&'static str, &'static str)];

/// The functions: where an event finds them, their binaries, and what sets two of one binary apart.
const FUNCTIONS: [(&str, &str, Settings); 6] = [
    ("canary-deploy", "deploy", &[("CANARY_MODE", "api")]),
    (
        "canary-provision",
        "deploy",
        &[("CANARY_MODE", "provision")],
    ),
    ("canary-monitor", "monitor", &[]),
    ("canary-traffic-shift", "traffic-shift", &[]),
    ("canary-rollback", "rollback", &[]),
    ("canary-inference", "inference", &[]),
];

/// The stack.
pub struct Fleet {
    /// The account, the endpoint with its traffic, and the clock.
    pub world: World,
    functions: BTreeMap<&'static str, Arc<Deployed>>,
    clock: PathBuf,
    log: Log,
    /// Ends with this value.
    _account: Account,
}

/// A function: one process at a time.
struct Deployed {
    name: &'static str,
    program: PathBuf,
    environment: Vec<(String, String)>,
    process: Mutex<Option<Process>>,
    starts: AtomicU32,
    power_cut: Notify,
    log: Log,
}

/// The binary of a function, beside this program or, where this is a test, one folder up.
///
/// # Panics
/// When it was not built: `cargo test --workspace` builds them all, `cargo test --package tests` none.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program's own binary");
    let folder = own.parent().expect("a file lies in a folder");
    let profile = folder.parent().filter(|_| folder.ends_with("deps"));
    let program = profile.unwrap_or(folder).join(name);
    assert!(
        program.exists(),
        "{} is not built; add `--package {name}` to cargo's arguments, or take `--workspace`",
        program.display()
    );
    program
}

impl Fleet {
    /// The stack over this world, logging at this level.
    pub async fn over(world: World, level: &str) -> Self {
        let account = Account::serve(&world.stack.simulator).await;
        let clock = clock_file();
        let log = Log::default();
        let mut shared = environment(&world, &account);
        shared.push(("CANARY_CLOCK".to_owned(), clock.display().to_string()));
        shared.push(("RUST_LOG".to_owned(), level.to_owned()));
        let functions = FUNCTIONS.map(|(name, binary, own)| {
            let own = own
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let deployed = Deployed {
                name,
                program: built(binary),
                environment: shared.iter().cloned().chain(own).collect(),
                process: Mutex::default(),
                starts: AtomicU32::default(),
                power_cut: Notify::new(),
                log: Arc::clone(&log),
            };
            (name, Arc::new(deployed))
        });
        let fleet = Self {
            world,
            functions: functions.into(),
            clock,
            log,
            _account: account,
        };
        fleet.tag_the_endpoint();
        fleet.take_invokes();
        fleet.tell_the_time();
        fleet
    }

    /// Lambda's API hands an async invoke to the process.
    fn take_invokes(&self) {
        for (name, deployed) in &self.functions {
            let deployed = Arc::clone(deployed);
            let function: Function = Arc::new(move |event| {
                let deployed = Arc::clone(&deployed);
                Box::pin(async move {
                    match deployed.invoke(&event).await {
                        Outcome::Answered(answer) => Ok(answer),
                        Outcome::Failed { kind, message } => Err(format!("{kind}: {message}")),
                    }
                })
            });
            self.world.simulator().register_function(name, function);
        }
    }

    /// The endpoint's owners let these roles in.
    fn tag_the_endpoint(&self) {
        let tags = [
            ("canary:enabled", "true"),
            ("canary:deployers", OPERATOR),
            ("canary:approvers", OPERATOR),
            ("canary:invokers", INVOKER),
        ];
        let tags = tags.map(|(key, value)| json!({"Key": key, "Value": value}));
        let request = json!({"ResourceArn": events::endpoint_arn(), "Tags": tags});
        self.world
            .simulator()
            .call(service::SAGEMAKER, "AddTags", &request)
            .expect("an endpoint");
    }

    /// What becomes of an event.
    pub async fn invoke(&self, function: &str, event: &Value) -> Outcome {
        self.functions[function].invoke(event).await
    }

    /// A request to the API or to inference, through API Gateway: status and JSON.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let body = body.map(Value::to_string);
        let (function, role) = if path == "/inference" {
            ("canary-inference", INVOKER)
        } else {
            ("canary-deploy", OPERATOR)
        };
        let event = events::request(role, method, path, body.as_deref(), self.world.now());
        match self.invoke(function, &event).await {
            Outcome::Answered(answer) => proxied(&answer),
            failed @ Outcome::Failed { .. } => panic!("{method} {path}: {failed:?}"),
        }
    }

    /// One minute: the schedule's event, and what it woke.
    pub async fn minute(&self) {
        self.pass(SignedDuration::from_mins(1)).await;
        self.wake_monitor(&events::schedule(self.world.now())).await;
    }

    /// Moves the clock without waking anybody.
    pub async fn pass(&self, time: SignedDuration) {
        self.world.pass(time).await;
        self.tell_the_time();
    }

    /// An event for `monitor`, and what it wakes.
    pub async fn wake_monitor(&self, event: &Value) {
        match self.invoke("canary-monitor", event).await {
            Outcome::Answered(report) => assert_eq!(report["failed"], json!([]), "{report}"),
            failed @ Outcome::Failed { .. } => panic!("{failed:?}"),
        }
        self.world.stack.simulator.run_functions().await;
    }

    /// Cuts a function's power while the next call of this operation waits for its answer.
    ///
    /// # Panics
    /// When there is no such call.
    pub async fn cut_power_during(&self, function: &str, operation: &str) {
        let before = self.world.count_calls(operation);
        let called = async {
            while self.world.count_calls(operation) == before {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, called).await;
        assert!(waited.is_ok(), "{operation} was not called");
        self.functions[function].power_cut.notify_one();
    }

    /// Lambda takes an idle environment away. Whether there was one.
    pub async fn retire(&self, function: &str) -> bool {
        let retired = self.functions[function].process.lock().await.take();
        match retired {
            Some(mut process) => {
                process.terminate().await;
                true
            }
            None => false,
        }
    }

    /// How often the function was started.
    pub fn starts(&self, function: &str) -> u32 {
        self.functions[function].starts.load(Ordering::Relaxed)
    }

    /// Ends every process; all that any of them printed.
    pub async fn stop(self) -> Vec<Line> {
        for name in self.functions.keys() {
            self.retire(name).await;
        }
        drop(std::fs::remove_file(&self.clock));
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// In one step, so that nobody reads half a time.
    fn tell_the_time(&self) {
        let next = self.clock.with_extension("next");
        std::fs::write(&next, self.world.now().to_string()).expect("a writable folder");
        std::fs::rename(&next, &self.clock).expect("the same folder");
    }
}

impl Deployed {
    async fn invoke(&self, event: &Value) -> Outcome {
        let mut slot = self.process.lock().await;
        if slot.as_mut().is_some_and(|process| !process.is_alive()) {
            *slot = None;
        }
        if slot.is_none() {
            self.starts.fetch_add(1, Ordering::Relaxed);
            let started = Process::start(self.name, &self.program, &self.environment, &self.log);
            *slot = Some(started.await);
        }
        let process = slot.as_mut().expect("it was just started");
        let ended = tokio::select! {
            outcome = process.invoke(event.to_string().into_bytes()) => outcome,
            () = self.power_cut.notified() => {
                process.kill().await;
                return exited("signal: killed");
            }
        };
        ended.unwrap_or_else(|status| exited(&status.to_string()))
    }
}

/// What Lambda says of a process that ended in the middle of an event.
fn exited(how: &str) -> Outcome {
    Outcome::Failed {
        kind: "Runtime.ExitError".to_owned(),
        message: format!("Runtime exited with error: {how}"),
    }
}

/// What API Gateway makes of the answer of a proxy integration.
fn proxied(answer: &Value) -> (StatusCode, Value) {
    let status = answer["statusCode"].as_u64().expect("a status");
    let status = u16::try_from(status).expect("a status has three digits");
    assert_eq!(answer["isBase64Encoded"], false, "JSON is text");
    let body = answer["body"].as_str().expect("a body");
    (
        StatusCode::from_u16(status).expect("a status"),
        serde_json::from_str(body).expect("JSON"),
    )
}

/// A file of its own for every fleet of this process.
fn clock_file() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("canary-clock-{}-{number}", std::process::id());
    Path::new(&std::env::temp_dir()).join(name)
}
