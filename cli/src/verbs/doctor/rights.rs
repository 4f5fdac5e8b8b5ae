//! What the endpoint's tags let the caller do, by the rules that the API itself goes by.
//!
//! The tags are read in the caller's own account and region. A stack that was named is in that account
//! too; an address may be of an API anywhere, whose endpoint of that name is another one. Then nothing
//! is concluded from them.

use shared::domain::authority::{Caller, ENABLED_TAG, Grants, Names, Role, Tags, is_enabled};

use crate::account::{Account, Identity, Stack, Tagged};
use crate::output::finding::{Finding, Standing};
use crate::verbs::chain;

/// Reads the tags and judges them.
pub(super) async fn check(
    account: &Account,
    stack: Option<&Stack>,
    endpoint: &str,
    identity: Option<&Identity>,
) -> Finding {
    let (standing, detail) = match account.tags_of(endpoint).await {
        Ok(tagged) => judged(&tagged, stack, identity),
        Err(error) => (
            Standing::Unknown,
            format!(
                "they could not be read; the API goes by its own reading: {}",
                chain(&error)
            ),
        ),
    };
    Finding::new("tags", standing, &detail)
}

fn judged(
    tagged: &Tagged,
    stack: Option<&Stack>,
    identity: Option<&Identity>,
) -> (Standing, String) {
    let Tagged { arn, tags } = tagged;
    let home = stack.and_then(|stack| stack.home.as_ref());
    // Whose API it is decides the caller's name; where that is not known, its own account's.
    let api = home.map(|home| home.account.as_str());
    let caller = identity.and_then(|who| who.seen_from(api.unwrap_or(&who.account)));
    let (standing, detail) = if is_enabled(tags) {
        let opened = format!("{arn} has {ENABLED_TAG}");
        let rights = caller.map(|caller| rights(tags, stack, &caller));
        let detail = match rights {
            Some(rights) => format!("{opened}; {rights}"),
            None => opened,
        };
        (Standing::Ok, detail)
    } else {
        let detail = format!(
            "{arn} is not open to this: aws sagemaker add-tags --resource-arn {arn} --tags Key={ENABLED_TAG},Value=true"
        );
        (Standing::NotOk, detail)
    };
    if api.is_some() {
        return (standing, detail);
    }
    let detail = format!(
        "if the API is of the same account and region, which --stack in place of its address would show: {detail}"
    );
    (Standing::Unknown, detail)
}

/// Role by role, as the API decides it; where an absent tag leaves it to the stack, and that is not known,
/// the parameter that decides.
fn rights(tags: &Tags, stack: Option<&Stack>, caller: &Caller) -> String {
    let parameter = |role: Role| stack.and_then(|stack| stack.parameters.get(role.parameter()));
    let names = |role: Role| parameter(role).map_or_else(Names::default, |text| Names::parse(text));
    let defaults = Grants {
        deployers: names(Role::Deployer),
        approvers: names(Role::Approver),
        invokers: names(Role::Invoker),
    };
    let grants = Grants::of(tags, &defaults);
    let each = Role::ALL.map(|role| {
        let may = match role {
            Role::Deployer => "deploy",
            Role::Approver => "approve",
            Role::Invoker => "invoke",
        };
        let (tag, default) = (role.tag(), role.parameter());
        let is_tagged = tags.contains_key(tag);
        if !is_tagged && parameter(role).is_none() {
            return format!("{may}: as the stack's {default} says");
        }
        match (grants.names(role).hold(caller.name()), is_tagged) {
            (true, _) => format!("{may}: yes"),
            (false, true) => format!("{may}: no, {tag} does not name it"),
            (false, false) => {
                format!("{may}: no, there is no {tag}, and the stack's {default} does not name it")
            }
        }
    });
    format!("what {} may do: {}", caller.name(), each.join("; "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared::domain::authority::Home;

    use super::*;

    const ARN: &str = "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/wine";

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    fn tagged(pairs: &[(&str, &str)]) -> Tagged {
        Tagged {
            arn: ARN.to_owned(),
            tags: texts(pairs),
        }
    }

    fn stack(account: &str) -> Stack {
        Stack {
            home: Home::of(&format!(
                "arn:aws:cloudformation:eu-central-1:{account}:stack/canary/1"
            )),
            parameters: texts(&[
                ("DefaultApprovers", ""),
                ("DefaultInvokers", "Shop Release"),
            ]),
            ..Stack::default()
        }
    }

    fn release() -> Identity {
        Identity {
            account: "123456789012".to_owned(),
            arn: "arn:aws:sts::123456789012:assumed-role/Release/i-0abc".to_owned(),
        }
    }

    #[test]
    fn an_endpoint_that_is_not_open_says_how_to_open_that_one() {
        let (own, identity) = (stack("123456789012"), release());
        for closed in [
            &[][..],
            &[(ENABLED_TAG, "false")],
            &[("canary:deployers", "Release")],
        ] {
            let (standing, detail) = judged(&tagged(closed), Some(&own), Some(&identity));
            assert_eq!(standing, Standing::NotOk);
            assert!(
                detail.contains(&format!("--resource-arn {ARN} ")),
                "{detail}"
            );
        }
    }

    #[test]
    fn rights_are_those_that_the_api_would_find() {
        let open = tagged(&[(ENABLED_TAG, "true"), ("canary:deployers", "Other Release")]);
        let (own, identity) = (stack("123456789012"), release());
        let (standing, detail) = judged(&open, Some(&own), Some(&identity));
        assert_eq!(standing, Standing::Ok);
        let rights = "what Release may do: deploy: yes; \
            approve: no, there is no canary:approvers, and the stack's DefaultApprovers does not name it; \
            invoke: yes";
        assert_eq!(detail, format!("{ARN} has {ENABLED_TAG}; {rights}"));
        // To an API of another account the same caller has another name, which nobody granted anything.
        let (_, detail) = judged(&open, Some(&stack("444455556666")), Some(&identity));
        let abroad =
            "what 123456789012/Release may do: deploy: no, canary:deployers does not name it";
        assert!(detail.contains(abroad), "{detail}");
        let (_, detail) = judged(&open, Some(&own), None);
        assert_eq!(detail, format!("{ARN} has {ENABLED_TAG}"));
    }

    #[test]
    fn nothing_is_concluded_where_the_api_may_be_of_another_account() {
        let identity = release();
        for pairs in [&[][..], &[(ENABLED_TAG, "true")]] {
            let (standing, detail) = judged(&tagged(pairs), None, Some(&identity));
            assert_eq!(standing, Standing::Unknown);
            assert!(
                detail.starts_with("if the API is of the same account") && detail.contains(ARN)
            );
        }
        let (_, detail) = judged(&tagged(&[(ENABLED_TAG, "true")]), None, Some(&identity));
        let unknown = "deploy: as the stack's DefaultDeployers says";
        assert!(detail.contains(unknown), "{detail}");
    }
}
