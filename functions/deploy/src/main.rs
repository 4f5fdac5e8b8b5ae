//! The Lambda function `deploy`, as the API or as provision: starts the clients and hands every
//! event on.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::Aws;
use shared::config::{Config, DeployMode};
use shared::wire::events::Wake;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let mode = DeployMode::from_env()?;
    let aws = Aws::connect(Config::from_env()?)?;
    if mode == DeployMode::Api {
        return lambda_http::run(deploy::router(aws)).await;
    }
    let aws = &aws;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Wake>| async move {
        let time_left = shared::time_left(event.context.deadline());
        Ok::<_, Error>(deploy::provision(aws, event.payload, time_left).await?)
    }))
    .await
}
