//! The model registry around a deployment: whether a version may be deployed, the model that is made of it,
//! and what the registry is told in the end.
//!
//! Everything is looked at before it is changed, so each step may be taken twice, or half. A version's
//! approval is read when the deployment is accepted and once more before its model is made: in between
//! somebody may have taken it back.

use super::carry_out::{Carried, still_fits, write};
use super::health;
use super::ports::{Class, Loaded, PortError, Ports};
use super::refusal::{Refusal, unfit};
use crate::domain::deployment::{Deployment, Lease, Terms};
use crate::domain::model::{ModelView, Unlike};
use crate::domain::protocol;
use crate::domain::registry::{PackageArn, Packages, Round, Standing, Told};
use crate::domain::specification::Specification;
use crate::wire::digest;

/// The new model, and the versions that the deployment is about.
pub(super) struct Challenger {
    /// The model's name.
    pub model: String,
    /// What it and production's are made of, as far as that is known.
    pub packages: Packages,
}

/// The new model, once it is there, or is found fit to be made beside this model of production's.
pub(super) async fn checked<P: Ports>(
    ports: &P,
    specification: &Specification,
    production: &str,
) -> Result<Challenger, Refusal> {
    let Some(package) = specification.package_to_make() else {
        check_model(ports, &specification.model).await?;
        return Ok(Challenger {
            model: specification.model.clone(),
            packages: specification.packages.clone(),
        });
    };
    check_approval(ports, package).await?;
    let serving = check_role(ports, production).await?;
    let model = free_name(ports, specification, package, &serving).await?;
    let former = serving
        .package
        .and_then(|arn| PackageArn::parse(&arn).ok())
        // A group that is not the stack's to tell anything is left alone, and no reason to refuse.
        .filter(|former| {
            former.home() == package.home() && ports.settings().groups.allow(&former.group())
        });
    let packages = Packages {
        new: Some(package.clone()),
        former,
    };
    Ok(Challenger { model, packages })
}

async fn check_model<P: Ports>(ports: &P, name: &str) -> Result<(), Refusal> {
    if ports.model(name).await?.is_some() {
        return Ok(());
    }
    let detail = format!(
        "there is no model {name} in this account and region; check the name, or create it first"
    );
    Err(unfit("model-not-found", "model", detail))
}

async fn check_approval<P: Ports>(ports: &P, package: &PackageArn) -> Result<(), Refusal> {
    let refuse = |kind, detail| Err(unfit(kind, "model_package", detail));
    match ports.package(package).await {
        Err(error) if error.class == Class::Invalid => {
            let detail = format!(
                "model package {package} can't be described ({}); check the group and the version",
                error.message
            );
            refuse("model-package-not-found", detail)
        }
        Err(error) => Err(error.into()),
        Ok(view) => match view.unfit(package, ports.settings().packages) {
            Some(why) => refuse(why.kind, why.detail),
            None => Ok(()),
        },
    }
}

/// Production's model, whose execution role the new one is to have.
async fn check_role<P: Ports>(ports: &P, production: &str) -> Result<ModelView, Refusal> {
    let serving = ports.model(production).await?;
    let Some(role) = serving.as_ref().and_then(|it| it.execution_role.as_ref()) else {
        let detail = format!(
            "the new model gets the execution role of {production}, which production serves, and that was deleted or has none; make a model of the package and name it with `model`"
        );
        return Err(unfit("execution-role-unknown", "model_package", detail));
    };
    if let Some(outside) = ports.settings().outside_model_role(production, role) {
        return Err(outside.into());
    }
    Ok(serving.unwrap_or_default())
}

/// The name under which the new model is there, or is to be made: the version's own, unless a model of the
/// version has that one which was made beside another production. That one can't be changed, and neither
/// endpoint may get what was made for the other.
async fn free_name<P: Ports>(
    ports: &P,
    specification: &Specification,
    package: &PackageArn,
    serving: &ModelView,
) -> Result<String, Refusal> {
    let name = specification.model.clone();
    let refuse = |name: &str, unlike: &Unlike| {
        let detail = taken(name, package, unlike);
        Err(unfit("model-name-taken", "model_package", detail))
    };
    let there = ports.model(&name).await?;
    match there.and_then(|there| there.unlike(package, serving)) {
        None => return Ok(name),
        Some(unlike @ Unlike::OfAnother) => return refuse(&name, &unlike),
        Some(Unlike::Otherwise(_)) => {}
    }
    let name = package.model_name_with(&digest(serving.likeness().as_bytes()));
    if let Some(outside) = ports.settings().outside_model(specification, &name) {
        return Err(outside.into());
    }
    let there = ports.model(&name).await?;
    match there.and_then(|there| there.unlike(package, serving)) {
        Some(unlike) => refuse(&name, &unlike),
        None => Ok(name),
    }
}

fn taken(name: &str, package: &PackageArn, unlike: &Unlike) -> String {
    format!(
        "the model of {package} is to be called {name}, and a model of that name is there that {unlike}; delete that one where no endpoint is on it, or make a model of the package under another name and name it with `model`"
    )
}

/// Sees to it that the new model is there, where it is to be made of a package.
pub(super) async fn prepare_model<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    lease: &Lease,
) -> Result<(), PortError> {
    let terms = &deployment.terms;
    let Some(package) = terms.packages.to_make(terms.undoes.as_deref()) else {
        return Ok(());
    };
    let view = ports.package(package).await?;
    if let Some(why) = view.unfit(package, ports.settings().packages) {
        return refused("DescribeModelPackage", why.detail);
    }
    if is_there(ports, terms, package).await? {
        return Ok(());
    }
    still_fits(ports, lease)?;
    let made = ports.make_model(&terms.model, package, &terms.former_model, &terms.id);
    match made.await {
        // What another deployment of the same version, or an earlier try, made meanwhile.
        Err(error) if error.class == Class::Invalid => {
            if is_there(ports, terms, package).await? {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

/// Not for good: somebody may still approve the version, and the name may get free.
fn refused<T>(operation: &'static str, why: String) -> Result<T, PortError> {
    Err(PortError::new(Class::Refused, operation, why))
}

/// Whether the new model is there as it would be made now. Another deployment may have made one since this
/// one was accepted, beside another production.
async fn is_there<P: Ports>(
    ports: &P,
    terms: &Terms,
    package: &PackageArn,
) -> Result<bool, PortError> {
    let Some(there) = ports.model(&terms.model).await? else {
        return Ok(false);
    };
    let production = &terms.former_model;
    let Some(serving) = ports.model(production).await? else {
        let what = format!(
            "model {production}, which production serves and after which the new one is to be made, was deleted"
        );
        return refused("DescribeModel", what);
    };
    match there.unlike(package, &serving) {
        None => Ok(true),
        Some(unlike) => refused("DescribeModel", taken(&terms.model, package, &unlike)),
    }
}

/// Tells the registry how the deployment came out, and keeps whether that went well. What goes wrong is
/// reported and tried again later: it is nobody's emergency.
pub(super) async fn register<P: Ports>(ports: &P, loaded: Loaded) -> Result<Carried, PortError> {
    let round = tell(ports, &loaded.deployment).await;
    note(ports, loaded, &round).await?;
    Ok(match round.refusal {
        None => Carried::Done,
        Some(why) => Carried::NotYet(why),
    })
}

/// Version by version, what is not so yet. What becomes of one is nothing to the other: neither of them is
/// left untold for the other's sake.
async fn tell<P: Ports>(ports: &P, deployment: &Deployment) -> Round {
    let mut round = Round::default();
    let mut refusals = Vec::new();
    for wanted in deployment.standings() {
        match told(ports, &wanted).await {
            Ok(says) => round.told.push(Told {
                package: wanted.package,
                says,
            }),
            Err(error) => {
                health::report(ports, Some(&deployment.terms.id), &error);
                refusals.push(error.to_string());
            }
        }
    }
    round.refusal = (!refusals.is_empty()).then(|| refusals.join("; "));
    round
}

/// What the registry says of the version in the end, in words. Of one that it does not know any more
/// there is nothing left to say.
async fn told<P: Ports>(ports: &P, wanted: &Standing) -> Result<String, PortError> {
    let package = &wanted.package;
    let found = match ports.package(package).await {
        Err(error) if error.class == Class::Invalid => {
            let why = error.message;
            return Ok(format!(
                "{package} can't be described any more and is left as it is ({why})"
            ));
        }
        described => described?,
    };
    if let Some(left) = wanted.over(&found) {
        ports.update_package(&left).await?;
    }
    Ok(wanted.in_words_over(&found))
}

/// Other writers are re-read: what the registry was told is true whatever they wrote.
async fn note<P: Ports>(ports: &P, mut loaded: Loaded, round: &Round) -> Result<(), PortError> {
    let id = loaded.deployment.terms.id.clone();
    for _ in 0..5 {
        let Some(next) = protocol::registered(&loaded.deployment, round, ports.now()) else {
            return Ok(());
        };
        match write(ports, &loaded, &next).await {
            Err(error) if error.class == Class::Conflict => {}
            other => return other.map(drop),
        }
        match ports.load(&id).await? {
            Some(again) => loaded = again,
            None => return Ok(()),
        }
    }
    // Not kept: it is looked at, and told, once more.
    Ok(())
}
