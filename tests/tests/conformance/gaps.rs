//! What a backend is known not to do, each with the reason and with what the failure says. Everything
//! here must fail, and in this way: a gap that closes has to be taken off the list.

/// Something a backend does not do.
pub(crate) struct Gap {
    backend: &'static str,
    covers: Covers,
    /// A part of what the failure says: another failure must not hide behind this one.
    pub(crate) shows: &'static str,
    /// Why that is no fault of the adapters.
    pub(crate) reason: &'static str,
}

enum Covers {
    /// Every case about this service.
    Service(&'static str),
    /// The cases whose names begin like this.
    Cases(&'static str),
}

use Covers::{Cases, Service};

/// The gap that covers a case on a backend.
pub(crate) fn of(backend: &str, service: &str, case: &str) -> Option<&'static Gap> {
    KNOWN.iter().find(|gap| {
        gap.backend == backend
            && match gap.covers {
                Service(covered) => service == covered,
                Cases(beginning) => case.starts_with(beginning),
            }
    })
}

/// What it says of the operation that it does not have.
const TAGS_OF_TARGETS: &str = r#"operation: "ListTagsForResource""#;

const KNOWN: &[Gap] = &[
    Gap {
        backend: "simulator",
        covers: Cases("a queue "),
        shows: "UnknownOperationException",
        reason: "its SNS keeps what is published for the reader and delivers nothing: there is no SQS",
    },
    Gap {
        backend: "simulator",
        covers: Cases("a filter "),
        shows: "UnknownOperationException",
        reason: "the same",
    },
    Gap {
        backend: "simulator",
        covers: Cases("a topic that is gone"),
        shows: "UnknownOperationException",
        reason: "the same",
    },
    Gap {
        backend: "moto",
        covers: Cases("a metric that nobody sent"),
        shows: "unknown: no message",
        reason: "the same as for all of its CloudWatch, below: here the adapter sorts it",
    },
    Gap {
        backend: "moto",
        covers: Service("monitoring"),
        shows: "expected map",
        reason: "its CloudWatch answers 404 with a page of HTML to the protocol that the Rust SDK speaks",
    },
    Gap {
        backend: "moto",
        covers: Cases("a model made twice"),
        shows: "left: Ok(())",
        reason: "it takes a model of a name that is taken",
    },
    Gap {
        backend: "moto",
        covers: Cases("a model of a version made twice"),
        shows: "left: Ok(())",
        reason: "the same",
    },
    Gap {
        backend: "moto",
        covers: Cases("a version is told its stage"),
        shows: "left: None",
        reason: "it passes over the life cycle",
    },
    Gap {
        backend: "moto",
        covers: Cases("weights move and leave the instances"),
        shows: r#"[("production", 0, 0), ("canary", 0, 0)]"#,
        reason: "a change of weights alone removes the instance counts",
    },
    Gap {
        backend: "moto",
        covers: Cases("an update "),
        shows: "InDoubt",
        reason: "it has no UpdateEndpoint, and answers 500 with a page of HTML",
    },
    Gap {
        backend: "moto",
        covers: Cases("a copied config keeps explainer config"),
        shows: "dropped when it was made",
        reason: "DescribeEndpointConfig leaves it out",
    },
    Gap {
        backend: "moto",
        covers: Cases("a copied config keeps shadow production variants"),
        shows: "dropped when it was made",
        reason: "DescribeEndpointConfig leaves it out",
    },
    Gap {
        backend: "moto",
        covers: Cases("a copied config keeps execution role arn"),
        shows: "dropped when it was made",
        reason: "DescribeEndpointConfig leaves it out",
    },
    Gap {
        backend: "moto",
        covers: Cases("a copied config keeps vpc config"),
        shows: "dropped when it was made",
        reason: "DescribeEndpointConfig leaves it out",
    },
    Gap {
        backend: "moto",
        covers: Cases("a copied config keeps enable network isolation"),
        shows: "dropped when it was made",
        reason: "DescribeEndpointConfig leaves it out",
    },
    Gap {
        backend: "moto",
        covers: Cases("a copied config keeps metrics config"),
        shows: "dropped when it was made",
        reason: "DescribeEndpointConfig leaves it out",
    },
    Gap {
        backend: "moto",
        covers: Cases("a field that the sdk does not know"),
        shows: "left: []",
        reason: "it keeps the fields that it knows",
    },
    Gap {
        backend: "moto",
        covers: Cases("a floor above the ceiling"),
        shows: "left: Ok(())",
        reason: "it takes any bounds",
    },
    Gap {
        backend: "moto",
        covers: Cases("a floor of no target"),
        shows: "left: Ok(())",
        reason: "it makes a target without a ceiling",
    },
    Gap {
        backend: "moto",
        covers: Cases("a target is deregistered with its policies"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags, and policies outlive their target",
    },
    Gap {
        backend: "moto",
        covers: Cases("a target comes back as it was registered"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags",
    },
    Gap {
        backend: "moto",
        covers: Cases("a policy on a metric of cloudwatch comes back"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags",
    },
    Gap {
        backend: "moto",
        covers: Cases("a suspended target comes back suspended"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags",
    },
    Gap {
        backend: "moto",
        covers: Cases("a floor moves and leaves the rest"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags",
    },
    Gap {
        backend: "moto",
        covers: Cases("a floor moves and leaves what is suspended"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags",
    },
    Gap {
        backend: "moto",
        covers: Cases("a policy put twice is one policy"),
        shows: TAGS_OF_TARGETS,
        reason: "targets have no tags",
    },
    Gap {
        backend: "moto",
        covers: Cases("a target that is gone"),
        shows: "ValidationException: No scalable target found",
        reason: "the documented ObjectNotFoundException is a ValidationException here",
    },
    Gap {
        backend: "ministack",
        covers: Cases("a version "),
        shows: "Unsupported service: sagemaker",
        reason: "it has no SageMaker, which these cases ask themselves",
    },
    Gap {
        backend: "ministack",
        covers: Cases("a model of a version "),
        shows: "Unsupported service: sagemaker",
        reason: "it has no SageMaker, which these cases ask themselves",
    },
    Gap {
        backend: "ministack",
        covers: Cases("a model that is not there "),
        shows: "Unsupported service: sagemaker",
        reason: "it has no SageMaker, which these cases ask themselves",
    },
    Gap {
        backend: "ministack",
        covers: Service("sagemaker"),
        shows: "InDoubt",
        reason: "it has no SageMaker",
    },
    Gap {
        backend: "ministack",
        covers: Service("autoscaling"),
        shows: "InDoubt",
        reason: "it has no SageMaker to scale",
    },
    Gap {
        backend: "ministack",
        covers: Cases("slow requests are counted"),
        shows: "41200",
        reason: "a statistic that it does not know, TC or PR, is answered with the average",
    },
];
