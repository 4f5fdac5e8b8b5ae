//! `cargo xtask bench monitor`: a tick of the real binary over many deployments.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tests::load::{measure, table};

const USAGE: &str = "load BINARY ANSWER_MS DEPLOYMENTS...\n";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().map(PathBuf::from);
    let mut numbers = arguments.map(|text| text.parse::<usize>().ok());
    let answer = numbers.next().flatten();
    let sizes: Option<Vec<usize>> = numbers.collect();
    let (Some(binary), Some(answer), Some(sizes)) = (binary, answer, sizes) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let answer = Duration::from_millis(answer as u64);
    let (mut first, mut steady) = (Vec::new(), Vec::new());
    for deployments in sizes {
        let [cold, warm] = measure(&binary, deployments, answer).await;
        eprintln!(
            "{deployments} deployments: {:.2} s",
            warm.wall.as_secs_f64()
        );
        first.push((deployments, cold));
        steady.push((deployments, warm));
    }
    println!(
        "One minute to judge, the process warm:\n\n{}",
        table(&steady)
    );
    println!(
        "The first tick of a new process, several minutes to judge:\n\n{}",
        table(&first)
    );
    ExitCode::SUCCESS
}
