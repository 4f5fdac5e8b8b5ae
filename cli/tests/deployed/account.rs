//! An account on loopback: CloudFormation, STS, SageMaker and Lambda, as far as the binary asks them.

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Who asks, unless it is somebody else.
const RELEASE: &str = "arn:aws:sts::123456789012:assumed-role/Release/build-17";

/// Where the stack's dashboard is.
pub(crate) const CLOUDWATCH: &str = "https://console.aws.amazon.com/cloudwatch/home?region=eu-central-1#dashboards/dashboard/canary-prod";

/// What the account says.
#[derive(Clone)]
pub(crate) struct Account {
    /// The output of the stack `canary-prod`.
    pub(crate) api: String,
    /// Whose credentials they are.
    pub(crate) caller: &'static str,
    /// Whether the caller may read functions.
    pub(crate) shows_functions: bool,
    /// The function whose published version is older than its settings.
    pub(crate) stale: Option<&'static str>,
}

impl Account {
    /// Where all is well.
    pub(crate) fn of(api: &str) -> Self {
        Self {
            api: api.to_owned(),
            caller: RELEASE,
            shows_functions: true,
            stale: None,
        }
    }

    /// Serves it; its address.
    pub(crate) async fn open(self) -> String {
        let router =
            Router::new().fallback(async move |uri: Uri, headers: HeaderMap, body: Bytes| {
                let body = String::from_utf8(body.to_vec()).expect("a form or JSON");
                let target = headers
                    .get("x-amz-target")
                    .and_then(|target| target.to_str().ok());
                match target {
                    Some("SageMaker.DescribeEndpoint") => json_of(&json!({
                        "EndpointName": "wine", "EndpointStatus": "InService",
                        "EndpointArn": "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/wine",
                        "CreationTime": 1.0, "LastModifiedTime": 1.0,
                    })),
                    Some("SageMaker.ListTags") => json_of(&json!({"Tags": [
                        {"Key": "canary:enabled", "Value": "true"},
                        {"Key": "canary:deployers", "Value": "Release"},
                    ]})),
                    Some(other) => panic!("{other} is not asked"),
                    None if uri.path().starts_with("/2015-03-31/functions/") => self.function(&uri),
                    None => self.query(&body),
                }
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// `GetFunctionConfiguration`.
    fn function(&self, uri: &Uri) -> Response {
        if !self.shows_functions {
            let why = json!({"Message": "User: Release is not authorized to perform it"});
            let kind = [("x-amzn-errortype", "AccessDeniedException")];
            return (StatusCode::FORBIDDEN, kind, why.to_string()).into_response();
        }
        let name = uri.path().split('/').nth(3).expect("a name");
        let live = match uri.query() {
            Some("Qualifier=live") => true,
            Some("Qualifier=%24LATEST") => false,
            other => panic!("{other:?} of {name}"),
        };
        let is_old = live && self.stale == Some(name);
        let (models, timeout) = if is_old {
            ("narrow-*", 10)
        } else {
            ("wine-*", 29)
        };
        json_of(&json!({
            "FunctionName": name, "Timeout": timeout, "MemorySize": 256, "CodeSha256": "c0de",
            "Version": if live { "7" } else { "$LATEST" },
            "Environment": {"Variables": {"CANARY_MODELS": models, "CANARY_BUS": "default"}},
        }))
    }

    fn query(&self, body: &str) -> Response {
        let error = |status: StatusCode, code: &str, message: &str| {
            let xml = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
            );
            (status, [("content-type", "text/xml")], xml).into_response()
        };
        if body.contains("Action=GetCallerIdentity") {
            let caller = self.caller;
            return xml_of(format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{caller}</Arn><UserId>A:b</UserId>\
                 <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            ));
        }
        match body.split("StackName=").nth(1) {
            Some("canary-prod") => stack(&format!(
                "<member><OutputKey>TableName</OutputKey><OutputValue>t</OutputValue></member>\
                 <member><OutputKey>ApiUrl</OutputKey><OutputValue>{}</OutputValue></member>\
                 <member><OutputKey>DashboardUrl</OutputKey><OutputValue>{CLOUDWATCH}</OutputValue></member>",
                self.api
            )),
            Some("another") => stack(""),
            Some("closed") => error(
                StatusCode::FORBIDDEN,
                "AccessDenied",
                "User is not authorized",
            ),
            _ => error(
                StatusCode::BAD_REQUEST,
                "ValidationError",
                "Stack with id missing does not exist",
            ),
        }
    }
}

fn stack(outputs: &str) -> Response {
    xml_of(format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>canary-prod</StackName>\
         <StackId>arn:aws:cloudformation:eu-central-1:123456789012:stack/canary-prod/1</StackId>\
         <CreationTime>2026-03-02T10:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Parameters><member><ParameterKey>DefaultApprovers</ParameterKey><ParameterValue>Lead</ParameterValue></member></Parameters>\
         <Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    ))
}

fn xml_of(xml: String) -> Response {
    ([("content-type", "text/xml")], xml).into_response()
}

fn json_of(document: &Value) -> Response {
    (
        [("content-type", "application/x-amz-json-1.1")],
        document.to_string(),
    )
        .into_response()
}
