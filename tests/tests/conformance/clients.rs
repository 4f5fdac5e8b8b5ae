//! The other way round: clients that nobody here wrote, boto3 and the AWS CLI, on our simulator. The
//! program in `xtask/python/conformance` calls whatever the simulator serves and holds the answers
//! against AWS's own service models.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::clock::Clock;
use simulator::{Backend, Distribution, Function, Options, Simulator, Timings};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

/// The program, from the root of the workspace.
const PROGRAM: &str = "../xtask/python/conformance";
/// Far more than it takes, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_mins(3);
/// How many times faster than the wall clock the account's time runs.
const SPEED: f64 = 90.0;
/// Two seconds of the wall clock: every change can be seen under way, also on a machine that is busy.
const CHANGE: SignedDuration = SignedDuration::from_secs(180);

/// Runs the program with this interpreter; what it says if anything is wrong.
pub(crate) async fn hold(python: &Path) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut server = JoinSet::new();
    server.spawn(account().serve(listener, std::future::pending()));
    let mut program = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM))
        .arg(format!("http://{address}"))
        // Nothing of the person's own settings may send a request elsewhere.
        .env_clear()
        .envs([
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{} did not start: {error}", python.display()))?;
    let mut said = String::new();
    let mut stdout = program.stdout.take().expect("it was piped");
    let ended = async {
        stdout.read_to_string(&mut said).await?;
        program.wait().await
    };
    match tokio::time::timeout(PATIENCE, ended).await {
        Ok(Ok(status)) if status.success() => {
            print!("{said}");
            Ok(())
        }
        Ok(Ok(status)) => Err(format!("{status}\n{said}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no end within {PATIENCE:?}")),
    }
}

/// What the program finds: two functions, a model that always fails, and traffic on an endpoint.
fn account() -> Arc<Simulator> {
    let start = "2026-03-02T09:00:00Z".parse().expect("a valid timestamp");
    let simulator = Simulator::new(Options {
        seed: 7,
        clock: Clock::running(start, SPEED),
        timings: Timings {
            create: CHANGE,
            update_endpoint: CHANGE,
            weights: CHANGE,
            capacity: CHANGE,
            ..Timings::default()
        },
        state: None,
    })
    .expect("an empty simulator starts");
    simulator.set_backend(
        "broken-model",
        Backend::Distribution(Distribution {
            error_rate: 1.0,
            ..Distribution::default()
        }),
    );
    simulator.set_traffic("wine", 600.0);
    let work: Function =
        Arc::new(|event: Value| Box::pin(async move { Ok(json!({"got": event})) }));
    let fails: Function = Arc::new(|_| Box::pin(async { Err("as it was told to".to_owned()) }));
    simulator.register_function("work", work);
    simulator.register_function("fails", fails);
    simulator
}
