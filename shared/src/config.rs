//! Settings from the environment, read once when a function starts: a missing one fails the cold
//! start, not the first invocation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::audience::Audience;
use crate::domain::authority::{Grants, Home, Names, Patterns, Settings};
use crate::domain::cost::PriceList;
use crate::domain::quantity::Span;
use crate::domain::registry::Accepted;

/// What a function needs to know about its stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The stack's name, by which its figures are told from another's.
    pub stack: String,
    /// The table's name.
    pub table: String,
    /// The stack's own topic.
    pub topic: String,
    /// Topics that audiences have to themselves, beside the stack's.
    pub audiences: BTreeMap<Audience, String>,
    /// The event bus.
    pub bus: String,
    /// The function names.
    pub functions: FunctionNames,
    /// Who may do what.
    pub access: Settings,
    /// How long one raise or UpdateEndpoint may take, wall clock.
    pub call_timeout: Duration,
    /// How many times faster than the wall clock the deployment's clock runs: 1, except in the
    /// local mode, where leases must scale with it.
    pub speed: f64,
    /// Whether waits between tries take time: not on a clock that only a test moves.
    pub waits: bool,
}

/// Names of the functions that others wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionNames {
    /// `deploy`, as provision.
    pub provision: String,
    /// `traffic-shift`.
    pub traffic_shift: String,
    /// `rollback`.
    pub rollback: String,
}

/// A setting that is missing, or can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set as the stack's template sets it")]
pub struct MissingSetting(pub &'static str);

impl Config {
    /// How long one call may take in a Lambda function.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Room for clocks that differ, on top of the call's own time.
    const LEASE_MARGIN: Duration = Duration::from_secs(20);

    /// From the environment.
    pub fn from_env() -> Result<Self, MissingSetting> {
        Ok(Self {
            stack: required("CANARY_STACK")?,
            table: required("CANARY_TABLE")?,
            topic: required("CANARY_TOPIC_ARN")?,
            audiences: audiences(variable),
            bus: required("CANARY_BUS")?,
            functions: FunctionNames {
                provision: required("CANARY_FUNCTION_PROVISION")?,
                traffic_shift: required("CANARY_FUNCTION_TRAFFIC_SHIFT")?,
                rollback: required("CANARY_FUNCTION_ROLLBACK")?,
            },
            access: access(variable)?,
            call_timeout: Self::CALL_TIMEOUT,
            speed: 1.0,
            waits: true,
        })
    }

    /// For `inference`, which wakes nobody and tells nobody. The topic's ARN says in which account
    /// and region the endpoints are.
    pub fn for_inference() -> Result<Self, MissingSetting> {
        let nobody = FunctionNames {
            provision: String::new(),
            traffic_shift: String::new(),
            rollback: String::new(),
        };
        Ok(Self {
            stack: required("CANARY_STACK")?,
            table: required("CANARY_TABLE")?,
            topic: required("CANARY_TOPIC_ARN")?,
            audiences: BTreeMap::new(),
            bus: String::new(),
            functions: nobody,
            access: access(variable)?,
            call_timeout: Self::CALL_TIMEOUT,
            speed: 1.0,
            waits: true,
        })
    }

    /// Longer than a call can still land, in the deployment's own time.
    pub fn lease(&self) -> Span {
        self.own_time(self.call_timeout + Self::LEASE_MARGIN)
    }

    /// How long after its start a call can still land, in the deployment's own time.
    pub fn landing(&self) -> Span {
        self.own_time(self.call_timeout)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a bounded timeout, above zero"
    )]
    fn own_time(&self, wall: Duration) -> Span {
        Span::from_secs((wall.as_secs_f64() * self.speed.max(1.0)).ceil() as u64)
    }
}

/// Who may do what. What is not set allows nobody, but for the lists that narrow what every
/// deployer may ask for: without them there is nothing to narrow. One that is set and empty allows
/// nothing.
fn access(given: impl Fn(&'static str) -> Option<String>) -> Result<Settings, MissingSetting> {
    const TOPIC: &str = "CANARY_TOPIC_ARN";
    let text = |name, unset: &str| given(name).unwrap_or_else(|| unset.to_owned());
    let names = |name| Names::parse(&text(name, ""));
    let patterns = |name, unset| Patterns::parse(&text(name, unset));
    let topic = text(TOPIC, "");
    Ok(Settings {
        defaults: Grants {
            deployers: names("CANARY_DEPLOYERS"),
            approvers: names("CANARY_APPROVERS"),
            invokers: names("CANARY_INVOKERS"),
        },
        models: patterns("CANARY_MODELS", "*"),
        topics: patterns("CANARY_TOPICS", ""),
        endpoints: patterns("CANARY_ENDPOINTS", "*").lowercase(),
        roles: patterns("CANARY_EXECUTION_ROLES", ""),
        groups: patterns("CANARY_PACKAGE_GROUPS", "*").lowercase(),
        packages: Accepted::parse(&text("CANARY_PACKAGE_APPROVALS", "")),
        preconditions: names("CANARY_PRECONDITIONS"),
        approvals: given("CANARY_APPROVAL_URL").filter(|address| !address.is_empty()),
        by_tag: true,
        home: Home::of(&topic).ok_or(MissingSetting(TOPIC))?,
        topic,
        prices: PriceList::parse(&text("CANARY_PRICES", "")),
    })
}

/// The topics of their own that the stack's parameters give to audiences.
fn audiences(given: impl Fn(&'static str) -> Option<String>) -> BTreeMap<Audience, String> {
    let settings = [
        (Audience::OnCall, "CANARY_TOPIC_ON_CALL"),
        (Audience::MlTeam, "CANARY_TOPIC_ML_TEAM"),
        (Audience::FinOps, "CANARY_TOPIC_FINOPS"),
    ];
    let own = settings.into_iter().filter_map(|(audience, name)| {
        let topic = given(name).filter(|topic| !topic.is_empty())?;
        Some((audience, topic))
    });
    own.collect()
}

fn required(name: &'static str) -> Result<String, MissingSetting> {
    optional(name).ok_or(MissingSetting(name))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the environment enters"
)]
fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok()
}

fn optional(name: &'static str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}

/// What is logged, as the template's `RUST_LOG` says.
pub(crate) fn log_filter() -> Option<String> {
    optional("RUST_LOG")
}

/// Where AWS is called. The credentials are the SDK's own to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The region, which Lambda always sets.
    pub region: String,
    /// Another address than AWS's own, for every service.
    pub endpoint: Option<String>,
    /// Another address for one service, by the name that `AWS_ENDPOINT_URL_` begins:
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
    pub services: BTreeMap<String, String>,
    /// Whether to call endpoints whose cryptography is validated under FIPS 140.
    pub fips: bool,
    /// Whether to call endpoints that can be reached over IPv6.
    pub dual_stack: bool,
    /// The file that tells the time of a simulated account; nothing else may set the time.
    pub clock: Option<PathBuf>,
}

/// Why a function can't tell where AWS is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// A setting that is missing.
    #[error(transparent)]
    Missing(#[from] MissingSetting),
    /// A clock of one's own would move leases and deadlines of a real account.
    #[error(
        "CANARY_CLOCK is for a simulated account alone: AWS_ENDPOINT_URL, and each AWS_ENDPOINT_URL_SERVICE there \
         is, has to be http://127.0.0.1:PORT"
    )]
    ClockOfARealAccount,
    /// The clock's file has no timestamp.
    #[error("CANARY_CLOCK names {0}, which holds no timestamp")]
    UnreadableClock(PathBuf),
}

impl Account {
    /// From the variables that the SDKs share, and `CANARY_CLOCK`.
    pub fn from_env() -> Result<Self, AccountError> {
        let is_on = |name| optional(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Self {
            region: required("AWS_REGION")?,
            endpoint: optional("AWS_ENDPOINT_URL"),
            services: services(),
            fips: is_on("AWS_USE_FIPS_ENDPOINT"),
            dual_stack: is_on("AWS_USE_DUALSTACK_ENDPOINT"),
            clock: optional("CANARY_CLOCK").map(PathBuf::from),
        }
        .checked()
    }

    fn checked(self) -> Result<Self, AccountError> {
        let is_simulated = self.endpoint.as_deref().is_some_and(is_on_loopback)
            && self
                .services
                .values()
                .all(|address| is_on_loopback(address));
        if self.clock.is_some() && !is_simulated {
            return Err(AccountError::ClockOfARealAccount);
        }
        Ok(self)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the names that begin like this are the environment's to choose"
)]
fn services() -> BTreeMap<String, String> {
    let name_of = |name: &str| Some(name.strip_prefix("AWS_ENDPOINT_URL_")?.to_owned());
    std::env::vars_os()
        .filter_map(|(name, address)| Some((name.into_string().ok()?, address.into_string().ok()?)))
        .filter(|(_, address)| !address.is_empty())
        .filter_map(|(name, address)| Some((name_of(&name)?, address)))
        .collect()
}

/// Only the literal address: a name would be whatever somebody's resolver says.
fn is_on_loopback(endpoint: &str) -> bool {
    endpoint
        .strip_prefix("http://127.0.0.1:")
        .is_some_and(|port| port.trim_end_matches('/').parse::<u16>().is_ok())
}

/// Which of its two roles the `deploy` binary plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeployMode {
    /// Answers the API; may change nothing in SageMaker.
    Api,
    /// Makes configs, updates endpoints, cleans up; reachable by async invoke alone.
    Provision,
}

impl DeployMode {
    /// From `CANARY_MODE`.
    pub fn from_env() -> Result<Self, MissingSetting> {
        match required("CANARY_MODE")?.as_str() {
            "api" => Ok(Self::Api),
            "provision" => Ok(Self::Provision),
            _ => Err(MissingSetting("CANARY_MODE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: (&str, &str) = (
        "CANARY_TOPIC_ARN",
        "arn:aws:sns:eu-central-1:123456789012:canary",
    );

    fn set(variables: &[(&str, &str)]) -> Result<Settings, MissingSetting> {
        access(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_not_set_allows_nobody_and_narrows_nothing() {
        let settings = set(&[TOPIC]).expect("a home");
        assert_eq!(settings.defaults, Grants::default());
        assert!(settings.models.allow("wine-v2") && settings.endpoints.allow("wine"));
        assert!(!settings.topics.allow("canary"));
        assert!(
            !settings
                .roles
                .allow("arn:aws:iam::123456789012:role/serving")
        );
    }

    #[test]
    fn what_is_set_empty_allows_nothing() {
        let settings = set(&[
            TOPIC,
            ("CANARY_MODELS", ""),
            ("CANARY_ENDPOINTS", " "),
            ("CANARY_DEPLOYERS", ""),
            ("CANARY_APPROVAL_URL", ""),
        ]);
        let settings = settings.expect("a home");
        assert_eq!(settings.approvals, None, "the parameter's default");
        assert!(!settings.models.allow("wine-v2") && !settings.endpoints.allow("wine"));
        assert_eq!(settings.defaults, Grants::default());
    }

    #[test]
    fn what_is_set_is_read() {
        let settings = set(&[
            TOPIC,
            ("CANARY_DEPLOYERS", "Release user/anna"),
            ("CANARY_APPROVERS", "OnCall"),
            ("CANARY_INVOKERS", "Shop"),
            ("CANARY_MODELS", "wine-* beer-?"),
            ("CANARY_TOPICS", "canary-*"),
            ("CANARY_ENDPOINTS", "Wine-*"),
            ("CANARY_PRICES", "ml.c6i.large=0.102"),
            ("CANARY_APPROVAL_URL", "https://canary.example.com"),
            ("CANARY_PACKAGE_APPROVALS", "Approved PendingManualApproval"),
            ("CANARY_PACKAGE_GROUPS", "Wine-*"),
        ]);
        let settings = settings.expect("a home");
        let approvals = settings.approvals.as_deref();
        assert_eq!(approvals, Some("https://canary.example.com"));
        assert!(settings.packages.pending);
        assert!(settings.groups.allow("wine-quality") && !settings.groups.allow("beer"));
        assert_eq!(settings.prices.of("ml.c6i.large"), Some(0.102));
        assert!(settings.defaults.deployers.hold("user/anna"));
        assert!(settings.defaults.approvers.hold("OnCall"));
        assert!(settings.defaults.invokers.hold("Shop"));
        assert!(settings.models.allow("beer-2") && !settings.models.allow("beer-22"));
        assert!(settings.topics.allow("canary-wine"));
        assert!(
            settings.endpoints.allow("wine-quality"),
            "in lower case, as in ARNs"
        );
    }

    /// A rollback has to be ordered all the same.
    #[test]
    fn a_price_that_is_none_fails_no_start() {
        let given = "ml.c6i.large=free ml.m5.large=0.115";
        let settings = set(&[TOPIC, ("CANARY_PRICES", given)]).expect("settings");
        assert_eq!(settings.prices.of("ml.c6i.large"), None);
        assert_eq!(settings.prices.of("ml.m5.large"), Some(0.115));
    }

    /// A function that did not start over it would keep rollbacks waiting.
    #[test]
    fn only_what_is_approved_is_deployed_unless_the_parameter_says_otherwise() {
        assert!(!set(&[TOPIC]).expect("a home").packages.pending);
        for odd in ["", "Rejected", "approved", "*"] {
            let settings = set(&[TOPIC, ("CANARY_PACKAGE_APPROVALS", odd)]);
            assert!(!settings.expect("a home").packages.pending, "{odd}");
        }
    }

    #[test]
    fn a_stack_has_a_home() {
        for variables in [&[][..], &[("CANARY_TOPIC_ARN", "canary")]] {
            assert_eq!(set(variables), Err(MissingSetting("CANARY_TOPIC_ARN")));
        }
    }

    #[test]
    fn a_clock_of_its_own_is_for_a_simulated_account_alone() {
        let clock = Some(PathBuf::from("clock"));
        let account = |endpoint: Option<&str>, service: Option<&str>| {
            let services = service.map(|address| ("SAGEMAKER".to_owned(), address.to_owned()));
            let account = Account {
                region: "eu-central-1".to_owned(),
                endpoint: endpoint.map(str::to_owned),
                services: services.into_iter().collect(),
                fips: false,
                dual_stack: false,
                clock: clock.clone(),
            };
            account.checked()
        };
        for endpoint in [
            None,
            Some("https://127.0.0.1:4566"),
            Some("http://localhost:4566"),
            Some("http://127.0.0.1.example.com:80"),
            Some("http://127.0.0.1:80@example.com"),
            Some("http://127.0.0.1"),
            Some("https://sagemaker.eu-central-1.amazonaws.com"),
        ] {
            assert_eq!(
                account(endpoint, None),
                Err(AccountError::ClockOfARealAccount),
                "{endpoint:?}"
            );
        }
        assert_eq!(
            account(
                Some("http://127.0.0.1:4566"),
                Some("https://sagemaker.eu-central-1.amazonaws.com")
            ),
            Err(AccountError::ClockOfARealAccount)
        );
        for endpoint in ["http://127.0.0.1:4566", "http://127.0.0.1:4566/"] {
            assert!(
                account(Some(endpoint), Some(endpoint)).is_ok(),
                "{endpoint}"
            );
        }
    }
}
