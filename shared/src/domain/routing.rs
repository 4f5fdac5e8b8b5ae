//! Sticky routing: which users see the new model.
//!
//! A user has a bucket from 0 to 99 for good, and is asked of the canary once its share, in percent, is
//! above the bucket: so whoever is in stays in as the share grows, and goes out last as it falls.
//!
//! | salt | digest | of |
//! |---|---|---|
//! | none | MD5 (RFC 1321) | user, `:`, model name, in UTF-8 |
//! | given | SHA-256 (FIPS 180-4) | salt, user and model name, each as a netstring: `4:salt,6:user-1,4:wine,` with the lengths in bytes |
//!
//! The first eight hexadecimal digits of the digest, read as a number, modulo 100, are the bucket. Without
//! a salt anybody who may choose their own id can choose their bucket, and each model of the same name
//! splits the same users the same way; netstrings keep apart what is joined, whatever is in it
//! (<https://cr.yp.to/proto/netstrings.txt>).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::quantity::Weight;

/// Buckets: one for each percent.
const BUCKETS: u32 = 100;

/// How users are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sticky {
    /// The logical model: the same for every version of it, so that a user stays where they were.
    pub model_name: String,
    /// Makes other buckets of the same users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

impl Sticky {
    /// The bucket of a user, 0 to 99.
    ///
    /// # Panics
    /// Never: what is left by a hundred fits a byte.
    pub fn bucket(&self, user: &str) -> u8 {
        let Self { model_name, salt } = self;
        let first = match salt {
            None => first_four(&md5::compute(format!("{user}:{model_name}")).0),
            Some(salt) => {
                let joined: String = [salt, user, model_name]
                    .map(|text| format!("{}:{text},", text.len()))
                    .concat();
                first_four(&Sha256::digest(joined))
            }
        };
        u8::try_from(u32::from_be_bytes(first) % BUCKETS).expect("below a hundred")
    }

    /// Whether this bucket is the canary's while it has this share.
    pub const fn is_canary(bucket: u8, share: Weight) -> bool {
        bucket < share.percent()
    }
}

/// Eight hexadecimal digits are four bytes.
fn first_four(digest: &[u8]) -> [u8; 4] {
    let mut first = [0; 4];
    first.copy_from_slice(&digest[..4]);
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sticky(model_name: &str, salt: Option<&str>) -> Sticky {
        Sticky {
            model_name: model_name.to_owned(),
            salt: salt.map(str::to_owned),
        }
    }

    /// Computed by Python 3:
    /// `int(hashlib.md5(f"{u}:{m}".encode()).hexdigest()[:8], 16) % 100`, and with
    /// `n = lambda s: str(len(s.encode())).encode() + b":" + s.encode() + b","` the same of
    /// `hashlib.sha256(n("pepper") + n(u) + n(m))`.
    #[test]
    fn buckets_are_those_that_anybody_computes() {
        for (user, model, plain, salted) in [
            ("user-1", "wine-quality", 23, 76),
            ("user-2", "wine-quality", 26, 51),
            ("anna", "wine-quality", 29, 3),
            ("user_12345", "fraud-model", 16, 43),
            ("", "m", 71, 95),
            ("Zoë:x", "wine-quality-v2", 7, 71),
        ] {
            assert_eq!(sticky(model, None).bucket(user), plain, "{user}");
            assert_eq!(sticky(model, Some("pepper")).bucket(user), salted, "{user}");
        }
    }

    #[test]
    fn buckets_are_about_equally_full() {
        for salt in [None, Some("pepper")] {
            let sticky = sticky("wine", salt);
            let mut full = [0_u32; 100];
            for user in 0..100_000 {
                full[usize::from(sticky.bucket(&format!("user-{user}")))] += 1;
            }
            // 1000 each; seven standard deviations are 220.
            assert!(
                full.iter().all(|users| (780..1220).contains(users)),
                "{full:?}"
            );
        }
    }

    #[test]
    fn what_is_joined_with_a_salt_can_be_told_apart() {
        let of = |salt: &str, user: &str, model: &str| sticky(model, Some(salt)).bucket(user);
        let moved: Vec<u8> = (0..20).map(|i| of("a", &format!("b{i}"), "c")).collect();
        let other: Vec<u8> = (0..20).map(|i| of("ab", &format!("{i}"), "c")).collect();
        assert_ne!(moved, other);
    }

    proptest! {
        #[test]
        fn whoever_is_in_stays_in_as_the_share_grows(
            user in ".{0,40}", model in "[a-z-]{1,20}", salt in proptest::option::of(".{1,10}"),
            share in 0..=100_u8, more in 0..=100_u8,
        ) {
            let (low, high) = (share.min(more), share.max(more));
            let weight = |percent| Weight::new(percent).expect("at most a hundred");
            let bucket = sticky(&model, salt.as_deref()).bucket(&user);
            prop_assert!(bucket < 100);
            let [before, after] = [low, high].map(|percent| Sticky::is_canary(bucket, weight(percent)));
            prop_assert!(!before || after);
            prop_assert!(!Sticky::is_canary(bucket, Weight::ZERO));
            prop_assert!(Sticky::is_canary(bucket, Weight::FULL));
        }
    }
}
