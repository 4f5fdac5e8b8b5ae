//! The caller's name. It is what grants are compared with, so no two principals may share one: a
//! user of a role's name, a role of that name in another account, and a session that is called like
//! a role must all read differently.
//!
//! Names of IAM hold no slash and no colon, so a prefix that ends in one can't be part of a name.

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// An IAM principal, as grants call it: `Release` for a role of the stack's own account,
    /// `user/anna` for a user, `account/root` for the root user; in another account the same after
    /// the account's number, as in `111122223333/Release`.
    Named(String),
    /// Whoever reaches the loopback socket of a simulated account, where there is no IAM: may do
    /// everything. Only what composes such a stack makes it; nothing in a request or in the
    /// environment can.
    Local,
}

impl Caller {
    /// The principal of an ARN as API Gateway gives it, seen from this account; `None` for a
    /// federated user and for what is no principal at all.
    ///
    /// `arn:aws:sts::123456789012:assumed-role/Release/run-17` → `Release`: the session's name is
    /// the caller's own choice and says nothing. SSO gives roles such as
    /// `assumed-role/AWSReservedSSO_Release_0123456789abcdef/anna@example.com`, which every member
    /// of the permission set shares.
    pub fn of(arn: &str, own_account: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next();
        let (scheme, partition) = (next()?, next()?);
        let (service, region, account) = (next()?, next()?, next()?);
        let resource: Vec<&str> = next()?.split('/').collect();
        if scheme != "arn" || !partition.starts_with("aws") || !region.is_empty() {
            return None;
        }
        if !is_account(account) {
            return None;
        }
        let name = match (service, resource.as_slice()) {
            ("sts", ["assumed-role", role, session]) if is_name(role) && is_name(session) => {
                (*role).to_owned()
            }
            ("iam", ["user", .., name]) if is_name(name) => format!("user/{name}"),
            ("iam", ["root"]) => "account/root".to_owned(),
            _ => return None,
        };
        Some(Self::Named(if account == own_account {
            name
        } else {
            format!("{account}/{name}")
        }))
    }

    /// The name, for records and logs.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Local => "local",
        }
    }
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The characters of IAM's names: `[\w+=,.@-]`, at most 128.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}
