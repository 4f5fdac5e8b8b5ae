//! Which crates there may be and where they may come from: `[bans]` and `[sources]` of deny.toml, held against what
//! cargo resolves. cargo-deny checks the same and more, where somebody has it; advisories are checked by it alone,
//! because they take a database that changes every day.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use toml_edit::DocumentMut;

/// The only registry, as cargo writes it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Everything that deny.toml does not permit, or that this module does not know how to hold.
pub(crate) fn judge(policy: &DocumentMut, metadata: &Value, root: &Path) -> Vec<String> {
    let mut findings = unheld(policy);
    let banned = banned(policy);
    let packages = metadata["packages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if banned.contains(name) {
            findings.push(format!("{name} is banned by deny.toml"));
        }
        findings.extend(foreign(package, root).map(|source| format!("{name} comes from {source}")));
        findings
            .extend(loose(package).map(|wanted| format!("{name} takes any version of {wanted}")));
    }
    findings
}

/// Settings whose value is another than the one that is held here: a looser or stricter deny.toml must not pass
/// for one that is checked.
fn unheld(policy: &DocumentMut) -> Vec<String> {
    [
        ("bans", "wildcards", "deny"),
        ("bans", "multiple-versions", "allow"),
        ("advisories", "yanked", "deny"),
        ("sources", "unknown-registry", "deny"),
        ("sources", "unknown-git", "deny"),
    ]
    .into_iter()
    .filter(|(table, key, held)| {
        let value = policy.get(table).and_then(|table| table.get(key));
        value.and_then(|value| value.as_str()) != Some(held)
    })
    .map(|(table, key, held)| {
        format!("deny.toml: {table}.{key} is not {held:?}, which is what is checked")
    })
    .collect()
}

fn banned(policy: &DocumentMut) -> BTreeSet<&str> {
    let list = policy.get("bans").and_then(|bans| bans.get("deny"));
    let entries = list.and_then(|list| list.as_array()).into_iter().flatten();
    entries
        .filter_map(|entry| entry.as_inline_table()?.get("crate")?.as_str())
        .collect()
}

/// Where a package comes from, if from neither crates.io nor this workspace's folder.
fn foreign(package: &Value, root: &Path) -> Option<String> {
    match package["source"].as_str() {
        Some(CRATES_IO) => None,
        Some(other) => Some(other.to_owned()),
        None => {
            let manifest = package["manifest_path"].as_str().unwrap_or_default();
            (!Path::new(manifest).starts_with(root)).then(|| manifest.to_owned())
        }
    }
}

/// What one of the workspace's own packages takes in any version. The workspace's crates among themselves may.
fn loose(package: &Value) -> impl Iterator<Item = &str> {
    let is_own = package["source"].is_null();
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies
        .filter(move |wanted| is_own && wanted["req"] == "*" && wanted["path"].is_null())
        .filter_map(|wanted| wanted["name"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = r#"
[bans]
multiple-versions = "allow"
wildcards = "deny"
deny = [{ crate = "openssl-sys", reason = "one TLS stack" }]
[advisories]
yanked = "deny"
[sources]
unknown-registry = "deny"
unknown-git = "deny"
"#;

    fn judged(policy: &str, packages: &Value) -> Vec<String> {
        let policy = policy.parse().expect("TOML");
        judge(
            &policy,
            &json!({"packages": packages}),
            Path::new("/repository"),
        )
    }

    #[test]
    fn what_comes_from_crates_io_or_the_workspace_passes() {
        let packages = json!([
            {"name": "serde", "source": CRATES_IO, "dependencies": [{"name": "x", "req": "*", "path": null}]},
            {"name": "shared", "source": null, "manifest_path": "/repository/shared/Cargo.toml", "dependencies": [
                {"name": "serde", "req": "^1", "path": null}, {"name": "canary", "req": "*", "path": "/repository/cli"},
            ]},
        ]);
        assert_eq!(judged(POLICY, &packages), Vec::<String>::new());
    }

    #[test]
    fn everything_else_is_found() {
        let packages = json!([
            {"name": "openssl-sys", "source": CRATES_IO},
            {"name": "forked", "source": "git+https://example.com/forked#0123"},
            {"name": "mirrored", "source": "registry+https://example.com/index"},
            {"name": "aside", "source": null, "manifest_path": "/repository-of-others/Cargo.toml"},
            {"name": "shared", "source": null, "manifest_path": "/repository/shared/Cargo.toml",
             "dependencies": [{"name": "serde", "req": "*", "path": null}]},
        ]);
        assert_eq!(
            judged(POLICY, &packages),
            [
                "openssl-sys is banned by deny.toml",
                "forked comes from git+https://example.com/forked#0123",
                "mirrored comes from registry+https://example.com/index",
                "aside comes from /repository-of-others/Cargo.toml",
                "shared takes any version of serde",
            ]
        );
    }

    #[test]
    fn another_policy_than_the_one_that_is_held_does_not_pass_for_it() {
        let loose = POLICY.replace("unknown-git = \"deny\"", "unknown-git = \"allow\"");
        let findings = judged(&loose, &json!([]));
        assert_eq!(
            findings,
            ["deny.toml: sources.unknown-git is not \"deny\", which is what is checked"]
        );
    }
}
