//! The project's own adapters, over the real SDK, held to the same cases on our simulator and on
//! emulators that nobody here wrote. What the simulator and an independent reading of AWS agree on is
//! worth more than what either says alone.
//!
//! `cargo test` runs the cases on the simulator. `cargo xtask conformance` starts moto and ministack,
//! each in an environment of its own, and runs them there too:
//!
//! ```text
//! cargo test -p tests --test conformance -- --moto http://127.0.0.1:PORT --ministack http://127.0.0.1:PORT
//! ```
//!
//! With `--clients PYTHON` the other way round is held too (`clients`), by a Python that has boto3 and
//! the AWS CLI. A word that is no option narrows the run to the cases whose names hold it. What a backend is known
//! not to do stands in `gaps`, with the reason. A gap that passes fails the suite, as does any failure
//! that is not listed: the list can't go stale unseen.

mod account;
mod cases;
mod clients;
mod gaps;
mod harness;

use std::process::ExitCode;

use harness::Wanted;

fn main() -> ExitCode {
    match Wanted::parse(std::env::args().skip(1)) {
        Ok(wanted) => harness::run(&wanted),
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::from(2)
        }
    }
}
