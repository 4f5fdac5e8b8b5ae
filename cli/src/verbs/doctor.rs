//! `canary doctor`: is the setup right, and if not, what has to be done?
//!
//! The checks go from the address outwards to the endpoint, and those that depend on one that failed
//! are left out: their errors would only repeat it. Whether an endpoint can take a canary the API says
//! itself, by a plan that does nothing; the tags are read with the caller's own rights, which may not
//! reach that far. Nothing is changed by any of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use shared::wire::problem::Problem;

use crate::account::{Account, Caller};
use crate::client::exchange::Answer;
use crate::client::refusal::{SKEW_LIMIT, skew_of, skew_words};
use crate::client::signer::{Signer, Unsigned};
use crate::client::{Client, ClientError, ListFilter};
use crate::exit::Exit;
use crate::output::Output;
use crate::output::finding::{Finding, Standing};
use crate::place::{Place, PlaceArgs, PlaceError};

use super::arguments::DoctorArgs;
use super::{Failure, chain};

/// Asked for where no model is named. It is not there, and that it is not is the last thing that the
/// API says about an endpoint that can take a canary.
const NO_MODEL: &str = "canary-doctor-asks";
/// The tag that lets the control plane change an endpoint.
const OPT_IN: &str = "canary:enabled";
/// The tags that name roles, and what those may do.
const ROLES: [(&str, &str); 3] = [
    ("canary:deployers", "deploy"),
    ("canary:approvers", "approve"),
    ("canary:invokers", "invoke"),
];

/// Prints the findings as they come.
pub(super) async fn doctor(
    place: &PlaceArgs,
    args: DoctorArgs,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let mut findings = Findings {
        output,
        is_well: true,
    };
    let place = match place.find().await {
        Ok(place) => place,
        Err(error) => {
            findings.say(&not_found(&error))?;
            return Ok(Exit::Error);
        }
    };
    findings.say(&address(&place))?;
    let caller = match (&place.account, place.client.signer()) {
        (Some(account), Some(signer)) => credentials(account, signer, &mut findings).await?,
        _ => None,
    };
    if findings.is_well && reachable(&place.client, &mut findings).await? {
        findings.say(&listing(&place.client).await)?;
        if let Some(endpoint) = &args.endpoint {
            let model = args.model.as_deref();
            findings.say(&canary_fits(&place.client, endpoint, model).await)?;
            if let Some(account) = &place.account {
                findings.say(&tags(account, endpoint, caller.as_ref()).await)?;
            }
        }
    }
    Ok(if findings.is_well {
        Exit::Done
    } else {
        Exit::Error
    })
}

/// Where findings go, and whether all is well so far.
struct Findings<'a, 'b> {
    output: &'a mut Output<'b>,
    is_well: bool,
}

impl Findings<'_, '_> {
    fn say(&mut self, finding: &Finding) -> Result<(), Failure> {
        self.is_well &= finding.standing != Standing::NotOk;
        self.output.answer(finding, |look| finding.line(look))?;
        Ok(())
    }
}

fn not_found(error: &PlaceError) -> Finding {
    let check = match error {
        PlaceError::Trust(_) => "tls",
        PlaceError::Account(error) if error.is_about_credentials() => "credentials",
        _ => "address",
    };
    Finding::new(check, Standing::NotOk, &chain(error))
}

fn address(place: &Place) -> Finding {
    let (url, origin) = (&place.address.url, &place.origin);
    let how = match place.client.signer() {
        None => "the local mode, nothing is signed".to_owned(),
        Some(signer) => format!("signed for {}", signer.region()),
    };
    Finding::new(
        "address",
        Standing::Ok,
        &format!("{url} by {origin}; {how}"),
    )
}

/// Whether there are credentials, and whose they are.
async fn credentials(
    account: &Account,
    signer: &Signer,
    findings: &mut Findings<'_, '_>,
) -> Result<Option<Caller>, Failure> {
    let held = match signer.credentials().await {
        Ok(held) => held,
        Err(error) => {
            let unsigned = Unsigned::Credentials(error);
            findings.say(&Finding::new(
                "credentials",
                Standing::NotOk,
                &chain(&unsigned),
            ))?;
            return Ok(None);
        }
    };
    let end = held
        .expiry()
        .and_then(|end| jiff::Timestamp::try_from(end).ok());
    let until = end.map_or_else(String::new, |end| format!(", good until {end:.0}"));
    let (standing, detail, caller) = match account.caller().await {
        Ok(caller) => (
            Standing::Ok,
            format!("{} of account {}{until}", caller.arn, caller.account),
            Some(caller),
        ),
        Err(error) if error.is_about_credentials() => (Standing::NotOk, chain(&error), None),
        Err(error) => (
            Standing::Unknown,
            format!(
                "there are credentials{until}, and whose they are can't be told: {}",
                chain(&error)
            ),
            None,
        ),
    };
    findings.say(&Finding::new("credentials", standing, &detail))?;
    Ok(caller)
}

/// One request tells of the network, TLS, the signature, the clock and the version.
async fn reachable(client: &Client, findings: &mut Findings<'_, '_>) -> Result<bool, Failure> {
    let answer = match client.health().await {
        Ok(answer) => answer,
        Err(error) => {
            findings.say(&Finding::new("api", Standing::NotOk, &chain(&error)))?;
            return Ok(false);
        }
    };
    let detail = match client.signer() {
        Some(_) => "it answers over TLS and takes the signature",
        None => "it answers",
    };
    findings.say(&Finding::new("api", Standing::Ok, detail))?;
    if let Some(signer) = client.signer() {
        findings.say(&clock(&answer, signer))?;
    }
    findings.say(&version(&answer))?;
    Ok(true)
}

fn clock(answer: &Answer, signer: &Signer) -> Finding {
    let Some(skew) = skew_of(&answer.headers, signer.now()) else {
        return Finding::new(
            "clock",
            Standing::Unknown,
            "the answer has no date to compare with",
        );
    };
    if skew.abs() > SKEW_LIMIT / 2 {
        let detail = format!(
            "{}, and signatures are refused beyond five minutes: set this machine's clock",
            skew_words(skew)
        );
        return Finding::new("clock", Standing::NotOk, &detail);
    }
    let detail = format!("right to within {} s", skew.abs().as_secs() + 1);
    Finding::new("clock", Standing::Ok, &detail)
}

#[derive(Deserialize)]
struct Health {
    version: Option<String>,
}

/// A command line of another version may not know what the API answers.
fn version(answer: &Answer) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    let told = serde_json::from_slice::<Health>(&answer.body)
        .ok()
        .and_then(|health| health.version);
    match told {
        Some(told) if told == own => Finding::new("version", Standing::Ok, &format!("{own}, both")),
        Some(told) => {
            let detail = format!("the API is {told} and this is {own}: use the same one");
            Finding::new("version", Standing::Unknown, &detail)
        }
        None => {
            let detail = format!("this is {own}; the API does not tell its own");
            Finding::new("version", Standing::Unknown, &detail)
        }
    }
}

async fn listing(client: &Client) -> Finding {
    match client.list(&ListFilter::default(), 1, None).await {
        Ok(page) if page.items.is_empty() => Finding::new(
            "reading",
            Standing::Ok,
            "deployments may be listed; there is none that the caller may see",
        ),
        Ok(_) => Finding::new("reading", Standing::Ok, "deployments may be listed"),
        Err(error) => Finding::new("reading", Standing::NotOk, &chain(&error)),
    }
}

/// Asks for a plan. Its refusals are checked in a fixed order: the caller, the endpoint and what cannot
/// take a canary, then the model, then scaling and the policy's limits.
async fn canary_fits(client: &Client, endpoint: &str, model: Option<&str>) -> Finding {
    let specification = json!({"endpoint": endpoint, "model": model.unwrap_or(NO_MODEL)});
    let finding = |standing, detail: &str| Finding::new("endpoint", standing, detail);
    match client.plan(&specification).await {
        Ok(_) => finding(
            Standing::Ok,
            &format!(
                "{endpoint} can take a canary of {}",
                model.unwrap_or(NO_MODEL)
            ),
        ),
        Err(ClientError::Problem(problem))
            if is(&problem, "model-not-found") && model.is_none() =>
        {
            finding(
                Standing::Ok,
                &format!(
                    "{endpoint} is in service and can take a canary; name one with --model to check its scaling and the policy's limits too"
                ),
            )
        }
        Err(ClientError::Problem(problem)) if problem.status < 500 => {
            finding(Standing::NotOk, &problem.detail)
        }
        Err(error) => finding(Standing::Unknown, &chain(&error)),
    }
}

fn is(problem: &Problem, kind: &str) -> bool {
    problem.kind.rsplit(':').next() == Some(kind)
}

/// What the endpoint's tags say, as far as the caller may read them.
async fn tags(account: &Account, endpoint: &str, caller: Option<&Caller>) -> Finding {
    match account.tags_of(endpoint).await {
        Ok(tags) => {
            let (standing, detail) =
                judged(endpoint, &tags, caller.and_then(Caller::name).as_deref());
            Finding::new("tags", standing, &detail)
        }
        Err(error) => Finding::new(
            "tags",
            Standing::Unknown,
            &format!(
                "they could not be read; the API goes by its own reading: {}",
                chain(&error)
            ),
        ),
    }
}

fn judged(
    endpoint: &str,
    tags: &BTreeMap<String, String>,
    name: Option<&str>,
) -> (Standing, String) {
    if tags.get(OPT_IN).is_none_or(|value| value != "true") {
        let detail = format!(
            "{endpoint} is not open to this: aws sagemaker add-tags --resource-arn ARN-OF-THE-ENDPOINT --tags Key={OPT_IN},Value=true"
        );
        return (Standing::NotOk, detail);
    }
    let Some(name) = name else {
        return (Standing::Ok, format!("{OPT_IN} is set"));
    };
    let rights = ROLES.map(|(tag, may)| match tags.get(tag) {
        None => format!("{may}: as the stack's default says"),
        Some(names) if names.split_whitespace().any(|given| given == name) => format!("{may}: yes"),
        Some(_) => format!("{may}: no, {tag} does not name it"),
    });
    let detail = format!("{OPT_IN} is set; what {name} may do: {}", rights.join("; "));
    (Standing::Ok, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_held_against_the_callers_name() {
        let tags = |pairs: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect::<BTreeMap<_, _>>()
        };
        for closed in [
            &[][..],
            &[(OPT_IN, "false")],
            &[("canary:deployers", "Release")],
        ] {
            let (standing, detail) = judged("wine", &tags(closed), Some("Release"));
            assert_eq!(standing, Standing::NotOk);
            assert!(detail.contains("add-tags"), "{detail}");
        }
        let open = tags(&[
            (OPT_IN, "true"),
            ("canary:deployers", "Other Release"),
            ("canary:approvers", "Other"),
        ]);
        let (standing, detail) = judged("wine", &open, Some("Release"));
        assert_eq!(standing, Standing::Ok);
        for part in [
            "deploy: yes",
            "approve: no",
            "invoke: as the stack's default",
        ] {
            assert!(detail.contains(part), "{detail}");
        }
        assert!(judged("wine", &open, None).1.ends_with("is set"));
    }

    #[test]
    fn a_caller_is_named_as_the_api_names_it() {
        let name = |arn: &str| {
            let caller = Caller {
                account: "123456789012".to_owned(),
                arn: arn.to_owned(),
            };
            caller.name()
        };
        assert_eq!(
            name("arn:aws:sts::123456789012:assumed-role/Release/i-0abc").as_deref(),
            Some("Release")
        );
        assert_eq!(
            name("arn:aws:iam::123456789012:user/team/anna").as_deref(),
            Some("user/anna")
        );
        assert_eq!(
            name("arn:aws:iam::123456789012:root").as_deref(),
            Some("account/root")
        );
        assert_eq!(name("arn:aws:sts::123456789012:federated-user/x"), None);
    }
}
