//! Finding the API: from `--api`, from a stack's outputs, or on this machine.
//!
//! What was typed wins over the environment, and an address over a stack. Only a deployed stack makes
//! the program look at the caller's AWS settings at all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::account::{Account, AccountError, Stack};
use crate::client::Client;
use crate::client::address::{Address, DEFAULT_API, Kind};
use crate::client::exchange::{Trust, TrustError};
use crate::client::signer::Signer;
use crate::output::printable;

/// Where the API is and who asks it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Where the API is (also: CANARY_API); by default where `canary local` listens. Requests over https
    /// are signed with the caller's AWS credentials.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "stack")]
    api: Option<String>,
    /// The CloudFormation stack whose output ApiUrl says where the API is (also: CANARY_STACK_NAME).
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
    /// The AWS profile to sign with; without it credentials are found as by every AWS tool.
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// The AWS region of the stack, where the address and the profile do not name it.
    #[arg(long, global = true, value_name = "NAME")]
    region: Option<String>,
    /// The only CA certificates to believe, in PEM (also: AWS_CA_BUNDLE).
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    // What the environment says has arguments of its own, which are hidden: the usage that clap prints beside an
    // error has every shown one that has a value, and would ask people for what nobody has to type.
    #[arg(long, global = true, env = "AWS_CA_BUNDLE", hide = true)]
    environment_ca_file: Option<OsString>,
    #[arg(long, global = true, env = "CANARY_API", hide = true)]
    environment_api: Option<String>,
    #[arg(long, global = true, env = "CANARY_STACK_NAME", hide = true)]
    environment_stack: Option<String>,
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Not an address that can be spoken to.
    #[error("{api} can't be the API: {why}")]
    Address {
        /// As it was given.
        api: String,
        /// What is wrong with it and the way out.
        why: &'static str,
    },
    /// TLS has nobody to believe.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The account does not say.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl PlaceError {
    /// A stable word for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Address { .. } => "unfit-address",
            Self::Trust(_) => "unfit-ca-file",
            Self::Account(error) => error.kind(),
        }
    }
}

/// What names the API.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named<'a> {
    Api(&'a str, &'static str),
    Stack(&'a str, &'static str),
}

/// The API, found.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where it is.
    pub(crate) address: Address,
    /// What said so.
    pub(crate) origin: String,
    /// Who asks, where requests are signed.
    pub(crate) account: Option<Account>,
    /// The stack it is of, where one was named.
    pub(crate) stack: Option<Stack>,
    /// The way to it.
    pub(crate) client: Client,
}

impl PlaceArgs {
    fn named(&self) -> Named<'_> {
        let choices = [
            (&self.api, Named::Api as fn(_, _) -> _, "--api"),
            (&self.stack, Named::Stack, "--stack"),
            (&self.environment_api, Named::Api, "CANARY_API"),
            (&self.environment_stack, Named::Stack, "CANARY_STACK_NAME"),
        ];
        for (value, named, origin) in choices {
            // A variable that is set to nothing is not set.
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                return named(value, origin);
            }
        }
        Named::Api(DEFAULT_API, "the default")
    }

    /// Finds the API and makes the way to it.
    pub(crate) async fn find(&self) -> Result<Place, PlaceError> {
        match self.named() {
            Named::Api(api, origin) => {
                let address = parsed(api)?;
                if address.is_loopback() {
                    return Ok(Place {
                        client: Client::on_loopback(&address),
                        address,
                        origin: origin.to_owned(),
                        account: None,
                        stack: None,
                    });
                }
                let trust = self.trust()?;
                let region = self.region.as_deref().or(match &address.kind {
                    Kind::Deployed { region } => region.as_deref(),
                    Kind::Loopback => None,
                });
                let account = Account::find(self.profile.as_deref(), region, &trust).await;
                deployed(address, origin.to_owned(), account, &trust)
            }
            Named::Stack(stack, origin) => {
                let trust = self.trust()?;
                let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
                let account = Account::find(profile, region, &trust).await;
                let found = account.stack(stack).await?;
                let origin = format!("stack {stack} ({origin})");
                let place = deployed(parsed(&found.api)?, origin, account, &trust)?;
                Ok(Place {
                    stack: Some(found),
                    ..place
                })
            }
        }
    }

    fn trust(&self) -> Result<Trust, TrustError> {
        // A path that is empty clap would refuse; a variable that is set to nothing is not set.
        let environment = self.environment_ca_file.as_deref().map(Path::new);
        let environment = environment.filter(|file| !file.as_os_str().is_empty());
        Trust::of(self.ca_file.as_deref().or(environment))
    }
}

fn parsed(api: &str) -> Result<Address, PlaceError> {
    Address::parse(api).map_err(|why| PlaceError::Address {
        api: printable(&without_password(api)),
        why,
    })
}

/// What stands before an @ may be a password, and goes into no log.
fn without_password(api: &str) -> String {
    match (api.find("://"), api.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &api[..scheme + 3], &api[at..])
        }
        _ => api.to_owned(),
    }
}

/// A stack's address that a stack of somebody else's put on loopback is no deployed one.
fn deployed(
    address: Address,
    origin: String,
    account: Account,
    trust: &Trust,
) -> Result<Place, PlaceError> {
    let region = match &address.kind {
        Kind::Loopback => {
            return Err(PlaceError::Address {
                api: address.url,
                why: "a deployed stack is reached over https",
            });
        }
        // The host knows best: a profile's region is where people usually work.
        Kind::Deployed {
            region: Some(region),
        } => region.clone(),
        Kind::Deployed { region: None } => account.region()?,
    };
    let signer = Signer::new(account.credentials(), region);
    Ok(Place {
        client: Client::signed(&address, signer, trust),
        address,
        origin,
        account: Some(account),
        stack: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_wins_and_an_address_before_a_stack() {
        let mut args = PlaceArgs::default();
        assert_eq!(args.named(), Named::Api(DEFAULT_API, "the default"));
        args.environment_stack = Some("by-variable".to_owned());
        assert_eq!(
            args.named(),
            Named::Stack("by-variable", "CANARY_STACK_NAME")
        );
        args.environment_api = Some("https://variable".to_owned());
        assert_eq!(args.named(), Named::Api("https://variable", "CANARY_API"));
        args.stack = Some("typed".to_owned());
        assert_eq!(args.named(), Named::Stack("typed", "--stack"));
        // Set to nothing.
        args.stack = Some(String::new());
        args.environment_api = Some(String::new());
        assert_eq!(
            args.named(),
            Named::Stack("by-variable", "CANARY_STACK_NAME")
        );
    }

    #[test]
    fn a_password_is_not_said() {
        for (api, said) in [
            ("https://anna:geheim@example.com", "https://…@example.com"),
            ("https://a:b@c@example.com/v1", "https://…@example.com/v1"),
            ("http://10.0.0.1", "http://10.0.0.1"),
            ("@://", "@://"),
        ] {
            assert_eq!(without_password(api), said);
        }
    }
}
