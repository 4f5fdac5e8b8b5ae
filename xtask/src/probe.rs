//! What docs/fidelity.md takes for granted about AWS, held to as far as a machine without AWS can, and
//! asked of an account by a person who has one.
//!
//! Both programs are in Python, because botocore is: the one holds the document and the code against its
//! models, the other asks an account. That one can't be tried against AWS here, so it is rehearsed
//! against the simulator, whole: every probe has to come to an answer, and everything that was made has
//! to be gone, also after Ctrl-C.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use serde_json::Value;

use crate::cargo;
use crate::python;
use crate::steps::Outcome;

/// Virtual seconds a second: an hour and a half of probing in about a minute.
const SPEED: &str = "100";
/// What the simulator does not play.
const UNPLAYED: [&str; 3] = ["put-event", "emf", "events"];

/// Asks an account. The program speaks to the person itself, and its exit code is the answer.
pub(crate) fn run(root: &Path, arguments: &[String]) -> ExitCode {
    let program = match program(root, "probe") {
        Ok(program) => program,
        Err(Outcome::Skipped(why)) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
        Err(outcome) => {
            eprintln!("{outcome:?}");
            return ExitCode::FAILURE;
        }
    };
    match { program }.args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the probes did not start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The document and the code against botocore's models.
pub(crate) fn check_models(root: &Path) -> Outcome {
    match program(root, "models") {
        Ok(mut program) => ended(&mut program, "docs/fidelity.md and the service models"),
        Err(outcome) => outcome,
    }
}

/// Every probe against the simulator, and one that is interrupted.
pub(crate) fn rehearse(root: &Path) -> Outcome {
    match rehearsed(root) {
        Ok(()) => Outcome::Passed,
        Err(outcome) => outcome,
    }
}

fn rehearsed(root: &Path) -> Result<(), Outcome> {
    let tested = ended(&mut tests(root)?, "the probes' own tests");
    if tested != Outcome::Passed {
        return Err(tested);
    }
    let mut dry = program(root, "probe")?;
    let dry = dry.arg("--dry-run").env("AWS_REGION", "eu-central-1");
    let told = dry.output().map_err(|error| failed("dry run", &error))?;
    if !told.status.success() {
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        return Err(Outcome::failed(format!("the dry run: {said}")));
    }
    let mut account = SimulatedAccount::start(root)?;
    let findings = account.ask_everything(root);
    let interrupted = account.interrupt(root);
    account.stop();
    findings.and(interrupted)
}

/// A Python program of ours in the environment that has boto3.
fn program(root: &Path, name: &str) -> Result<Command, Outcome> {
    let mut command = interpreter(root)?;
    command.arg(root.join("xtask/python").join(name));
    Ok(command)
}

/// The tests of the probes, which send nothing: what is no probe's own is never changed.
fn tests(root: &Path) -> Result<Command, Outcome> {
    let mut command = interpreter(root)?;
    command.args(["-m", "unittest", "discover", "--quiet"]);
    command.arg("--start-directory").arg("xtask/python/probe");
    command.env("AWS_REGION", "eu-central-1");
    Ok(command)
}

fn interpreter(root: &Path) -> Result<Command, Outcome> {
    let programs = python::programs_of(root, "probe")?;
    let mut command = Command::new(programs.join("python"));
    // `-B`: no compiled files in the checkout.
    command.arg("-B").current_dir(root);
    Ok(command)
}

fn failed(what: &str, error: &dyn std::error::Error) -> Outcome {
    Outcome::failed(format!("{what}: {error}"))
}

fn ended(command: &mut Command, what: &str) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::failed(format!("{what}: {status}; the lines above say why")),
        Err(error) => failed(what, &error),
    }
}

/// `canary local`, with nobody in front of it.
struct SimulatedAccount {
    process: Child,
    address: String,
}

impl SimulatedAccount {
    fn start(root: &Path) -> Result<Self, Outcome> {
        let [api, aws] = [free_port()?, free_port()?];
        let mut command = cargo::command(root);
        command.args(["run", "--quiet", "--locked", "--package", "canary", "--"]);
        command.args(["local", "--rps", "0", "--speed", SPEED]);
        command.args(["--port", &api.to_string(), "--aws-port", &aws.to_string()]);
        let mut process = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed("canary local", &error))?;
        let stderr = process.stderr.take().expect("it was piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        // Its welcome is said once the account answers.
        if !lines.any(|line| line.contains("simulated AWS account are up")) {
            drop(process.kill());
            return Err(Outcome::failed("canary local did not start"));
        }
        // What it says later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            process,
            address: format!("http://127.0.0.1:{aws}"),
        })
    }

    /// The probes, with nothing of a person's AWS settings.
    fn probes(&self, root: &Path) -> Result<Command, Outcome> {
        let mut command = program(root, "probe")?;
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN"] {
            command.env_remove(name);
        }
        for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            command.env(name, "/dev/null");
        }
        command
            .env("AWS_ENDPOINT_URL", &self.address)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "loopback")
            .env("AWS_SECRET_ACCESS_KEY", "loopback");
        command.args(["--yes", "--speed", SPEED, "--image", "made-up"]);
        command.args(["--role", "arn:aws:iam::123456789012:role/made-up"]);
        Ok(command)
    }

    fn ask_everything(&self, root: &Path) -> Result<(), Outcome> {
        let kept = Kept::new();
        let mut probes = self.probes(root)?;
        let outcome = ended(probes.arg("--json").arg(&kept.0), "the probes");
        if outcome != Outcome::Passed {
            return Err(outcome);
        }
        let text = std::fs::read_to_string(&kept.0).map_err(|error| failed("findings", &error))?;
        match unfinished(&text) {
            Ok(unfinished) if unfinished.is_empty() => Ok(()),
            Ok(unfinished) => Err(Outcome::Failed(unfinished)),
            Err(error) => Err(failed("findings", &error)),
        }
    }

    /// Ctrl-C in the middle: it has to say that it was stopped, and that nothing is left.
    fn interrupt(&self, root: &Path) -> Result<(), Outcome> {
        let mut probes = self.probes(root)?;
        let mut child = probes
            .args(["--only", "retain"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed("the probes", &error))?;
        let lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            if line.contains("the endpoint is being made") {
                let process = child.id().to_string();
                let sent = Command::new("kill").args(["-INT", &process]).status();
                sent.map_err(|error| failed("kill", &error))?;
            }
            said.push(line);
        }
        let status = child.wait().map_err(|error| failed("the probes", &error))?;
        let has = |what: &str| said.iter().any(|line| line.contains(what));
        if !status.success() && has("stopped: by hand") && has("nothing is left") {
            return Ok(());
        }
        let all = said.join(" / ");
        Err(Outcome::failed(format!("interrupted, they said: {all}")))
    }

    fn stop(&mut self) {
        // It takes its model servers along, however it ends.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Outcome> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| failed("a free port", &error))
}

/// A file that is removed in the end.
struct Kept(PathBuf);

impl Kept {
    fn new() -> Self {
        let name = format!("canary-probe-{}.json", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// The probes that came to no answer, but for those that the simulator does not play.
fn unfinished(findings: &str) -> serde_json::Result<Vec<String>> {
    let findings: Value = serde_json::from_str(findings)?;
    let mut unfinished = Vec::new();
    for (name, finding) in findings["probes"].as_object().into_iter().flatten() {
        let verdict = finding["verdict"].as_str().unwrap_or_default();
        let is_unplayed = UNPLAYED.contains(&name.as_str()) && verdict.starts_with("not served");
        if !is_unplayed && !["holds", "DOES NOT HOLD", "unclear"].contains(&verdict) {
            unfinished.push(format!("{name} came to no answer: {verdict}"));
        }
    }
    if findings["probes"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        unfinished.push("nothing was asked".to_owned());
    }
    Ok(unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_answer_whatever_it_says() {
        let of = |name: &str, verdict: &str| {
            let text = format!(r#"{{"probes": {{"{name}": {{"verdict": "{verdict}"}}}}}}"#);
            unfinished(&text).expect("it is JSON").len()
        };
        for verdict in ["holds", "DOES NOT HOLD", "unclear"] {
            assert_eq!(of("split", verdict), 0, "{verdict}");
        }
        assert_eq!(of("emf", "not served: logs CreateLogGroup"), 0);
        assert_eq!(of("split", "not served: sagemaker UpdateEndpoint"), 1);
        assert_eq!(
            of("split", "refused: UpdateEndpoint: ValidationException"),
            1
        );
        assert_eq!(unfinished(r#"{"probes": {}}"#).expect("JSON").len(), 1);
    }
}
