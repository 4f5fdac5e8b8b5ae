//! `canary`: the person's and the pipeline's way in.

mod account;
mod client;
mod demo;
mod exit;
#[cfg(test)]
#[path = "../tests/gateway/mod.rs"]
mod gateway;
mod local;
mod loopback;
mod models;
mod output;
mod place;
mod stage;
mod traffic;
mod verbs;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;

use exit::Exit;
use models::process::run_server;
use output::complaint::Complaint;
use output::{Format, Look, Output};
use verbs::arguments::{Arguments, Verb};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return unparsed(&error),
    };
    let format = arguments.output;
    let look = Look::of_stream(&io::stdout(), &arguments.surroundings);
    let complain = Complain {
        format,
        look: Look::of_stream(&io::stderr(), &arguments.surroundings),
    };
    let (mut answers, mut remarks) = (io::stdout(), io::stderr());
    let output = Output::new(format, look, &mut answers, &mut remarks);
    let output = &mut output.with_remarks_look(complain.look);
    match arguments.verb {
        Verb::Demo(args) => complain.or(demo::run(args, output).await, "demo"),
        Verb::Local(args) => complain.or(local::run(args, output).await, "local"),
        Verb::ModelServer(args) => {
            let served = run_server(args).await;
            complain.or(served.map(|()| ExitCode::SUCCESS), "model-server")
        }
        verb => match verbs::run(verb, &arguments.place, output).await {
            Ok(exit) => exit.into(),
            Err(failure) if failure.is_closed_pipe() => Exit::Done.into(),
            Err(failure) => {
                let exit = failure.exit();
                complain.of(&failure.complaint());
                exit.into()
            }
        },
    }
}

/// Help and version are answers; all else is wrong usage.
fn unparsed(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && asks_for_json(std::env::args_os()) {
        let text = error.to_string();
        let text = text.trim_start_matches("error: ").trim_end();
        let complain = Complain {
            format: Format::Json,
            look: Look::default(),
        };
        complain.of(&Complaint::own("usage", text));
    } else {
        // Nobody is left to tell when even that can't be written.
        let _ = error.print();
    }
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Done.into()
    }
}

/// Arguments that can't be parsed still say in which form the error is wanted.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let arguments: Vec<OsString> = arguments.collect();
    let joined = |argument: &OsString| {
        ["-ojson", "-o=json", "--output=json"]
            .iter()
            .any(|form| argument == form)
    };
    arguments.iter().any(joined)
        || arguments
            .windows(2)
            .any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json")
}

/// How errors are said: on standard error, in the form that was asked for.
struct Complain {
    format: Format,
    look: Look,
}

impl Complain {
    fn of(&self, complaint: &Complaint) {
        match self.format {
            Format::Text => eprint!("{}", complaint.text(self.look)),
            Format::Json => eprintln!("{}", complaint.json()),
        }
    }

    fn or<E: std::error::Error>(&self, result: Result<ExitCode, E>, what: &str) -> ExitCode {
        result.unwrap_or_else(|error| {
            self.of(&Complaint::own(what, &verbs::chain(&error)));
            Exit::Error.into()
        })
    }
}
