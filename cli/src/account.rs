//! The caller's own AWS account: credentials as every AWS tool finds them, who they belong to, and what
//! a CloudFormation stack says about its API.
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
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;

use crate::client::exchange::Trust;
use crate::client::signer::Unsigned;
use crate::verbs::chain;

/// The stack's output that holds the API's address.
const OUTPUT: &str = "ApiUrl";
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
pub(crate) struct Caller {
    /// The account's number.
    pub(crate) account: String,
    /// The ARN of the user or the role's session.
    pub(crate) arn: String,
}

impl Caller {
    /// The name that an endpoint's tags give it: the role's, not the session's, `user/NAME`, or
    /// `account/root`.
    pub(crate) fn name(&self) -> Option<String> {
        let resource = self.arn.splitn(6, ':').nth(5)?;
        let mut parts = resource.split('/');
        let name = match parts.next()? {
            "assumed-role" => parts.next()?.to_owned(),
            "user" => format!("user/{}", parts.next_back()?),
            "root" => "account/root".to_owned(),
            _ => return None,
        };
        Some(name)
    }
}

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

    /// The address of the API that this stack made.
    pub(crate) async fn api_of(&self, stack: &str) -> Result<String, AccountError> {
        let region = self.region()?;
        let client = aws_sdk_cloudformation::Client::new(&self.sdk);
        let answer = client.describe_stacks().stack_name(stack).send().await;
        let answer = answer.map_err(|error| not_described(stack, region, &error))?;
        let output = answer
            .stacks()
            .iter()
            .flat_map(aws_sdk_cloudformation::types::Stack::outputs)
            .find(|output| output.output_key() == Some(OUTPUT));
        output
            .and_then(|output| output.output_value())
            .map(str::to_owned)
            .ok_or_else(|| AccountError::NoApi {
                stack: stack.to_owned(),
            })
    }

    /// Who the credentials belong to. Everybody may ask that.
    pub(crate) async fn caller(&self) -> Result<Caller, AccountError> {
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
        Ok(Caller {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// The tags of an endpoint, with the caller's own rights.
    pub(crate) async fn tags_of(
        &self,
        endpoint: &str,
    ) -> Result<BTreeMap<String, String>, AccountError> {
        let client = aws_sdk_sagemaker::Client::new(&self.sdk);
        let answer = client
            .describe_endpoint()
            .endpoint_name(endpoint)
            .send()
            .await;
        let answer = answer.map_err(|error| untold("sagemaker:DescribeEndpoint", &error))?;
        let arn = answer.endpoint_arn().unwrap_or_default();
        let mut tags = BTreeMap::new();
        let mut pages = client.list_tags().resource_arn(arn).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| untold("sagemaker:ListTags", &error))?;
            for tag in page.tags() {
                let value = tag.value().unwrap_or_default().to_owned();
                tags.insert(tag.key().unwrap_or_default().to_owned(), value);
            }
        }
        Ok(tags)
    }
}

/// A call that failed, of which nothing more is known than its name.
fn untold<E>(call: &'static str, error: &SdkError<E, HttpResponse>) -> AccountError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    without_credentials(error).unwrap_or_else(|| AccountError::Failed {
        call,
        said: said(error.code(), error.message(), error),
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
