//! `canary local`: the control plane and the simulated account on loopback, for a person's own
//! scripts, models and AWS tools.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use shared::wire::problem::{MEDIA_TYPE, Problem};
use simulator::is_from_loopback;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;
use crate::models::server::Behaviour;
use crate::output::Output;
use crate::stage::{ENDPOINT, Setting, Stage, StageError};

/// What `canary local` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LocalArgs {
    /// Where the API listens on loopback.
    #[arg(long, default_value_t = 8686)]
    port: u16,
    /// Where the AWS wire of every service listens on loopback.
    #[arg(long, default_value_t = 4566)]
    aws_port: u16,
    /// How many times faster than the wall clock virtual time runs.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Requests per wall-clock second of the built-in traffic; 0 for none.
    #[arg(long, default_value_t = 20.0, value_parser = rps)]
    rps: f64,
    /// Keep the deployments' records in this file; in memory without it.
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
    let api = listen(args.port).await?;
    let aws = listen(args.aws_port).await?;
    let setting = Setting {
        speed: args.speed,
        rps: args.rps,
        challenger: Behaviour::default(),
        labels: None,
        state: args.state,
    };
    let stage = Stage::set(setting).await?;
    let (stop, stopped) = watch::channel(());
    let router = guarded(stage.router.clone());
    let mut until = stopped.clone();
    let api_served = tokio::spawn(async move {
        let ended = async move { drop(until.changed().await) };
        axum::serve(api, router).with_graceful_shutdown(ended).await
    });
    let mut until = stopped;
    let simulator = stage.stack.simulator.clone();
    let aws_served = tokio::spawn(simulator.serve(aws, async move { drop(until.changed().await) }));
    output
        .remark(&welcome(args.port, args.aws_port))
        .map_err(|error| StageError::Io("standard error is closed".to_owned(), error))?;
    interrupted().await?;
    drop(stop);
    // Bounded: a client that keeps its connection open must not keep the process alive.
    let bounded = std::time::Duration::from_secs(2);
    drop(tokio::time::timeout(bounded, async { (api_served.await, aws_served.await) }).await);
    Ok(Exit::Done.into())
}

async fn listen(port: u16) -> Result<TcpListener, StageError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| {
        StageError::Io(
            format!("{address} can't be listened on; name another port"),
            error,
        )
    })
}

async fn interrupted() -> Result<(), StageError> {
    let unhandled = |error| StageError::Io("signals can't be handled".to_owned(), error);
    let mut terminate = signal(SignalKind::terminate()).map_err(unhandled)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unhandled)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn welcome(port: u16, aws_port: u16) -> String {
    format!(
        "\
The control plane and a simulated AWS account are up. Endpoint {ENDPOINT} serves wine-quality-v1;
wine-quality-v2 waits to replace it. Ctrl-C stops everything.

In another terminal:

  export CANARY_API=http://127.0.0.1:{port}
  export AWS_ENDPOINT_URL=http://127.0.0.1:{aws_port}
  export AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local

  canary deploy -f examples/wine-quality.yaml
  canary watch
  aws sagemaker describe-endpoint --endpoint-name {ENDPOINT}"
    )
}

/// Requests are unsigned here, so a page in the person's browser must not be able to make them:
/// the Host must be loopback, and so must the Origin where there is one.
fn guarded(router: Router) -> Router {
    router.layer(middleware::from_fn(only_from_loopback))
}

async fn only_from_loopback(request: Request, next: Next) -> Response {
    if is_from_loopback(request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::new(
        403,
        "not-from-loopback",
        "the local mode takes requests from this machine only: Host and Origin must name 127.0.0.1 or localhost",
    );
    (
        StatusCode::FORBIDDEN,
        [(header::CONTENT_TYPE, MEDIA_TYPE)],
        problem.body(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    /// A page that a browser has loaded from elsewhere, by its own name or by one that was pointed at
    /// this machine, reaches no route: not to read, and not to order.
    #[tokio::test]
    async fn a_page_from_elsewhere_reaches_no_route() {
        let own = "127.0.0.1:8686";
        for (host, origin, reaches) in [
            (own, None, true),
            ("localhost:8686", None, true),
            (own, Some("http://127.0.0.1:8686"), true),
            (own, Some("http://localhost:3000"), true),
            ("rebound.example:8686", None, false),
            (
                "rebound.example:8686",
                Some("http://rebound.example:8686"),
                false,
            ),
            ("127.0.0.1.example:8686", None, false),
            (own, Some("https://example.org"), false),
            (own, Some("http://127.0.0.1.example"), false),
            (own, Some("null"), false),
        ] {
            for (method, path) in [
                ("GET", "/deployments"),
                ("POST", "/deployments/{id}/rollback"),
            ] {
                let reached = async || "reached";
                let routes = Router::new().route(path, axum::routing::any(reached));
                let request = Request::builder()
                    .method(method)
                    .uri(path.replace("{id}", "7"))
                    .header(header::HOST, host)
                    .header(header::CONTENT_TYPE, "text/plain");
                let request = match origin {
                    Some(origin) => request.header(header::ORIGIN, origin),
                    None => request,
                };
                let request = request.body(axum::body::Body::empty()).expect("a request");
                let response = guarded(routes).oneshot(request).await;
                let status = response.expect("the router is infallible").status();
                let expected = if reaches {
                    StatusCode::OK
                } else {
                    StatusCode::FORBIDDEN
                };
                assert_eq!(status, expected, "{method} {host} {origin:?}");
            }
        }
    }

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
