//! Whether the functions run with what they are set to.
//!
//! They are reached through the alias `live`, which points to a published version, and such a version is
//! frozen with the variables, the time limit and the memory of its day. A stack whose parameters have changed
//! may therefore go on with the old ones, and say nothing: its functions show the new settings, and
//! nobody runs under them. So what is set is held against what is live.

use crate::account::{Account, AccountError, FunctionSettings, Stack};
use crate::output::finding::{Finding, Standing};
use crate::verbs::chain;

/// The functions, as the template calls them after the stack's name.
const FUNCTIONS: [&str; 6] = [
    "deploy-api",
    "deploy-provision",
    "monitor",
    "traffic-shift",
    "rollback",
    "inference",
];
/// What a deployment of the stack has written last.
const SET: &str = "$LATEST";
/// The alias by which every function is reached.
const LIVE: &str = "live";

/// Compares both for every function, as far as the caller may read them.
pub(super) async fn check(account: &Account, stack: Option<&Stack>) -> Finding {
    let finding = |standing, detail: &str| Finding::new("settings", standing, detail);
    let Some(stack) = stack else {
        let detail = "functions are found by their stack: name it with --stack to have their settings compared with what is live";
        return finding(Standing::Unknown, detail);
    };
    let mut stale = Vec::new();
    for function in FUNCTIONS {
        let name = format!("{}-{function}", stack.name);
        match stale_settings(account, &name).await {
            Ok(names) if names.is_empty() => {}
            Ok(names) => stale.push(format!("{name} ({})", names.join(", "))),
            Err(error) if stale.is_empty() => {
                let detail = format!(
                    "whether the functions run with what they are set to can't be told: {}",
                    chain(&error)
                );
                return finding(Standing::Unknown, &detail);
            }
            // What was found stands.
            Err(_) => break,
        }
    }
    if stale.is_empty() {
        return finding(Standing::Ok, "every function runs with what it is set to");
    }
    let detail = format!(
        "set, and not live: {}. While an upgrade is under way this passes by itself; else deploy the stack again from the sources of this release (sam build && sam deploy), which publishes what is set",
        stale.join("; ")
    );
    finding(Standing::NotOk, &detail)
}

/// The names of the settings that a function has and does not run with.
async fn stale_settings(account: &Account, name: &str) -> Result<Vec<String>, AccountError> {
    let live = account.function(name, LIVE).await?;
    let set = account.function(name, SET).await?;
    Ok(differing(&set, &live))
}

fn differing(set: &FunctionSettings, live: &FunctionSettings) -> Vec<String> {
    let gone = live.keys().filter(|name| !set.contains_key(*name));
    let mut names: Vec<String> = set.keys().chain(gone).cloned().collect();
    names.retain(|name| set.get(name) != live.get(name));
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_these_functions_behind_this_alias_and_no_others() {
        let template = include_str!("../../../../infra/template.yaml");
        let lines = || template.lines().map(str::trim);
        let mut named: Vec<&str> = lines()
            .filter_map(|line| line.strip_prefix("FunctionName: !Sub ${AWS::StackName}-"))
            .collect();
        let mut own = FUNCTIONS.to_vec();
        named.sort_unstable();
        own.sort_unstable();
        assert_eq!(named, own);
        let aliases = lines().filter_map(|line| line.strip_prefix("AutoPublishAlias: "));
        assert_eq!(aliases.collect::<Vec<_>>(), [LIVE]);
    }

    #[test]
    fn what_was_added_taken_away_or_changed_differs() {
        let settings = |pairs: &[(&str, &str)]| -> FunctionSettings {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect()
        };
        let set = settings(&[("CANARY_MODELS", "wine-*"), ("NEW", ""), ("timeout", "29")]);
        let live = settings(&[("CANARY_MODELS", "*"), ("OLD", "1"), ("timeout", "29")]);
        assert_eq!(differing(&set, &live), ["CANARY_MODELS", "NEW", "OLD"]);
        assert_eq!(differing(&set, &set), Vec::<String>::new());
    }
}
