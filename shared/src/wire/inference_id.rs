//! The id of a prediction: all that a label needs to be counted, under a signature, so that no row has
//! to be kept for each request.
//!
//! | bytes | hold |
//! |---|---|
//! | 1 | the version, 1 |
//! | 1 | the number of the key |
//! | 16 | the deployment's UUID; zero where none was under way |
//! | 4 | seconds since 1970, big-endian |
//! | 16 | the UUID that SageMaker got as InferenceId |
//! | 1 | the class: 0 unread, 1 negative, 2 positive |
//! | 1 | the bin of the score, 0 to 9; 255 without one |
//! | 1 + n | the length of the endpoint's name, and the name |
//! | 1 + n | the same of the variant |
//! | 1 + n | the same of the group; of no length where groups are not told apart |
//! | 16 | the first bytes of the HMAC-SHA-256 (RFC 2104) of all before |
//!
//! The whole is written in base64url. Whoever holds an id can read it: it says nothing that its caller
//! did not know. Nobody can make one up or change one: what is not signed names nothing.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use uuid::Uuid;

use super::base64url;
use crate::domain::model_signals::{BINS, Prediction};

/// The version that is written.
const VERSION: u8 = 1;
/// Bytes of a signature: 128 bits.
const SIGNATURE: usize = 16;
/// In place of a bin.
const NO_BIN: u8 = u8::MAX;
/// The longest text that can be an id: three names of 64 bytes at the most, and the rest.
pub const LONGEST: usize = 400;

/// What a key is made of.
pub type Secret = [u8; 32];

/// A key that signs.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Tells it from the key before.
    pub number: u8,
    /// Known to the functions alone.
    pub secret: Secret,
}

impl std::fmt::Debug for Key {
    /// Without the secret, which belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key {}", self.number)
    }
}

/// The key that signs, and the one before it, whose signatures still count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Signs.
    pub current: Key,
    /// Signed before.
    pub former: Option<Key>,
}

impl Keys {
    fn numbered(&self, number: u8) -> Option<&Key> {
        let mut all = std::iter::once(&self.current).chain(&self.former);
        all.find(|key| key.number == number)
    }
}

/// What an id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferenceId {
    /// The deployment that was under way.
    pub deployment: Option<Uuid>,
    /// When the prediction was made, in whole seconds.
    pub at: Timestamp,
    /// What SageMaker calls the request.
    pub request: Uuid,
    /// What was read off the one prediction; absent where that was not possible, or there were several.
    pub prediction: Option<Prediction>,
    /// The endpoint.
    pub endpoint: String,
    /// The variant that answered.
    pub variant: String,
    /// The group, where groups are told apart.
    pub group: Option<String>,
}

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is none of ours, or was changed.
    Forged,
    /// It names a key that is not at hand: an old one, or one that is newer than those that were read.
    NoSuchKey,
}

impl InferenceId {
    /// The id as its caller gets it.
    pub fn signed(&self, key: &Key) -> String {
        let mut bytes = vec![VERSION, key.number];
        bytes.extend(self.deployment.unwrap_or_default().as_bytes());
        let seconds = u32::try_from(self.at.as_second()).unwrap_or(u32::MAX);
        bytes.extend(seconds.to_be_bytes());
        bytes.extend(self.request.as_bytes());
        let class = match self.prediction {
            None => 0,
            Some(prediction) => 1 + u8::from(prediction.is_positive),
        };
        let bin = self.prediction.and_then(|prediction| prediction.bin);
        bytes.extend([class, bin.unwrap_or(NO_BIN)]);
        let group = self.group.as_deref().unwrap_or_default();
        for name in [self.endpoint.as_str(), &self.variant, group] {
            let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend(name);
        }
        let signature = mac(key, &bytes).finalize().into_bytes();
        bytes.extend(&signature[..SIGNATURE]);
        base64url::encode(&bytes)
    }

    /// What a text says that one of these keys has signed.
    pub fn open(text: &str, keys: &Keys) -> Result<Self, Unknown> {
        if text.len() > LONGEST {
            return Err(Unknown::Forged);
        }
        let bytes = base64url::decode(text).ok_or(Unknown::Forged)?;
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE>()
            .ok_or(Unknown::Forged)?;
        let [VERSION, number, ..] = signed else {
            return Err(Unknown::Forged);
        };
        let key = keys.numbered(*number).ok_or(Unknown::NoSuchKey)?;
        // In a time that does not tell how much of it fits.
        mac(key, signed)
            .verify_truncated_left(signature)
            .map_err(|_| Unknown::Forged)?;
        Reader(&signed[2..]).whole().ok_or(Unknown::Forged)
    }
}

fn mac(key: &Key, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&key.secret).expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn whole(mut self) -> Option<InferenceId> {
        let deployment = Uuid::from_bytes(self.take()?);
        let seconds = u32::from_be_bytes(self.take()?);
        let request = Uuid::from_bytes(self.take()?);
        let [class, bin] = self.take()?;
        let bin = (bin < BINS).then_some(bin);
        let prediction = match class {
            1 | 2 => Some(Prediction {
                is_positive: class == 2,
                bin,
            }),
            _ => None,
        };
        let (endpoint, variant, group) = (self.name()?, self.name()?, self.name()?);
        self.0.is_empty().then(|| InferenceId {
            deployment: (!deployment.is_nil()).then_some(deployment),
            at: Timestamp::from_second(seconds.into()).unwrap_or(Timestamp::UNIX_EPOCH),
            request,
            prediction,
            endpoint,
            variant,
            group: (!group.is_empty()).then_some(group),
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (found, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*found)
    }

    fn name(&mut self) -> Option<String> {
        let [length] = self.take()?;
        let (found, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        String::from_utf8(found.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Key {
        Key {
            number,
            secret: std::array::from_fn(|at| number.wrapping_add(u8::try_from(at).unwrap_or(0))),
        }
    }

    fn keys() -> Keys {
        Keys {
            current: key(7),
            former: Some(key(6)),
        }
    }

    fn id() -> InferenceId {
        InferenceId {
            deployment: Some(Uuid::from_u128(0x019c_adad_e260_78fe_b5b7_f910_5f8f_2598)),
            at: Timestamp::from_second(1_772_438_400).expect("a timestamp"),
            request: Uuid::from_u128(0x019c_adad_e260_7081_a282_a402_881c_ee80),
            prediction: Some(Prediction {
                is_positive: true,
                bin: Some(9),
            }),
            endpoint: "wine-quality".to_owned(),
            variant: "canary-881cee80".to_owned(),
            group: Some("north".to_owned()),
        }
    }

    /// Computed by Python 3 with `struct`, `uuid`, `hmac.new(key, body, hashlib.sha256).digest()[:16]` and
    /// `base64.urlsafe_b64encode`, the key being the bytes from 7 to 38.
    #[test]
    fn an_id_is_what_the_table_says() {
        assert_eq!(id().signed(&key(7)), GOLDEN);
    }

    const GOLDEN: &str = "AQcBnK2t4mB4_rW3-RBfjyWYaaVDgAGcra3iYHCBooKkAogc7oACCQx3aW5lLXF1YWxpdHkPY2FuYXJ5LTg4MWNlZTgwBW5vcnRoa_LbSTTQQVRDIc6w82B03g";

    #[test]
    fn what_was_signed_by_either_key_is_read() {
        for number in [6, 7] {
            assert_eq!(
                InferenceId::open(&id().signed(&key(number)), &keys()),
                Ok(id())
            );
        }
        let other = id().signed(&key(8));
        assert_eq!(InferenceId::open(&other, &keys()), Err(Unknown::NoSuchKey));
        let plain = InferenceId {
            deployment: None,
            prediction: None,
            group: None,
            ..id()
        };
        assert_eq!(
            InferenceId::open(&plain.signed(&key(7)), &keys()),
            Ok(plain)
        );
    }

    #[test]
    fn the_longest_names_fit() {
        let long = InferenceId {
            endpoint: "e".repeat(63),
            variant: "v".repeat(63),
            group: Some("g".repeat(64)),
            ..id()
        };
        let text = long.signed(&key(7));
        assert!(text.len() <= LONGEST, "{}", text.len());
        assert_eq!(InferenceId::open(&text, &keys()), Ok(long));
    }

    #[test]
    fn another_secret_under_the_same_number_signs_nothing() {
        let forged = Key {
            number: 7,
            secret: [0; 32],
        };
        let text = id().signed(&forged);
        assert_eq!(InferenceId::open(&text, &keys()), Err(Unknown::Forged));
        assert_eq!(format!("{forged:?}"), "key 7", "no secret in a log");
    }

    proptest! {
        #[test]
        fn no_changed_bit_is_taken(at in 0..10_000_usize, bit in 0..8_u8) {
            let mut bytes = base64url::decode(&id().signed(&key(7))).expect("our own");
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(InferenceId::open(&base64url::encode(&bytes), &keys()).is_err());
        }

        #[test]
        fn whatever_is_sent_is_answered(text in ".{0,500}") {
            prop_assert!(InferenceId::open(&text, &keys()).is_err());
        }
    }
}
