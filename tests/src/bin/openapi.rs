//! `cargo xtask openapi`: the API's description, or recorded answers for its examples.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print!("{}", tests::openapi::text()),
        ["--record"] => print!("{}", tests::recorded::record()),
        _ => {
            eprintln!("openapi [--record]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
