//! Where the API is, and whether requests to it are signed.
//!
//! The address alone decides: http on loopback is the local mode and takes unsigned requests, https
//! is a deployed stack and takes signed ones. There is nothing in between, so no setting can make an
//! unsigned request leave the machine.

use std::net::IpAddr;

use http::Uri;

/// Where `canary local` listens unless told otherwise.
pub(crate) const DEFAULT_API: &str = "http://127.0.0.1:8686";

/// An address that may be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it was given, without a slash at its end.
    pub(crate) url: String,
    /// How requests get there.
    pub(crate) kind: Kind,
}

/// How requests get to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unsigned, over plain HTTP, and never off this machine.
    Loopback,
    /// Signed, over TLS.
    Deployed {
        /// The AWS region that the host names; a domain of the stack's own names none.
        region: Option<String>,
    },
}

impl Address {
    /// Takes a URL apart; says what is wrong with one that can't be spoken to.
    pub(crate) fn parse(api: &str) -> Result<Self, &'static str> {
        const NO_URL: &str = "it is not a URL like https://abc123.execute-api.eu-central-1.amazonaws.com/v1, \
                              or http://127.0.0.1:8686 for `canary local`";
        let url = api.trim_end_matches('/');
        let address: Uri = url.parse().map_err(|_| NO_URL)?;
        let (Some(scheme), Some(host)) = (address.scheme_str(), address.host()) else {
            return Err(NO_URL);
        };
        if address.query().is_some() || url.contains(['#', '@']) {
            return Err("user, query and fragment have no place in it");
        }
        let kind = match scheme {
            "http" if is_loopback(host) => Kind::Loopback,
            "http" => {
                return Err(
                    "plain http is spoken on loopback alone, as `canary local` serves it; \
                     a deployed stack is reached over https",
                );
            }
            "https" => Kind::Deployed {
                region: region_of(host).map(str::to_owned),
            },
            _ => return Err(NO_URL),
        };
        Ok(Self {
            url: url.to_owned(),
            kind,
        })
    }

    /// Whether it is the local mode's.
    pub(crate) fn is_loopback(&self) -> bool {
        self.kind == Kind::Loopback
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// `abc.execute-api.eu-central-1.amazonaws.com` → `eu-central-1`. So do the hosts of China, of private
/// APIs (`abc-vpce-0123.execute-api.…`, `vpce-0123.execute-api.REGION.vpce.amazonaws.com`) and of FIPS.
fn region_of(host: &str) -> Option<&str> {
    let mut labels = host.split('.');
    labels.find(|label| matches!(*label, "execute-api" | "execute-api-fips"))?;
    let region = labels.next()?;
    let fits = region.matches('-').count() >= 2
        && region
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    fits.then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_goes_without_a_signature() {
        for api in [
            "http://127.0.0.1:8686",
            "http://127.1.2.3/dev/",
            "http://[::1]:8686",
            "http://localhost:1",
            "http://LOCALHOST",
        ] {
            let address = Address::parse(api).expect(api);
            assert!(address.is_loopback(), "{api}");
            assert!(!address.url.ends_with('/'), "{api}");
        }
        for api in [
            "https://abc.execute-api.eu-central-1.amazonaws.com/v1",
            "https://127.0.0.1:8686",
            "https://canary.example.com",
        ] {
            assert!(!Address::parse(api).expect(api).is_loopback(), "{api}");
        }
    }

    #[test]
    fn what_can_t_be_spoken_to_is_refused() {
        for (api, why) in [
            ("http://10.0.0.1:8686", "loopback alone"),
            ("http://localhost.example.com", "loopback alone"),
            (
                "http://abc.execute-api.eu-central-1.amazonaws.com/v1",
                "loopback alone",
            ),
            ("http://2130706433/", "loopback alone"),
            ("http://127.0.0.1@example.com/", "no place"),
            ("https://key:secret@example.com/v1", "no place"),
            ("http://127.0.0.1:1/?a=b", "no place"),
            ("127.0.0.1:8686", "not a URL"),
            ("ftp://127.0.0.1", "not a URL"),
            ("/v1", "not a URL"),
            ("", "not a URL"),
        ] {
            let error = Address::parse(api).expect_err(api);
            assert!(error.contains(why), "{api}: {error}");
        }
    }

    #[test]
    fn the_host_names_the_region() {
        for (host, region) in [
            (
                "abc.execute-api.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            (
                "abc.execute-api.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            (
                "abc.execute-api-fips.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            (
                "abc-vpce-0123.execute-api.us-east-1.amazonaws.com",
                Some("us-east-1"),
            ),
            (
                "vpce-0123-x.execute-api.us-east-1.vpce.amazonaws.com",
                Some("us-east-1"),
            ),
            ("canary.example.com", None),
            ("execute-api.example.com", None),
            ("execute-api", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
