//! `canary doctor`: is the setup right, and if not, what has to be done?
//!
//! The checks go from the address outwards to the endpoint, and those that depend on one that failed
//! are left out: their errors would only repeat it. Whether an endpoint can take a canary the API says
//! itself, by a plan that does nothing; tags and functions are read with the caller's own rights, which
//! may not reach that far. Nothing is changed by any of it.
//!
//! | module | looks at |
//! |---|---|
//! | `rights` | the endpoint's tags, judged by the API's own rules |
//! | `settings` | whether the functions run with what they are set to |

mod rights;
mod settings;

use serde::Deserialize;
use serde_json::json;
use shared::wire::problem::Problem;

use crate::account::{Account, Identity, Stack};
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

/// Asked for where no model is named. It is not there; once the API has got as far as to say so, it has
/// found nothing against the endpoint itself.
const NO_MODEL: &str = "canary-doctor-asks";

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
    let stack = place.stack.as_ref();
    let identity = match (&place.account, place.client.signer()) {
        (Some(account), Some(signer)) => credentials(account, stack, signer, &mut findings).await?,
        _ => None,
    };
    if findings.is_well && reachable(&place.client, &mut findings).await? {
        findings.say(&listing(&place.client).await)?;
        if let Some(account) = &place.account {
            findings.say(&settings::check(account, stack).await)?;
        }
        if let Some(endpoint) = &args.endpoint {
            let model = args.model.as_deref();
            findings.say(&canary_fits(&place.client, endpoint, model).await)?;
            if let Some(account) = &place.account {
                findings.say(&rights::check(account, stack, endpoint, identity.as_ref()).await)?;
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
    stack: Option<&Stack>,
    signer: &Signer,
    findings: &mut Findings<'_, '_>,
) -> Result<Option<Identity>, Failure> {
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
    let (standing, detail, identity) = match account.identity().await {
        Ok(identity) => {
            let (standing, mut words) = named(&identity, stack);
            if standing == Standing::Ok {
                words.push_str(&until);
            }
            (standing, words, Some(identity))
        }
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
    Ok(identity)
}

/// Whose they are, and by which name the API knows that one. A stack that was named says of which
/// account its API is; an address does not.
fn named(identity: &Identity, stack: Option<&Stack>) -> (Standing, String) {
    let Identity { account, arn } = identity;
    let home = stack.and_then(|stack| stack.home.as_ref());
    let api = home.map_or(account.as_str(), |home| home.account.as_str());
    match identity.seen_from(api) {
        None => {
            let detail = format!(
                "{arn} has no name that could be granted anything, so the API takes nothing from it: use the credentials of a role or a user"
            );
            (Standing::NotOk, detail)
        }
        Some(caller) if home.is_some() => {
            let name = caller.name();
            let detail = format!("{arn} of account {account}, who is {name} to the API");
            (Standing::Ok, detail)
        }
        Some(_) => (Standing::Ok, format!("{arn} of account {account}")),
    }
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
            let detail = format!(
                "the API is {told} and this is {own}, and either may not know what the other says: build `canary` from the sources of {told}, or upgrade the stack to {own}"
            );
            Finding::new("version", Standing::Unknown, &detail)
        }
        None => {
            let detail = format!(
                "this is {own}; the API is of a version that does not tell: upgrade the stack to {own}"
            );
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

/// Asks for a plan. Its refusals come in a fixed order: the caller, a deployment that is not over (a
/// pipeline that is run again asks while its own is under way, so that is no failure), the endpoints and
/// models that the stack may be asked for at all, the endpoint and what cannot take a canary, the model, and last scaling
/// and the policy's limits. So a stack that narrows its models may say no more of the endpoint than that
/// it may be asked for.
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
        Err(ClientError::Problem(problem))
            if is(&problem, "model-not-allowed") && model.is_none() =>
        {
            finding(
                Standing::Unknown,
                &format!(
                    "the caller may deploy to {endpoint}, of models that the stack's ModelNames allows: name one with --model to have the endpoint looked at"
                ),
            )
        }
        Err(ClientError::Problem(problem)) if is(&problem, "endpoint-locked") => {
            let id = problem.deployment_id.as_deref().unwrap_or("that it has");
            finding(
                Standing::Unknown,
                &format!(
                    "{endpoint} has a deployment that is not over, {id}: no other begins meanwhile, and what the next one would meet can't be told yet; the request that began this one, made again under the same key, finds it"
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

#[cfg(test)]
mod tests {
    use shared::domain::authority::Home;

    use super::*;

    #[test]
    fn a_caller_is_named_as_the_api_names_it() {
        let home = |account: &str| Stack {
            home: Home::of(&format!(
                "arn:aws:cloudformation:eu-central-1:{account}:stack/canary/1"
            )),
            ..Stack::default()
        };
        let own = home("123456789012");
        let said = |arn: &str, stack: Option<&Stack>| {
            let identity = Identity {
                account: "123456789012".to_owned(),
                arn: arn.to_owned(),
            };
            named(&identity, stack)
        };
        let role = "arn:aws:sts::123456789012:assumed-role/Release/i-0abc";
        for (arn, name) in [
            (role, "who is Release to"),
            (
                "arn:aws:iam::123456789012:user/team/anna",
                "who is user/anna to",
            ),
            ("arn:aws:iam::123456789012:root", "who is account/root to"),
        ] {
            let (standing, detail) = said(arn, Some(&own));
            assert_eq!(standing, Standing::Ok);
            assert!(detail.contains(name), "{detail}");
        }
        let (_, abroad) = said(role, Some(&home("444455556666")));
        assert!(
            abroad.contains("who is 123456789012/Release to"),
            "{abroad}"
        );
        // An address does not tell whose API it is.
        let (standing, unnamed) = said(role, None);
        assert!(
            standing == Standing::Ok && !unnamed.contains("who is"),
            "{unnamed}"
        );
        for stack in [None, Some(&own)] {
            let (standing, federated) = said("arn:aws:sts::123456789012:federated-user/x", stack);
            assert_eq!(standing, Standing::NotOk);
            assert!(federated.contains("a role or a user"), "{federated}");
        }
    }
}
