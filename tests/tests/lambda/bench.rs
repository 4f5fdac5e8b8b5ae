//! `cargo xtask bench lambda` on the developer's binaries, as small as it goes: that it still measures. What its
//! figures are is for a quiet machine to say.

use std::process::Command;

/// The rows of the table of what `inference` adds.
const ADDED: [&str; 7] = [
    "InvokeEndpoint by the SDK",
    "a prediction by `inference`",
    "an event that `inference` refuses at once",
    "a prediction with the records read anew",
    "**added to InvokeEndpoint**",
    "of that, by the handler",
    "added with the records read anew",
];

#[test]
fn the_bench_measures_every_function_and_what_inference_adds() {
    let bench = Command::new(env!("CARGO_BIN_EXE_lambda_bench"))
        .args(["--runs", "1", "--requests", "3"])
        .output()
        .expect("the bench starts");
    let errors = String::from_utf8_lossy(&bench.stderr);
    assert!(bench.status.success(), "{errors}");
    let tables = String::from_utf8(bench.stdout).expect("text");
    for function in ["deploy (API)", "monitor", "rollback", "inference"] {
        let rows = tables
            .lines()
            .filter(|line| line.contains(&format!("| {function} |")));
        assert_eq!(rows.count(), 3, "starts, sizes and warm events: {tables}");
    }
    for name in ADDED {
        let row = tables
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("no {name}: {tables}"));
        let figures = row
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().parse::<f64>());
        let figures: Vec<f64> = figures.collect::<Result<_, _>>().expect("figures");
        assert!(
            figures.len() == 2 && figures[0] <= figures[1],
            "{name}: {figures:?}"
        );
        // Only a difference of neighbours may fall below nothing.
        assert!(
            name.contains("dded") || name.contains("handler") || figures[0] > 0.0,
            "{row}"
        );
    }
}
