//! `cargo xtask chaos`: rollouts in a storm of faults, by seed.

use std::process::ExitCode;

use tests::chaos::report;

const USAGE: &str = "chaos [--seed S] [--runs N] [--trace]\n";
/// Fewer runs than this can't do every fault.
const ENOUGH_FOR_ALL: u64 = 200;

fn main() -> ExitCode {
    let (mut seed, mut runs, mut traces) = (1, 1_000, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        let known = match argument.as_str() {
            "--seed" => number().map(|it| seed = it),
            "--runs" => number().map(|it| runs = it),
            "--trace" => {
                traces = true;
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    // What breaks is reported with its seed, and not where it is found.
    std::panic::set_hook(Box::new(|_| {}));
    if traces {
        print!("{}", report::trace(seed));
    }
    let report = report::run_many(seed, runs);
    print!("{}{}", report.failures_in_words(), report.text());
    let has_all = runs < ENOUGH_FOR_ALL || report.never_fired().is_empty();
    if has_all && report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
