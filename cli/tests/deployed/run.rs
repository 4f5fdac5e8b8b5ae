//! Running the binary as a person does: a home, an environment, and what it wrote.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::process::Command;

use crate::binary;
use crate::gateway::signature::{ACCESS_KEY, SECRET_KEY};

/// Of the session that the keys are of.
pub(crate) const TOKEN: &str = "the/session+token==";

/// A folder that is gone with the test: the home of whoever runs the binary.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new() -> Self {
        static HOMES: AtomicUsize = AtomicUsize::new(0);
        let number = HOMES.fetch_add(1, Ordering::SeqCst);
        let name = format!("canary-home-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("a file for the test");
        file
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the binary was started with, and what it wrote. Secrets are looked for in all of it.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines().chain(self.stderr.lines());
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

/// The binary at this home, before it is started.
pub(crate) fn command(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::from(binary::command(arguments));
    command
        .env("HOME", &home.0)
        .env("PATH", "/usr/bin:/bin")
        // Nobody is asked who this machine is.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied());
    command
}

pub(crate) async fn canary(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let output = command(home, arguments, environment).output().await;
    let output = output.expect("the binary runs");
    let run = Run {
        code: binary::code(&output),
        stdout: binary::stdout(&output).to_owned(),
        stderr: binary::stderr(&output).to_owned(),
    };
    for secret in [SECRET_KEY, TOKEN] {
        assert!(
            !run.stdout.contains(secret) && !run.stderr.contains(secret),
            "a secret is printed"
        );
    }
    run
}

/// The keys of a session in the environment.
pub(crate) fn keys() -> Vec<(&'static str, &'static str)> {
    vec![
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_SESSION_TOKEN", TOKEN),
    ]
}
