//! The caller's own AWS account: credentials as every AWS tool finds them, who they belong to, what a
//! CloudFormation stack says about its API, and what an endpoint and the stack's functions are set to.
//!
//! Credentials come from the SDK's default chain (environment, profiles with roles, SSO and processes,
//! web identity, containers, instances), or from one profile alone where `--profile` names it: keys in
//! the environment would otherwise win over the name that was just typed. Every look goes through a new
//! chain, because a chain keeps what it once read of the files, and a sign-in in another terminal
//! changes them.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{TracingMode, VpcConfigResponse};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use shared::domain::authority::{Caller, Home, Tags};

use crate::client::exchange::Trust;
use crate::client::signer::Unsigned;
use crate::verbs::chain;

/// The stack's output that holds the API's address.
const OUTPUT: &str = "ApiUrl";
/// The one that holds its dashboard's in CloudWatch.
const DASHBOARD: &str = "DashboardUrl";
/// One attempt of a call to AWS.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// A call with all its attempts.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Why the account does not say what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// Nothing names a region.
    #[error("no AWS region is set: name it with --region, AWS_REGION or the profile's `region`")]
    NoRegion,
    /// There are no credentials.
    #[error(transparent)]
    Credentials(Unsigned),
    /// No such stack.
    #[error(
        "there is no stack {stack} in {region} in this account; check --stack, --region and --profile"
    )]
    NoStack {
        /// As it was given.
        stack: String,
        /// Where it was looked for.
        region: String,
    },
    /// The stack is of something else.
    #[error(
        "stack {stack} has no output {OUTPUT}; is it a stack of sagemaker-canary, and is it complete?"
    )]
    NoApi {
        /// As it was given.
        stack: String,
    },
    /// The caller may not look.
    #[error("the caller may not {action}; allow it{otherwise}: {said}")]
    Denied {
        /// What is missing.
        action: &'static str,
        /// How to do without it.
        otherwise: &'static str,
        /// What AWS said.
        said: String,
    },
    /// The call failed.
    #[error("AWS did not answer {call}: {said}")]
    Failed {
        /// What was asked.
        call: &'static str,
        /// What happened.
        said: String,
    },
}

impl AccountError {
    /// A stable word for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoRegion => "no-region",
            Self::Credentials(unsigned) => unsigned.kind(),
            Self::NoStack { .. } => "stack-not-found",
            Self::NoApi { .. } => "stack-without-api",
            Self::Denied { .. } => "access-denied",
            Self::Failed { .. } => "aws-unavailable",
        }
    }

    /// Whether it is the credentials that are missing or over, whatever was asked for.
    pub(crate) fn is_about_credentials(&self) -> bool {
        matches!(self, Self::Credentials(_))
    }
}

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The account's number.
    pub(crate) account: String,
    /// The ARN of the user or the role's session.
    pub(crate) arn: String,
}

impl Identity {
    /// Who this is to an API of that account; `None` for whom no API takes.
    pub(crate) fn seen_from(&self, account: &str) -> Option<Caller> {
        Caller::of(&self.arn, account)
    }
}

/// A stack, as CloudFormation describes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stack {
    /// Its name, even where it was asked for by its ARN.
    pub(crate) name: String,
    /// Where it is, if its ARN can be read.
    pub(crate) home: Option<Home>,
    /// What its parameters are set to.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The address of its API.
    pub(crate) api: String,
    /// The address of its dashboard in CloudWatch.
    pub(crate) dashboard: Option<String>,
}

/// An endpoint's tags, and which endpoint that is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tagged {
    /// The endpoint's ARN.
    pub(crate) arn: String,
    /// All of them.
    pub(crate) tags: Tags,
}

/// What a version of a function is frozen with, by name: its variables, and what else a template sets.
pub(crate) type FunctionSettings = BTreeMap<String, String>;

/// An account in a region.
#[derive(Debug)]
pub(crate) struct Account {
    sdk: SdkConfig,
}

impl Account {
    /// As the AWS tools would find it, but for what is given here.
    pub(crate) async fn find(profile: Option<&str>, region: Option<&str>, trust: &Trust) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_LIMIT)
            .operation_timeout(CALL_LIMIT)
            .build();
        let region = region.map(|name| Region::new(name.to_owned()));
        let http = trust.sdk_client();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .http_client(http.clone());
        if let Some(name) = profile {
            loader = loader.profile_name(name);
        }
        if let Some(region) = &region {
            loader = loader.region(region.clone());
        }
        let fresh = Fresh {
            profile: profile.map(str::to_owned),
            region,
            http,
        };
        Self {
            sdk: loader.credentials_provider(fresh).load().await,
        }
    }

    /// The region, if anything names one.
    pub(crate) fn region(&self) -> Result<String, AccountError> {
        let region = self.sdk.region().ok_or(AccountError::NoRegion)?;
        Ok(region.to_string())
    }

    /// Where credentials come from.
    pub(crate) fn credentials(&self) -> SharedCredentialsProvider {
        self.sdk
            .credentials_provider()
            .expect("it was given when the configuration was made")
    }

    /// A stack that has an API.
    pub(crate) async fn stack(&self, stack: &str) -> Result<Stack, AccountError> {
        let region = self.region()?;
        let client = aws_sdk_cloudformation::Client::new(&self.sdk);
        let answer = client.describe_stacks().stack_name(stack).send().await;
        let answer = answer.map_err(|error| not_described(stack, region, &error))?;
        let no_api = || AccountError::NoApi {
            stack: stack.to_owned(),
        };
        let found = answer.stacks().first().ok_or_else(no_api)?;
        let output = |key: &str| {
            let mut outputs = found.outputs().iter();
            let found = outputs.find(|output| output.output_key() == Some(key));
            found.and_then(|output| output.output_value())
        };
        let api = output(OUTPUT);
        // A browser is led there, so it is a page or nothing.
        let dashboard = output(DASHBOARD).filter(|url| url.starts_with("https://"));
        let parameters = found.parameters().iter().filter_map(|parameter| {
            let value = parameter.parameter_value()?.to_owned();
            Some((parameter.parameter_key()?.to_owned(), value))
        });
        Ok(Stack {
            name: found.stack_name().unwrap_or(stack).to_owned(),
            home: found.stack_id().and_then(Home::of),
            parameters: parameters.collect(),
            api: api.ok_or_else(no_api)?.to_owned(),
            dashboard: dashboard.map(str::to_owned),
        })
    }

    /// Who the credentials belong to. Everybody may ask that.
    pub(crate) async fn identity(&self) -> Result<Identity, AccountError> {
        let client = aws_sdk_sts::Client::new(&self.sdk);
        let answer = client.get_caller_identity().send().await;
        let answer = answer.map_err(|error| match error.code() {
            // STS looks at every caller: whom it refuses nobody else will take.
            Some("InvalidClientTokenId" | "ExpiredToken" | "ExpiredTokenException") => {
                let words = error.message().unwrap_or_default().to_owned();
                AccountError::Credentials(Unsigned::Credentials(CredentialsError::provider_error(
                    words,
                )))
            }
            _ => untold("sts:GetCallerIdentity", &error),
        })?;
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// The tags of an endpoint, with the caller's own rights.
    pub(crate) async fn tags_of(&self, endpoint: &str) -> Result<Tagged, AccountError> {
        let client = aws_sdk_sagemaker::Client::new(&self.sdk);
        let answer = client
            .describe_endpoint()
            .endpoint_name(endpoint)
            .send()
            .await;
        let answer = answer.map_err(|error| untold("sagemaker:DescribeEndpoint", &error))?;
        let arn = answer.endpoint_arn().unwrap_or_default().to_owned();
        let mut tags = Tags::new();
        let mut pages = client
            .list_tags()
            .resource_arn(&arn)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| untold("sagemaker:ListTags", &error))?;
            for tag in page.tags() {
                let value = tag.value().unwrap_or_default().to_owned();
                tags.insert(tag.key().unwrap_or_default().to_owned(), value);
            }
        }
        Ok(Tagged { arn, tags })
    }

    /// What a function is set to in this version, or in the one that this alias points to.
    pub(crate) async fn function(
        &self,
        name: &str,
        qualifier: &str,
    ) -> Result<FunctionSettings, AccountError> {
        const CALL: &str = "lambda:GetFunctionConfiguration";
        let client = aws_sdk_lambda::Client::new(&self.sdk);
        let answer = client
            .get_function_configuration()
            .function_name(name)
            .qualifier(qualifier)
            .send()
            .await;
        let answer = answer.map_err(|error| untold(CALL, &error))?;
        if let Some(error) = answer.environment().and_then(|all| all.error()) {
            let code = error.error_code().unwrap_or("for no reason that is told");
            return Err(AccountError::Failed {
                call: CALL,
                said: format!("the variables of {name} can't be read: {code}"),
            });
        }
        Ok(settings_of(&answer))
    }
}

/// Variables by their own names, which have no small letters here, and the rest in small ones.
fn settings_of(answer: &GetFunctionConfigurationOutput) -> FunctionSettings {
    let number = |number: Option<i32>| number.unwrap_or_default().to_string();
    let joined = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.join(" ")
    };
    let network = answer.vpc_config();
    let tracing = answer.tracing_config().and_then(|tracing| tracing.mode());
    let subnets = network.map_or(&[][..], VpcConfigResponse::subnet_ids);
    let groups = network.map_or(&[][..], VpcConfigResponse::security_group_ids);
    let own = [
        ("code", answer.code_sha256().unwrap_or_default().to_owned()),
        ("timeout", number(answer.timeout())),
        ("memory", number(answer.memory_size())),
        (
            "tracing",
            tracing.map_or("", TracingMode::as_str).to_owned(),
        ),
        ("subnets", joined(subnets)),
        ("security groups", joined(groups)),
    ];
    let variables = answer.environment().and_then(|all| all.variables());
    let mut settings: FunctionSettings = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (name, value) in variables.into_iter().flatten() {
        settings.insert(name.clone(), value.clone());
    }
    settings
}

/// A call that failed in no way of its own.
fn untold<E>(call: &'static str, error: &SdkError<E, HttpResponse>) -> AccountError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    without_credentials(error).unwrap_or_else(|| match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => AccountError::Denied {
            action: call,
            otherwise: "",
            said: error.message().unwrap_or_default().to_owned(),
        },
        code => AccountError::Failed {
            call,
            said: said(code, error.message(), error),
        },
    })
}

fn not_described(
    stack: &str,
    region: String,
    error: &SdkError<DescribeStacksError, HttpResponse>,
) -> AccountError {
    if let Some(error) = without_credentials(error) {
        return error;
    }
    let message = error.message().unwrap_or_default();
    match error.code() {
        Some("ValidationError") if message.contains("does not exist") => AccountError::NoStack {
            stack: stack.to_owned(),
            region,
        },
        Some("AccessDenied" | "AccessDeniedException") => AccountError::Denied {
            action: "cloudformation:DescribeStacks",
            otherwise: ", or name the address with --api or CANARY_API",
            said: message.to_owned(),
        },
        code => AccountError::Failed {
            call: "cloudformation:DescribeStacks",
            said: said(code, error.message(), error),
        },
    }
}

/// What AWS said, or what kept it from saying anything.
fn said(code: Option<&str>, message: Option<&str>, error: &dyn std::error::Error) -> String {
    match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => chain(error),
    }
}

/// The SDK wraps what the chain of credentials said several times over.
fn without_credentials(error: &(dyn std::error::Error + 'static)) -> Option<AccountError> {
    let mut next = Some(error);
    while let Some(link) = next {
        if let Some(error) = link.downcast_ref::<CredentialsError>() {
            return Some(AccountError::Credentials(Unsigned::Credentials(copy_of(
                error,
            ))));
        }
        next = link.source();
    }
    None
}

/// The error is borrowed from the SDK's and can't be cloned; its kind and its words can.
fn copy_of(error: &CredentialsError) -> CredentialsError {
    let cause = std::error::Error::source(error)
        .map(chain)
        .unwrap_or_default();
    match error {
        CredentialsError::CredentialsNotLoaded(_) => CredentialsError::not_loaded(cause),
        CredentialsError::InvalidConfiguration(_) => CredentialsError::invalid_configuration(cause),
        CredentialsError::ProviderTimedOut(late) => {
            CredentialsError::provider_timed_out(late.timeout_duration())
        }
        _ => CredentialsError::provider_error(cause),
    }
}

/// Credentials by a new chain at each look.
#[derive(Debug)]
struct Fresh {
    profile: Option<String>,
    region: Option<Region>,
    http: SharedHttpClient,
}

impl Fresh {
    async fn look(&self) -> Result<Credentials, CredentialsError> {
        let config = ProviderConfig::without_region()
            .with_region(self.region.clone())
            .with_http_client(self.http.clone());
        if let Some(name) = &self.profile {
            let profile = ProfileFileCredentialsProvider::builder()
                .profile_name(name)
                .configure(&config)
                .build();
            return profile.provide_credentials().await.map_err(|error| {
                // Of a chain it would only mean that the next one is asked.
                if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
                    let words = format!("profile {name} gives none: {}", chain(&error));
                    return CredentialsError::invalid_configuration(words);
                }
                error
            });
        }
        let mut chain = DefaultCredentialsChain::builder().configure(config);
        chain.set_region(self.region.clone());
        chain.build().await.provide_credentials().await
    }
}

impl ProvideCredentials for Fresh {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.look())
    }
}
