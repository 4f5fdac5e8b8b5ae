//! `cargo xtask bench monitor`: a tick of the real binary over many deployments.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tests::load::{measure, table};
use tests::measured;

const COMMAND: &str = "cargo xtask bench monitor";
const USAGE: &str = "load BINARY ANSWER_MS DOCUMENT|- DEPLOYMENTS...\n";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().map(PathBuf::from);
    let answer = arguments.next().and_then(|text| text.parse::<u64>().ok());
    let document = arguments.next();
    let sizes: Option<Vec<usize>> = arguments.map(|text| text.parse().ok()).collect();
    let (Some(binary), Some(answer), Some(document), Some(sizes)) =
        (binary, answer, document, sizes)
    else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let answer = Duration::from_millis(answer);
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
    let origin = measured::origin(COMMAND, "release");
    let tables = format!(
        "{origin}; every answer of the account takes {} ms.\n\n\
         One minute to judge, the process warm:\n\n{}\n\
         The first tick of a new process, several minutes to judge:\n\n{}",
        answer.as_millis(),
        table(&steady),
        table(&first),
    );
    println!("{tables}");
    match document.as_str() {
        "-" => ExitCode::SUCCESS,
        document => measured::put(Path::new(document), COMMAND, &tables),
    }
}
