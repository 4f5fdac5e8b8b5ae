//! The binary against a simulated account.

use std::io::Write;
use std::process::{Command, Stdio};

use tests::lambda::Account;
use tests::{ENDPOINT, World};

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_one_call_and_its_time() {
    let world = World::new().await;
    let account = Account::serve(&world.stack.simulator).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_invoke-endpoint"))
        .args([account.url(), ENDPOINT, "{}"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = child.stdin.take().expect("it was piped");
    lines.write_all(b"\n\n\n").expect("it reads");
    // The end of the lines is its end.
    drop(lines);
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
    let ended = ended.await.expect("it ends").expect("a child of ours");
    assert!(ended.status.success());
    let times = String::from_utf8(ended.stdout).expect("text");
    let times: Vec<u64> = times
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|nanoseconds| *nanoseconds > 0));
    assert_eq!(world.count_calls("InvokeEndpoint"), 3);
}
