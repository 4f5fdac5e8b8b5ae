//! `canary simulate`: what goes wrong in the account that `canary local` simulates, when its control plane
//! looks, and beginning again. Nothing of it exists on a deployed stack, which is told before anything is sent.

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use shared::domain::quantity::Latency;

use crate::client::{Client, ListFilter};
use crate::local::faults::{AwsFault, Faults, ModelFault};
use crate::output::{Output, deployment, simulate as shown};

use super::Failure;
use super::arguments::{DisturbedArgs, Simulate};
use super::which;

/// Deployments that are looked through for those under way.
const SEARCHED: usize = 100;
/// How late the answers of a slow model come where nothing is said: far above what any of the built-in
/// models takes, and far below where a caller gives up.
const USUAL_DELAY_MS: f64 = 300.0;

pub(super) async fn simulate(
    client: &Client,
    what: Simulate,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    if client.signer().is_some() {
        return Err(Failure::NotLocal {
            api: client.api().to_owned(),
        });
    }
    match what {
        Simulate::Errors { of, rate } => {
            let fault = ModelFault {
                error_rate: Some(rate),
                ..of_model(of)
            };
            disturb(client, &fault, output).await
        }
        Simulate::Slow { of, by, times } => {
            let usual = || times.is_none().then(|| Latency::from_ms(USUAL_DELAY_MS));
            let fault = ModelFault {
                added_latency: by.or_else(|| usual().flatten()),
                latency_factor: times,
                ..of_model(of)
            };
            disturb(client, &fault, output).await
        }
        Simulate::Aws(args) => {
            let fault = AwsFault {
                service: args.service,
                operation: args.operation,
                fault: args.fault,
                times: args.times,
                skip: args.skip,
            };
            disturb(client, &fault, output).await
        }
        Simulate::Show => faults(client, Method::GET, None, output).await,
        Simulate::Clear => faults(client, Method::DELETE, None, output).await,
        Simulate::Tick => tick(client, output).await,
        Simulate::Reset => {
            let answer: Value = client.local(Method::POST, "/local/reset", None).await?;
            output.answer(&answer, |_| shown::RESET.to_owned())?;
            Ok(())
        }
    }
}

fn of_model(of: DisturbedArgs) -> ModelFault {
    ModelFault {
        model: of.model,
        lasts: of.lasts,
        ..ModelFault::default()
    }
}

async fn disturb(
    client: &Client,
    fault: &impl Serialize,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let fault = serde_json::to_value(fault).expect("texts and numbers make JSON");
    faults(client, Method::POST, Some(&fault), output).await
}

/// What goes wrong from now on.
async fn faults(
    client: &Client,
    method: Method,
    fault: Option<&Value>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let faults: Faults = client.local(method, "/local/fault", fault).await?;
    output.answer(&faults, |_| shown::faults(&faults))?;
    Ok(())
}

/// One pass, and how the deployments under way stand after it.
async fn tick(client: &Client, output: &mut Output<'_>) -> Result<(), Failure> {
    let report: Value = client.local(Method::POST, "/local/tick", None).await?;
    let mut views = which::all(client, &ListFilter::default(), SEARCHED).await?;
    views.retain(|view| !view.status.is_terminal());
    let object = json!({"tick": report, "deployments": views});
    output.answer(&object, |look| {
        let standing = views
            .iter()
            .map(|view| deployment::standing_line(look, view));
        shown::ticked(&report, &standing.collect::<Vec<_>>())
    })?;
    Ok(())
}
