//! The unmodified AWS SDK against the simulator: every protocol, lost answers, a real model server, the socket.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put,
    ScalarAttributeType, TransactWriteItem,
};
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_types::DateTime;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{Clock, Fault, FaultKind, Function, Options, Simulator, Timings, service};
use tokio::net::TcpListener;

/// A client's configuration: dummy credentials, and the transport that ends in the simulator.
macro_rules! client {
    ($sdk:ident, $simulator:expr) => {{
        let configuration = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new("us-east-1"))
            .credentials_provider($sdk::config::Credentials::new(
                "key", "secret", None, None, "test",
            ))
            .http_client($simulator.http_client())
            .build();
        $sdk::Client::from_conf(configuration)
    }};
}

fn start() -> Arc<Simulator> {
    let at = "2026-01-05T09:00:00Z".parse().expect("a timestamp");
    Simulator::new(Options {
        seed: 1,
        clock: Clock::manual(at),
        timings: Timings::default(),
        state: None,
    })
    .expect("the simulator starts")
}

async fn control(simulator: &Arc<Simulator>, operation: &str, input: Value) -> Value {
    let request = Request::post("http://127.0.0.1/")
        .header("x-amz-target", format!("SageMaker.{operation}"))
        .body(Bytes::from(input.to_string()))
        .expect("a request");
    let response = simulator.handle(request).await;
    assert!(response.status().is_success(), "{:?}", response.body());
    serde_json::from_slice(response.body()).expect("JSON")
}

/// An endpoint `wine` in service whose only variant serves a model with this image.
async fn endpoint(simulator: &Arc<Simulator>, image: &str) {
    let container = json!({"Image": image});
    let model = json!({"ModelName": "m", "PrimaryContainer": container});
    control(simulator, "CreateModel", model).await;
    let variant = json!({
        "VariantName": "production", "ModelName": "m",
        "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
    });
    let config = json!({"EndpointConfigName": "c", "ProductionVariants": [variant]});
    control(simulator, "CreateEndpointConfig", config).await;
    let endpoint = json!({"EndpointName": "wine", "EndpointConfigName": "c"});
    control(simulator, "CreateEndpoint", endpoint).await;
    simulator.advance(SignedDuration::from_mins(1)).await;
}

async fn table(client: &aws_sdk_dynamodb::Client) {
    client
        .create_table()
        .table_name("things")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("pk")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .expect("complete"),
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("pk")
                .key_type(KeyType::Hash)
                .build()
                .expect("complete"),
        )
        .send()
        .await
        .expect("the table is created");
}

fn put_once(key: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name("things")
        .item("pk", AttributeValue::S(key.to_owned()))
        .condition_expression("attribute_not_exists(pk)")
        .build()
        .expect("complete");
    TransactWriteItem::builder().put(put).build()
}

#[tokio::test]
async fn dynamodb_keeps_conditions_and_transactions() {
    let simulator = start();
    let client = client!(aws_sdk_dynamodb, simulator);
    table(&client).await;
    let write = |keys: &[&str]| {
        client
            .transact_write_items()
            .set_transact_items(Some(keys.iter().map(|key| put_once(key)).collect()))
            .send()
    };
    write(&["a", "b"]).await.expect("written");
    let error = write(&["c", "a"])
        .await
        .expect_err("refused")
        .into_service_error();
    assert!(error.is_transaction_canceled_exception(), "{error:?}");
    let found = client
        .get_item()
        .table_name("things")
        .key("pk", AttributeValue::S("c".to_owned()))
        .consistent_read(true)
        .send()
        .await
        .expect("read");
    assert!(found.item.is_none());
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect_and_a_lost_request_none() {
    let simulator = start();
    let client = client!(aws_sdk_dynamodb, simulator);
    table(&client).await;
    let lose = |kind: FaultKind| {
        simulator.inject(Fault {
            service: service::DYNAMODB.to_owned(),
            operation: Some("PutItem".to_owned()),
            skip: 0,
            times: 1,
            kind,
        });
    };
    let put = |key: &str| {
        client
            .put_item()
            .table_name("things")
            .item("pk", AttributeValue::S(key.to_owned()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
    };
    // The SDK retries by itself: after a lost answer its second attempt finds the item already there.
    lose(FaultKind::LoseAnswer);
    let error = put("a").await.expect_err("refused").into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error:?}");
    lose(FaultKind::LoseRequest);
    put("b").await.expect("the retry succeeds");
    let puts = simulator.calls();
    let outcomes: Vec<bool> = puts
        .iter()
        .filter(|call| call.operation == "PutItem")
        .map(|call| call.ok)
        .collect();
    assert_eq!(outcomes, [false, false, false, true]);
}

#[tokio::test]
async fn injected_errors_reach_the_sdk_as_their_types() {
    let simulator = start();
    endpoint(&simulator, "registry/wine:1").await;
    simulator.inject(Fault {
        service: service::SAGEMAKER_RUNTIME.to_owned(),
        operation: None,
        skip: 0,
        times: 1,
        kind: FaultKind::Error {
            status: 530,
            code: "InternalDependencyException".to_owned(),
            message: "not today".to_owned(),
        },
    });
    let client = client!(aws_sdk_sagemakerruntime, simulator);
    let error = client
        .invoke_endpoint()
        .endpoint_name("wine")
        .body(
            Bytes::from_static(b"{}")
                .into_iter()
                .collect::<Vec<u8>>()
                .into(),
        )
        .send()
        .await
        .map_err(aws_sdk_sagemakerruntime::error::SdkError::into_service_error);
    match error {
        // The SDK may retry a 5XX by itself; then the second attempt succeeds.
        Ok(answer) => assert_eq!(answer.invoked_production_variant(), Some("production")),
        Err(error) => assert!(error.is_internal_dependency_exception(), "{error:?}"),
    }
    let first = simulator
        .calls()
        .into_iter()
        .find(|call| call.service == service::SAGEMAKER_RUNTIME);
    assert!(first.is_some_and(|call| !call.ok));
}

#[tokio::test]
async fn sns_takes_messages_with_attributes() {
    let simulator = start();
    let client = client!(aws_sdk_sns, simulator);
    let topic = client
        .create_topic()
        .name("alerts")
        .send()
        .await
        .expect("created");
    let publish = |message: &str| {
        client
            .publish()
            .topic_arn(topic.topic_arn().unwrap_or_default())
            .subject("Canary at 10 %")
            .message_structure("json")
            .message(message)
            .message_attributes(
                "event",
                MessageAttributeValue::builder()
                    .data_type("String")
                    .string_value("rolled & back <é>")
                    .build()
                    .expect("complete"),
            )
            .send()
    };
    let answer = publish(r#"{"default": "text"}"#).await.expect("published");
    let kept = simulator.published();
    assert_eq!(answer.message_id(), Some(kept[0].message_id.as_str()));
    assert_eq!(kept[0].attributes["event"], "rolled & back <é>");
    let error = publish("no json")
        .await
        .expect_err("refused")
        .into_service_error();
    assert!(error.is_invalid_parameter_exception(), "{error:?}");
}

#[tokio::test]
async fn events_and_functions_are_reached() {
    let simulator = start();
    let events = client!(aws_sdk_eventbridge, simulator);
    let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
        .source("canary")
        .detail_type("Started")
        .detail("{\"id\": 1}")
        .build();
    let answer = events
        .put_events()
        .entries(entry)
        .send()
        .await
        .expect("put");
    assert_eq!(answer.failed_entry_count(), 0);
    assert_eq!(simulator.events()[0].detail["id"], 1);

    let echo: Function = Arc::new(|event| Box::pin(async move { Ok(event) }));
    simulator.register_function("echo", echo);
    let lambda = client!(aws_sdk_lambda, simulator);
    let invoke = |kind: InvocationType| {
        lambda
            .invoke()
            .function_name("echo")
            .invocation_type(kind)
            .payload(b"{\"n\":1}".to_vec().into())
            .send()
    };
    let queued = invoke(InvocationType::Event).await.expect("queued");
    assert_eq!(queued.status_code(), 202);
    simulator.run_functions().await;
    assert!(simulator.dropped_events().is_empty());
    let answered = invoke(InvocationType::RequestResponse).await.expect("run");
    let payload = answered.payload().map(|blob| blob.as_ref().to_vec());
    assert_eq!(payload.as_deref(), Some(&b"{\"n\":1}"[..]));
}

#[tokio::test]
async fn scalable_targets_keep_what_a_partial_update_leaves_out() {
    let simulator = start();
    endpoint(&simulator, "registry/wine:1").await;
    let client = client!(aws_sdk_applicationautoscaling, simulator);
    let register = || {
        client
            .register_scalable_target()
            .service_namespace(ServiceNamespace::Sagemaker)
            .resource_id("endpoint/wine/variant/production")
            .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount)
    };
    register()
        .min_capacity(1)
        .max_capacity(9)
        .send()
        .await
        .expect("registered");
    register().min_capacity(4).send().await.expect("registered");
    let targets = client
        .describe_scalable_targets()
        .service_namespace(ServiceNamespace::Sagemaker)
        .send()
        .await
        .expect("described");
    let target = &targets.scalable_targets()[0];
    assert_eq!((target.min_capacity(), target.max_capacity()), (4, 9));
}

/// A model server by the container contract: answers with the attributes it was sent, and 422 to a bad input.
async fn model_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(model_answer)),
            );
        }
    });
    format!("http://{address}")
}

async fn model_answer(
    request: Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
    assert_eq!(request.uri().path(), "/invocations");
    let attributes = request
        .headers()
        .get("x-amzn-sagemaker-custom-attributes")
        .cloned();
    let body = request.into_body().collect().await?.to_bytes();
    let bad = body.as_ref() == b"bad";
    let mut response = http::Response::new(Full::new(body));
    if bad {
        *response.status_mut() = http::StatusCode::UNPROCESSABLE_ENTITY;
    }
    if let Some(attributes) = attributes {
        response
            .headers_mut()
            .insert("x-amzn-sagemaker-custom-attributes", attributes);
    }
    Ok(response)
}

#[tokio::test]
async fn a_loopback_image_is_served_by_the_real_server_and_measured() {
    let simulator = start();
    endpoint(&simulator, &model_server().await).await;
    let client = client!(aws_sdk_sagemakerruntime, simulator);
    let invoke = |body: &str| {
        client
            .invoke_endpoint()
            .endpoint_name("wine")
            .content_type("text/csv")
            .custom_attributes("tier=gold")
            .body(body.as_bytes().to_vec().into())
            .send()
    };
    let answer = invoke("1,2,3").await.expect("answered");
    assert_eq!(answer.custom_attributes(), Some("tier=gold"));
    assert_eq!(answer.body().map(AsRef::as_ref), Some(&b"1,2,3"[..]));
    let error = invoke("bad")
        .await
        .expect_err("refused")
        .into_service_error();
    let aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError::ModelError(
        error,
    ) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(error.original_status_code(), Some(422));
    assert_eq!(error.original_message(), Some("bad"));
    simulator.advance(SignedDuration::from_mins(3)).await;
    assert_eq!(sum(&simulator, "Invocations", "Sum").await, [2.0]);
    assert_eq!(sum(&simulator, "Invocation4XXErrors", "Sum").await, [1.0]);
    assert!(sum(&simulator, "ModelLatency", "Average").await[0] > 0.0);
}

/// The values of a metric of the production variant over the last ten minutes.
async fn sum(simulator: &Arc<Simulator>, metric: &str, stat: &str) -> Vec<f64> {
    let client = client!(aws_sdk_cloudwatch, simulator);
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("AWS/SageMaker")
        .metric_name(metric)
        .dimensions(dimension("EndpointName", "wine"))
        .dimensions(dimension("VariantName", "production"))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(60)
        .stat(stat)
        .build();
    let query = MetricDataQuery::builder().id("q").metric_stat(stat).build();
    let now = simulator.clock().now();
    let instant = |at: Timestamp| DateTime::from_secs(at.as_second());
    let answer = client
        .get_metric_data()
        .metric_data_queries(query)
        .start_time(instant(now - SignedDuration::from_mins(10)))
        .end_time(instant(now))
        .send()
        .await
        .expect("answered");
    answer.metric_data_results()[0].values().to_vec()
}

#[tokio::test]
async fn the_socket_serves_health_and_services_and_stops() {
    let simulator = start();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(Arc::clone(&simulator).serve(listener, async {
        let _ = stopped.await;
    }));
    let configuration = aws_sdk_sns::Config::builder()
        .behavior_version(aws_sdk_sns::config::BehaviorVersion::latest())
        .region(aws_sdk_sns::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_sns::config::Credentials::new(
            "key", "secret", None, None, "test",
        ))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = aws_sdk_sns::Client::from_conf(configuration);
    simulator.inject(Fault {
        service: service::SNS.to_owned(),
        operation: None,
        skip: 0,
        times: 1,
        kind: FaultKind::LoseAnswer,
    });
    client
        .publish()
        .topic_arn("arn:aws:sns:us-east-1:123456789012:alerts")
        .message("m")
        .send()
        .await
        .expect("the SDK's second attempt arrives");
    assert_eq!(simulator.published().len(), 2);
    drop(client);
    stop.send(()).expect("the server still runs");
    tokio::time::timeout(Duration::from_secs(10), server)
        .await
        .expect("the server stops")
        .expect("the server does not panic");
}

#[tokio::test]
async fn hours_of_busy_traffic_take_seconds() {
    let simulator = start();
    endpoint(&simulator, "registry/wine:1").await;
    simulator.set_traffic("wine", 1_000.0);
    let started = std::time::Instant::now();
    simulator.advance(SignedDuration::from_mins(300)).await;
    println!("300 minutes in {:?}", started.elapsed());
    let invocations = sum(&simulator, "Invocations", "Sum").await;
    assert!(
        invocations
            .iter()
            .all(|count| (999.0..=1001.0).contains(count)),
        "{invocations:?}"
    );
}
