//! Finds the service and operation a request is meant for, lets faults strike, and hands it over.
//!
//! All services share one address, so they are told apart by what each protocol carries: the target header, the
//! path of REST and RPC protocols, or, for form-encoded actions, the service in the signature's scope.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::cloudwatch::CloudWatch;
use crate::faults::{Call, FaultKind, service};
use crate::wire::{self, AwsError, Protocol};
use crate::{Lost, Simulator, sts, tagging};

/// How RPC protocols name the tagging API.
const TAGGING: &str = "ResourceGroupsTaggingAPI_20170126";
const FUNCTIONS: &str = "/2015-03-31/functions/";

/// What a request is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    service: &'static str,
    operation: String,
    protocol: Protocol,
    /// The endpoint or function named in the path.
    resource: String,
}

impl Route {
    fn new(service: &'static str, operation: &str, protocol: Protocol) -> Self {
        Self {
            service,
            operation: operation.to_owned(),
            protocol,
            resource: String::new(),
        }
    }

    fn of(self, resource: &str) -> Self {
        Self {
            resource: wire::percent_decode(resource, false),
            ..self
        }
    }
}

/// Answers a request, or loses the answer.
pub(crate) async fn answer(
    simulator: &Arc<Simulator>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Lost> {
    if request.method() == Method::GET && request.uri().path() == "/health" {
        return Ok(wire::json_response(
            StatusCode::OK,
            Protocol::Rest,
            &json!({"status": "ok"}),
        ));
    }
    let request_id = simulator.ids.next();
    let Some(route) = route(&request) else {
        let error = AwsError::unknown_operation(request.uri().path());
        let mut response = error.response(Protocol::Json, &request_id);
        wire::stamp(&mut response, &request_id);
        return Ok(response);
    };
    simulator.catch_up();
    let fault = simulator.faults.strike(route.service, &route.operation);
    let is_silent = fault == Some(FaultKind::Silence);
    let outcome = strike(simulator, fault, &route, &request, &request_id).await;
    simulator.faults.note(Call {
        at: simulator.clock.now(),
        service: route.service,
        operation: route.operation,
        ok: outcome
            .as_ref()
            .is_ok_and(|response| !is_silent && response.status().as_u16() < 400),
    });
    if is_silent {
        return std::future::pending().await;
    }
    outcome.map(|mut response| {
        wire::stamp(&mut response, &request_id);
        response
    })
}

async fn strike(
    simulator: &Arc<Simulator>,
    fault: Option<FaultKind>,
    route: &Route,
    request: &Request<Bytes>,
    request_id: &str,
) -> Result<Response<Bytes>, Lost> {
    if let Some(fault) = &fault
        && let Some(error) = fault.error(route.service)
    {
        return Ok(error.response(route.protocol, request_id));
    }
    if fault == Some(FaultKind::LoseRequest) {
        return Err(Lost);
    }
    let response = dispatch(simulator, route, request)
        .await
        .unwrap_or_else(|error| error.response(route.protocol, request_id));
    if fault == Some(FaultKind::LoseAnswer) {
        return Err(Lost);
    }
    Ok(response)
}

async fn dispatch(
    simulator: &Arc<Simulator>,
    route: &Route,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, AwsError> {
    let now = simulator.clock.now();
    let operation = route.operation.as_str();
    match route.service {
        service::TAGGING => {
            let tagged = simulator.sagemaker.tagged();
            if route.protocol == Protocol::Cbor {
                let input = wire::from_cbor(request.body())?;
                let answer = tagging::handle(&tagged, operation, &input)?;
                return Ok(wire::cbor_response(StatusCode::OK, &answer));
            }
            json_call(request, |input| tagging::handle(&tagged, operation, input))
        }
        service::SAGEMAKER => json_call(request, |input| {
            let sagemaker = &simulator.sagemaker;
            sagemaker.handle(now, &simulator.autoscaling, operation, input)
        }),
        service::AUTOSCALING => json_call(request, |input| {
            let sagemaker = &simulator.sagemaker;
            let scalable =
                |endpoint: &str, variant: &str| sagemaker.check_scalable(endpoint, variant);
            simulator
                .autoscaling
                .handle(now, operation, input, scalable)
        }),
        service::EVENTBRIDGE => json_call(request, |input| {
            let eventbridge = &simulator.eventbridge;
            eventbridge.handle(now, &simulator.ids, operation, input)
        }),
        service::SAGEMAKER_RUNTIME if operation == "InvokeEndpoint" => {
            let (clock, metrics) = (&simulator.clock, &simulator.cloudwatch);
            let sagemaker = &simulator.sagemaker;
            sagemaker
                .invoke(clock, metrics, &route.resource, request)
                .await
        }
        service::LAMBDA => simulator.lambda.handle(&route.resource, request).await,
        service::CLOUDWATCH => Ok(simulator.cloudwatch.handle(now, request)),
        service::DYNAMODB => Ok(simulator.dynamodb.handle(operation, request.body())),
        service::SNS => {
            let fields = wire::form_fields(request.body());
            simulator
                .sns
                .handle(now, &simulator.ids, operation, &fields)
        }
        service::STS => sts::handle(&simulator.ids, operation),
        _ => Err(AwsError::unknown_operation(operation)),
    }
}

fn json_call(
    request: &Request<Bytes>,
    operation: impl FnOnce(&Value) -> Result<Value, AwsError>,
) -> Result<Response<Bytes>, AwsError> {
    let input: Value = if request.body().is_empty() {
        json!({})
    } else {
        serde_json::from_slice(request.body())
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| {
                AwsError::new(
                    400,
                    "SerializationException",
                    "the body is not a JSON object",
                )
            })?
    };
    operation(&input).map(|answer| wire::json_response(StatusCode::OK, Protocol::Json, &answer))
}

fn route(request: &Request<Bytes>) -> Option<Route> {
    let headers = request.headers();
    let path = request.uri().path();
    if CloudWatch::is_for(request) {
        return Some(cloudwatch_route(request));
    }
    if let Some((prefix, operation)) =
        text(headers, "x-amz-target").and_then(|target| target.rsplit_once('.'))
    {
        let service = match prefix {
            "SageMaker" => service::SAGEMAKER,
            "AnyScaleFrontendService" => service::AUTOSCALING,
            "AWSEvents" => service::EVENTBRIDGE,
            "DynamoDB_20120810" => service::DYNAMODB,
            TAGGING => service::TAGGING,
            _ => return None,
        };
        return Some(Route::new(service, operation, Protocol::Json));
    }
    if let Some((TAGGING, operation)) = path
        .strip_prefix("/service/")
        .and_then(|rest| rest.split_once("/operation/"))
    {
        return Some(Route::new(service::TAGGING, operation, Protocol::Cbor));
    }
    if let Some((endpoint, call)) = path
        .strip_prefix("/endpoints/")
        .and_then(|rest| rest.split_once('/'))
    {
        let operation = match call {
            "invocations" => "InvokeEndpoint",
            "async-invocations" => "InvokeEndpointAsync",
            _ => "InvokeEndpointWithResponseStream",
        };
        let route = Route::new(service::SAGEMAKER_RUNTIME, operation, Protocol::Rest);
        return Some(route.of(endpoint));
    }
    if let Some(function) = path
        .strip_prefix(FUNCTIONS)
        .and_then(|rest| rest.strip_suffix("/invocations"))
    {
        return Some(Route::new(service::LAMBDA, "Invoke", Protocol::Rest).of(function));
    }
    query_route(request)
}

fn cloudwatch_route(request: &Request<Bytes>) -> Route {
    if let Some((_, operation)) = request.uri().path().rsplit_once("/operation/") {
        return Route::new(service::CLOUDWATCH, operation, Protocol::Cbor);
    }
    if let Some((_, operation)) =
        text(request.headers(), "x-amz-target").and_then(|target| target.rsplit_once('.'))
    {
        return Route::new(service::CLOUDWATCH, operation, Protocol::Json);
    }
    let action = action(request).unwrap_or_default();
    Route::new(service::CLOUDWATCH, &action, Protocol::Query)
}

fn query_route(request: &Request<Bytes>) -> Option<Route> {
    let fields = wire::form_fields(request.body());
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let action = field("Action")?;
    let service = match (signed_service(request.headers()), field("Version")) {
        (Some("sns"), _) | (None, Some("2010-03-31")) => service::SNS,
        (Some("sts"), _) | (None, Some("2011-06-15")) => service::STS,
        _ => return None,
    };
    Some(Route::new(service, action, Protocol::Query))
}

fn action(request: &Request<Bytes>) -> Option<String> {
    wire::form_fields(request.body())
        .into_iter()
        .find(|(name, _)| name == "Action")
        .map(|(_, action)| action)
}

/// The service in the scope of the signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn signed_service(headers: &HeaderMap) -> Option<&str> {
    let (_, credential) = text(headers, "authorization")?.split_once("Credential=")?;
    credential.split(',').next()?.split('/').nth(3)
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
        let mut builder = Request::post(format!("http://127.0.0.1{path}"));
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder
            .body(Bytes::from(body.to_owned()))
            .expect("a request")
    }

    fn found(path: &str, headers: &[(&str, &str)], body: &str) -> Option<(&'static str, String)> {
        route(&request(path, headers, body)).map(|route| (route.service, route.operation))
    }

    #[test]
    fn services_are_told_apart_by_what_their_protocols_carry() {
        type Case<'case> = (
            &'case str,
            &'case [(&'case str, &'case str)],
            &'case str,
            &'static str,
            &'case str,
        );
        let cases: [Case<'_>; 9] = [
            (
                "/",
                &[(
                    "x-amz-target",
                    "ResourceGroupsTaggingAPI_20170126.GetResources",
                )],
                "{}",
                service::TAGGING,
                "GetResources",
            ),
            (
                "/service/ResourceGroupsTaggingAPI_20170126/operation/GetResources",
                &[("smithy-protocol", "rpc-v2-cbor")],
                "",
                service::TAGGING,
                "GetResources",
            ),
            (
                "/",
                &[("x-amz-target", "SageMaker.DescribeEndpoint")],
                "{}",
                service::SAGEMAKER,
                "DescribeEndpoint",
            ),
            (
                "/",
                &[("x-amz-target", "DynamoDB_20120810.PutItem")],
                "{}",
                service::DYNAMODB,
                "PutItem",
            ),
            (
                "/endpoints/wine/invocations",
                &[],
                "{}",
                service::SAGEMAKER_RUNTIME,
                "InvokeEndpoint",
            ),
            (
                "/2015-03-31/functions/work/invocations",
                &[],
                "{}",
                service::LAMBDA,
                "Invoke",
            ),
            (
                "/",
                &[(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=k/20260105/us-east-1/sns/aws4_request, SignedHeaders=h",
                )],
                "Action=Publish&Version=2010-03-31",
                service::SNS,
                "Publish",
            ),
            (
                "/",
                &[],
                "Action=GetCallerIdentity&Version=2011-06-15",
                service::STS,
                "GetCallerIdentity",
            ),
            (
                "/service/GraniteServiceVersion20100801/operation/GetMetricData",
                &[("smithy-protocol", "rpc-v2-cbor")],
                "",
                service::CLOUDWATCH,
                "GetMetricData",
            ),
        ];
        for (path, headers, body, service, operation) in cases {
            assert_eq!(
                found(path, headers, body),
                Some((service, operation.to_owned()))
            );
        }
        assert_eq!(found("/nowhere", &[], ""), None);
        assert_eq!(found("/", &[("x-amz-target", "Other.Do")], "{}"), None);
    }
}
