//! The Lambda function `inference`: starts the clients and serves the router.

use shared::aws::Aws;
use shared::config::Config;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::telemetry::init();
    let aws = Aws::connect(Config::for_inference()?)?;
    lambda_http::run(inference::router(aws)).await
}
