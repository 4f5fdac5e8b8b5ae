//! The Lambda function `monitor`: starts the clients and hands every event on.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::Aws;
use shared::config::Config;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let aws = &Aws::connect(Config::from_env()?)?;
    lambda_runtime::run(service_fn(
        |event: LambdaEvent<serde_json::Value>| async move {
            let time_left = shared::time_left(event.context.deadline());
            Ok::<_, Error>(monitor::handle(aws, &event.payload, time_left).await?)
        },
    ))
    .await
}
