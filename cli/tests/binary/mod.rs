//! Starting the binary, and what came of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A run that ends by itself, in an empty environment.
pub(crate) fn canary(arguments: &[&str], input: &str) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdin.take().expect("its input is piped");
    // Not all verbs read their input; one that ended without it has closed the pipe.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    child.wait_with_output().expect("the binary ends")
}

/// One that goes on until it is told to end; what it complains of is seen where the test fails.
pub(crate) fn started(arguments: &[&str]) -> Child {
    command(arguments).spawn().expect("the binary starts")
}

/// The binary, before it is started, in an empty environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_canary"));
    command.args(arguments).env_clear().stdout(Stdio::piped());
    command
}

/// What one that goes on says first, as one object.
pub(crate) fn first_object(child: &mut Child) -> Value {
    let pipe = child.stdout.as_mut().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(pipe).read_line(&mut line).expect("a line");
    serde_json::from_str(&line).expect("one object")
}

/// Ends it as a service manager does; its exit code.
pub(crate) fn terminated(child: &mut Child) -> Option<i32> {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill runs").success());
    child.wait().expect("it ends").code()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text is UTF-8")
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text is UTF-8")
}

/// A file of one test alone, whose name is its own.
pub(crate) fn file(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder for tests takes files");
    path.to_str().expect("a plain path").to_owned()
}
