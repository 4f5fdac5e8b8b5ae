//! `cargo xtask bench lambda`: what the functions' binaries cost to start, to keep and to ask, beside the
//! same handlers in Python, under the same Runtime API in the same run.
//!
//! Everything is measured from outside, so that no language is asked to time itself: from the start of
//! the process to its first request for an event, and to its first answer. Subjects take turns, run by
//! run and request by request: whatever else the machine does, it does to all of them.
//!
//! What `inference` adds to the InvokeEndpoint that it makes is measured apart, against an InvokeEndpoint
//! from a process that does nothing else ([`overhead`]).

mod direct;
mod measure;
mod options;
mod overhead;
mod subject;
mod table;

use std::process::ExitCode;

use tests::World;
use tests::lambda::{Account, environment};

use measure::{cold, memory_after_start, warm};
use options::Options;
use subject::subjects;
use table::Row;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    let world = World::new().await;
    let account = Account::serve(&world.stack.simulator).await;
    let environment = environment(&world, &account);
    let subjects = subjects(&options, &world);
    let mut rows: Vec<Row> = subjects.iter().map(Row::new).collect();
    for run in 1..=options.runs {
        eprint!("\rcold start {run} of {}", options.runs);
        for (subject, row) in subjects.iter().zip(&mut rows) {
            row.add_cold(cold(subject, &environment).await);
        }
    }
    eprintln!();
    for (subject, row) in subjects.iter().zip(&mut rows) {
        row.add_memory(memory_after_start(subject, &environment).await);
    }
    for (row, warm) in rows
        .iter_mut()
        .zip(warm(&subjects, &environment, options.requests).await)
    {
        row.add_warm(warm);
    }
    let added = overhead::measure(&options, &world, &environment).await;
    let tables = table::tables(&rows, &added, &options);
    println!("{tables}");
    match &options.write {
        Some(document) => table::put(document, &tables, &options),
        None => ExitCode::SUCCESS,
    }
}
