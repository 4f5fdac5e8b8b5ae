//! InvokeEndpoint by the SDK from a process that does nothing else: what `cargo xtask bench lambda` holds
//! `inference` against. An application that calls SageMaker itself would be such a process. It is a package of
//! its own, so that it is built as the functions are, with nothing in it that it does not use.
//!
//! `invoke-endpoint URL ENDPOINT BODY` asks once for each line on its standard input, and answers with the
//! nanoseconds from the call to the model's whole answer. That a line has to wake it is not in them.

use std::process::ExitCode;
use std::time::Instant;

use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_sagemakerruntime::primitives::Blob;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, endpoint, body] = arguments.as_slice() else {
        eprintln!("invoke-endpoint URL ENDPOINT BODY");
        return ExitCode::from(2);
    };
    let client = client(url);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = lines.next_line().await {
        let started = Instant::now();
        let call = client
            .invoke_endpoint()
            .endpoint_name(endpoint)
            .content_type("application/json")
            .body(Blob::new(body.as_str()));
        if let Err(error) = call.send().await {
            eprintln!("InvokeEndpoint failed: {error:?}");
            return ExitCode::FAILURE;
        }
        println!("{}", started.elapsed().as_nanos());
    }
    ExitCode::SUCCESS
}

/// One client for all calls, over connections that are kept. The account is a simulated one on loopback.
fn client(url: &str) -> Client {
    let nobodys = Credentials::new(
        "AKIAIOSFODNN7EXAMPLE",
        "loopback-only",
        None,
        None,
        "loopback",
    );
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(nobodys)
        .endpoint_url(url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}
