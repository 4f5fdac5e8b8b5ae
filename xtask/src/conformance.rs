//! The adapters on emulators that nobody here wrote, and clients that nobody here wrote on the simulator.
//!
//! moto and ministack are started on free ports of loopback, each from an environment of its own, and the
//! suite in `tests/tests/conformance` is told where they are. A server ends with its standard input, which
//! this process holds: it is gone when the check is, whatever became of the check.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::steps::Outcome;
use crate::{cargo, python};

/// How long a server may take to its first answer: it reads thousands of files on a cold machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that listens, until this value is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed rather than asked: nothing of what it holds is worth keeping.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs the suite on everything; `rest` narrows it to the cases whose names hold one of these words.
pub(crate) fn run(root: &Path, rest: &[String]) -> Outcome {
    let mut programs = Vec::new();
    for tool in ["moto", "ministack", "boto3"] {
        match python::programs_of(root, tool) {
            Ok(found) => programs.push(found.join("python")),
            Err(outcome) => return outcome,
        }
    }
    let [moto, ministack, boto3] = programs.as_slice() else {
        return Outcome::failed("three environments make three programs");
    };
    let servers =
        start_moto(root, moto).and_then(|moto| Ok((moto, start_ministack(root, ministack)?)));
    match servers {
        Ok((moto, ministack)) => hold(root, &moto, &ministack, boto3, rest),
        Err(what) => Outcome::failed(what),
    }
}

fn start_moto(root: &Path, python: &Path) -> Result<Server, String> {
    start(root, python, "moto", |command, port| {
        command.args(["moto.server:main", "-H", "127.0.0.1", "-p", port]);
    })
}

fn start_ministack(root: &Path, python: &Path) -> Result<Server, String> {
    start(root, python, "ministack", |command, port| {
        command.arg("ministack.app:main").envs([
            ("GATEWAY_PORT", port),
            ("BIND_HOST", "127.0.0.1"),
            ("SERVICES", "cloudwatch,dynamodb,events,sns,sqs"),
        ]);
    })
}

/// Starts a server on a free port and waits until it answers.
fn start(
    root: &Path,
    python: &Path,
    name: &str,
    arguments: impl FnOnce(&mut Command, &str),
) -> Result<Server, String> {
    let address = free_address().map_err(|error| format!("no free port on loopback: {error}"))?;
    let mut command = Command::new(python);
    command.arg(root.join("xtask/python/until_closed.py"));
    arguments(&mut command, &address.port().to_string());
    // Thousands of lines about requests that are meant to fail: the suite's own output says more.
    let process = command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{name} did not start: {error}"))?;
    let mut server = Server { process, address };
    let started = Instant::now();
    while !answers(address) {
        if let Ok(Some(status)) = server.process.try_wait() {
            return Err(format!("{name} ended before it answered: {status}"));
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{name} did not answer within {PATIENCE:?}"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(server)
}

/// An address that nobody listens on. Somebody else could take it in the meantime; then the server says so.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Whether a request gets any answer: a socket that only listens is not ready yet.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PAUSE)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut beginning = [0; 5];
        stream.read_exact(&mut beginning)?;
        Ok(&beginning == b"HTTP/")
    };
    ask().unwrap_or(false)
}

fn hold(root: &Path, moto: &Server, ministack: &Server, boto3: &Path, rest: &[String]) -> Outcome {
    let (moto, ministack) = (
        format!("http://{}", moto.address),
        format!("http://{}", ministack.address),
    );
    let boto3 = boto3.display().to_string();
    let mut trailing = vec![
        "--",
        "--moto",
        &moto,
        "--ministack",
        &ministack,
        "--clients",
        &boto3,
    ];
    trailing.extend(rest.iter().map(String::as_str));
    // The workspace, so that nothing is built with other features than the tests were.
    cargo::run_locked(
        root,
        &["test", "--quiet", "--workspace", "--test", "conformance"],
        &trailing,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_where_nobody_listens() {
        let address = free_address().expect("a free port");
        assert!(!answers(address));
    }

    #[test]
    fn a_server_is_gone_with_its_value() {
        let address = free_address().expect("a free port");
        let mut process = Command::new("sleep")
            .arg("600")
            .stdout(Stdio::piped())
            .spawn()
            .expect("every machine has sleep");
        let mut output = process.stdout.take().expect("it was piped");
        drop(Server { process, address });
        let mut said = Vec::new();
        // Its end of the pipe is closed with it.
        output.read_to_end(&mut said).expect("a pipe can be read");
        assert_eq!(said, b"");
    }
}
