//! `canary local`: the control plane and the simulated account on loopback, for a person's own
//! scripts, models and AWS tools.

mod controls;
pub(crate) mod faults;
mod house;
pub(crate) mod state;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use simulator::REGION;
use tokio::sync::oneshot;

use crate::exit::Exit;
use crate::loopback::{Interrupts, guarded, listen};
use crate::models::server::Behaviour;
use crate::output::{Format, Output};
use crate::stage::{ENDPOINT, Setting, StageError};
use house::House;
use state::State;

/// What `canary local` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LocalArgs {
    /// Where the API listens on loopback; 0 picks a free port.
    #[arg(long, default_value_t = 8686)]
    port: u16,
    /// Where the AWS wire of every service listens on loopback; 0 picks a free port.
    #[arg(long, default_value_t = 4566)]
    aws_port: u16,
    /// How many times faster than the wall clock virtual time runs.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Requests per wall-clock second of the built-in traffic; 0 for none.
    #[arg(long, default_value_t = 20.0, value_parser = rps)]
    rps: f64,
    /// Keep the deployments' records in this file, for the next run; in memory without it.
    #[arg(long)]
    state: Option<PathBuf>,
}

/// A speed that a wall clock can follow.
pub(crate) fn speed(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&number) {
        Ok(number)
    } else {
        Err("a speed is from 0.1 to 600".to_owned())
    }
}

/// Requests a second that one machine can make.
pub(crate) fn rps(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=5000.0).contains(&number) {
        Ok(number)
    } else {
        Err("from 0 to 5000 requests a second".to_owned())
    }
}

/// Runs until it is stopped by Ctrl-C or SIGTERM.
pub(crate) async fn run(args: LocalArgs, output: &mut Output<'_>) -> Result<ExitCode, StageError> {
    // Ports first: a port in use is said before anything is started.
    let (api, port) = listen(args.port).await?;
    let (aws, aws_port) = listen(args.aws_port).await?;
    let state = args.state.as_deref().map(State::hold).transpose()?;
    let mut interrupts = Interrupts::new()?;
    let setting = Setting {
        speed: args.speed,
        rps: args.rps,
        challenger: Behaviour::default(),
        labels: None,
        state: args.state,
        goes_on_from: state.as_ref().and_then(|state| state.goes_on_from),
    };
    let house = tokio::select! {
        house = House::open(setting, state, aws) => Arc::new(house?),
        () = interrupts.wait() => return Ok(Exit::Done.into()),
    };
    let keeping = tokio::spawn(house.clone().keep_times());
    let (stop, stopped) = oneshot::channel::<()>();
    let router = guarded(controls::routes(house.clone()));
    let api_served = tokio::spawn(async move {
        let ended = async move { drop(stopped.await) };
        axum::serve(api, router).with_graceful_shutdown(ended).await
    });
    ready(output, port, aws_port)
        .map_err(|error| StageError::Io("the output is closed".to_owned(), error))?;
    interrupts.wait().await;
    drop(stop);
    // Bounded: a client that keeps its connection open must not keep the process alive.
    drop(tokio::time::timeout(house::GRACE, api_served).await);
    house.close().await;
    keeping.abort();
    Ok(Exit::Done.into())
}

/// Where everything is, for programs.
#[derive(Debug, Serialize)]
struct Addresses {
    /// The API.
    api: String,
    /// The AWS wire of every service.
    aws: String,
    /// The region that it plays.
    region: &'static str,
}

/// Says that everything is up.
fn ready(output: &mut Output<'_>, port: u16, aws_port: u16) -> std::io::Result<()> {
    match output.format {
        Format::Text => output.remark(&welcome(port, aws_port)),
        Format::Json => {
            let addresses = Addresses {
                api: format!("http://127.0.0.1:{port}"),
                aws: format!("http://127.0.0.1:{aws_port}"),
                region: REGION,
            };
            output.answer(&addresses, |_| String::new())
        }
    }
}

fn welcome(port: u16, aws_port: u16) -> String {
    format!(
        "\
The control plane and a simulated AWS account are up. Endpoint {ENDPOINT}
serves wine-quality-v1; wine-quality-v2 waits to replace it.
Ctrl-C stops everything.

In another terminal:

  export CANARY_API=http://127.0.0.1:{port}
  export AWS_ENDPOINT_URL=http://127.0.0.1:{aws_port}
  export AWS_REGION=eu-central-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local

  canary deploy -f examples/wine-quality.yaml
  canary watch
  aws sagemaker describe-endpoint --endpoint-name {ENDPOINT}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_and_rates_have_limits() {
        assert_eq!(speed("60"), Ok(60.0));
        for unfit in ["0", "-1", "NaN", "inf", "601", "fast"] {
            assert!(speed(unfit).is_err(), "{unfit}");
        }
        assert_eq!(rps("0"), Ok(0.0));
        assert!(rps("-1").is_err() && rps("NaN").is_err() && rps("5001").is_err());
    }
}
