//! What the stack may be asked for at all, whoever asks: endpoints, models, topics, roles to pass on;
//! and what it knows of prices.
//!
//! The same limits stand in the permissions of the stack's functions. They are told here as well,
//! when a deployment is asked for: a rollout that AWS stops half way would be a poor way to learn
//! of them.

use super::caller::is_account;
use super::grants::{ENABLED_TAG, Grants, Names};
use crate::domain::cost::PriceList;
use crate::domain::registry::{self, PackageArn};
use crate::domain::specification::Specification;

/// Where the stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Like `aws` or `aws-cn`.
    pub partition: String,
    /// Like `eu-central-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl Home {
    /// The home of what this ARN names, if it names a region and an account.
    pub fn of(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, _service, region, account, _resource] = parts[..] else {
            return None;
        };
        let named = partition.starts_with("aws") && !region.is_empty() && is_account(account);
        named.then(|| Self {
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
        })
    }

    /// An endpoint's ARN. SageMaker writes names in ARNs in lower case.
    pub fn endpoint_arn(&self, name: &str) -> String {
        self.endpoint(&name.to_ascii_lowercase())
    }

    /// Every ARN that an endpoint may have: the case of the name in it is seen in AWS's examples and
    /// promised nowhere, and tags that are looked for under another name look like none.
    pub fn endpoint_arns(&self, name: &str) -> Vec<String> {
        let mut arns = vec![self.endpoint_arn(name), self.endpoint(name)];
        arns.dedup();
        arns
    }

    fn endpoint(&self, name: &str) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        format!("arn:{partition}:sagemaker:{region}:{account}:endpoint/{name}")
    }
}

/// Patterns of names, separated by spaces when written; `*` is any run of characters, `?` is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// The patterns of a parameter's value; an empty one allows nothing.
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// The same in lower case.
    #[must_use]
    pub fn lowercase(self) -> Self {
        let patterns = self.0.into_iter();
        Self(
            patterns
                .map(|pattern| pattern.to_ascii_lowercase())
                .collect(),
        )
    }

    /// Whether one of them fits the whole name.
    pub fn allow(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| fits(pattern.as_bytes(), name.as_bytes()))
    }
}

/// In time linear in the product of the lengths, whatever the pattern: after a mismatch only the
/// last star is tried again.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[from] => {
                (at, from) = (at + 1, from + 1);
            }
            _ => match star {
                Some((after, taken)) => {
                    star = Some((after, taken + 1));
                    (at, from) = (after, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

/// What the stack's parameters say about access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who has a role on an endpoint without the tag.
    pub defaults: Grants,
    /// Models that may be deployed (`ModelNames`).
    pub models: Patterns,
    /// Names of topics beside the stack's own that a specification may name
    /// (`NotificationTopics`).
    pub topics: Patterns,
    /// Endpoints that may be deployed to (`EndpointNames`), in lower case.
    pub endpoints: Patterns,
    /// ARNs of roles that a copied config may pass on (`ExecutionRoleArns`).
    pub roles: Patterns,
    /// Groups of the model registry whose versions may be deployed, and told how they came out
    /// (`ModelPackageGroups`), in lower case.
    pub groups: Patterns,
    /// Which versions of model packages may be deployed (`ModelPackageApprovals`).
    pub packages: registry::Accepted,
    /// What every deployment must bring (`RequiredPreconditions`).
    pub preconditions: Names,
    /// Where browsers reach the API, through a proxy that signs (`ApprovalUrl`); without a slash at
    /// the end.
    pub approvals: Option<String>,
    /// Whether an endpoint takes deployments only with its owner's tag. AWS holds a stack to it; a
    /// simulated account has nobody who could.
    pub by_tag: bool,
    /// Where the stack is.
    pub home: Home,
    /// The stack's own topic.
    pub topic: String,
    /// What instances cost (`InstancePrices`), where a specification does not say.
    pub prices: PriceList,
}

/// A request for what the stack does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// A stable word for the kind of problem.
    pub kind: &'static str,
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong, and which parameter of the stack would allow it.
    pub detail: String,
}

impl Settings {
    /// Everything is allowed but what is elsewhere, and nobody has a role: for a stack of one's own
    /// on a simulated account. `None` when this is not the ARN of a topic.
    pub fn open(topic: &str) -> Option<Self> {
        let any = Patterns::parse("*");
        Some(Self {
            defaults: Grants::default(),
            models: any.clone(),
            topics: any.clone(),
            endpoints: any.clone(),
            roles: any.clone(),
            groups: any,
            packages: registry::Accepted { pending: true },
            preconditions: Names::default(),
            approvals: None,
            by_tag: false,
            home: Home::of(topic)?,
            topic: topic.to_owned(),
            prices: PriceList::default(),
        })
    }

    /// The first field that asks for what the stack does not give.
    pub fn outside(&self, specification: &Specification) -> Option<Outside> {
        let Specification {
            endpoint, model, ..
        } = specification;
        if let Some(outside) = self.outside_endpoint(endpoint) {
            return Some(outside);
        }
        if let Some(elsewhere) = specification
            .package_to_make()
            .and_then(|package| self.outside_package(package))
        {
            return Some(elsewhere);
        }
        if let Some(outside) = self.outside_model(specification, model) {
            return Some(outside);
        }
        let mut topics = specification.topics.named();
        topics.find_map(|(field, topic)| self.outside_topic(field, topic))
    }

    /// Why the stack may not touch the endpoint of this name, whatever its capitals; `None` if it may.
    pub fn outside_endpoint(&self, endpoint: &str) -> Option<Outside> {
        (!self.endpoints.allow(&endpoint.to_ascii_lowercase())).then(|| Outside {
            kind: "endpoint-not-allowed",
            field: "endpoint",
            detail: format!(
                "endpoint {endpoint} is not among those that this stack may touch; the stack's parameter EndpointNames says which"
            ),
        })
    }

    /// Why the new model may not be deployed under this name; `None` if it may. The name of one that is
    /// made of a package is in lower case, however somebody has written the group's in the parameter.
    pub fn outside_model(&self, specification: &Specification, model: &str) -> Option<Outside> {
        let is_allowed = match specification.package_to_make() {
            Some(_) => self.models.clone().lowercase().allow(model),
            None => self.models.allow(model),
        };
        (!is_allowed).then(|| Outside {
            kind: "model-not-allowed",
            field: specification.model_field(),
            detail: format!(
                "model {model} is not among those that this stack may deploy; the stack's parameter ModelNames says which"
            ),
        })
    }

    fn outside_package(&self, package: &PackageArn) -> Option<Outside> {
        let Home {
            region, account, ..
        } = &self.home;
        let (kind, detail) = if package.home().as_ref() != Some(&self.home) {
            let detail = format!(
                "model package {package} is not in account {account} and region {region}, and the stack deploys and updates none elsewhere; register the version in its own account and region, or make a model of it and name that with `model`"
            );
            ("model-package-elsewhere", detail)
        } else if !self.groups.allow(&package.group()) {
            let detail = format!(
                "the group of model package {package} is not among those whose versions this stack may deploy and tell how they came out; the stack's parameter ModelPackageGroups says which"
            );
            ("model-not-allowed", detail)
        } else {
            return None;
        };
        Some(Outside {
            kind,
            field: "model_package",
            detail,
        })
    }

    fn outside_topic(&self, field: &'static str, topic: &str) -> Option<Outside> {
        if topic == self.topic {
            return None;
        }
        let Home {
            region, account, ..
        } = &self.home;
        let (kind, detail) = if Home::of(topic).as_ref() != Some(&self.home) {
            let detail = format!(
                "topic {topic} is not in account {account} and region {region}, and the stack publishes nowhere else; name a topic of its own account and region, and forward from there"
            );
            ("topic-elsewhere", detail)
        } else if !self.topics.allow(topic.rsplit(':').next().unwrap_or(topic)) {
            let detail = format!(
                "topic {topic} is not among those that this stack may publish on; the stack's parameter NotificationTopics says which"
            );
            ("topic-not-allowed", detail)
        } else {
            return None;
        };
        Some(Outside {
            kind,
            field,
            detail,
        })
    }

    /// Why an endpoint whose config names this role takes no deployments; `None` if it does. Without
    /// the right to pass the role on, AWS refuses every copy of the config.
    pub fn outside_role(&self, endpoint: &str, role: &str) -> Option<Outside> {
        (!self.roles.allow(role)).then(|| Outside {
            kind: "execution-role-not-allowed",
            field: "endpoint",
            detail: format!(
                "the config of endpoint {endpoint} names the execution role {role}, which this stack may not pass on to a copy; the stack's parameter ExecutionRoleArns says which it may"
            ),
        })
    }

    /// Why no model can be made with this role, which production's model has; `None` if one can.
    pub fn outside_model_role(&self, model: &str, role: &str) -> Option<Outside> {
        (!self.roles.allow(role)).then(|| Outside {
            kind: "execution-role-not-allowed",
            field: "model_package",
            detail: format!(
                "the new model gets the execution role of {model}, which production serves, and this stack may not pass {role} on; the stack's parameter ExecutionRoleArns says which it may"
            ),
        })
    }

    /// Why an endpoint without its opt-in takes no deployments, with the way out.
    pub fn not_enabled(&self, endpoint: &str) -> Outside {
        let arn = self.home.endpoint_arn(endpoint);
        Outside {
            kind: "endpoint-not-enabled",
            field: "endpoint",
            detail: format!(
                "endpoint {endpoint} has not been opened to deployments by its owner; to open it: aws sagemaker add-tags --resource-arn {arn} --tags Key={ENABLED_TAG},Value=true"
            ),
        }
    }
}
