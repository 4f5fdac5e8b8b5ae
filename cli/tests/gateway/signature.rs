//! AWS Signature Version 4, verified. Written from AWS's description of the algorithm, with nothing of
//! the signer that is tested: what it accepts, two implementations agree on.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::Seen;

/// The keys that the gateway knows.
pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// The secret that belongs to it.
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The parts of an `Authorization` header.
struct Given<'a> {
    scope: Vec<&'a str>,
    signed: &'a str,
    signature: &'a str,
}

/// How far a signature's time is from the gateway's, in seconds; `None` where it has none.
pub(crate) fn age(seen: &Seen, now: Timestamp) -> Option<i64> {
    let time = seen.headers.get("x-amz-date")?.to_str().ok()?;
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(now.duration_since(time).as_secs())
}

/// Whether the request carries a signature with the known key, for this region and `execute-api`.
pub(crate) fn verify(seen: &Seen, region: &str) -> Result<(), String> {
    let header = |name: &str| {
        let value = seen.headers.get(name).map(|value| value.to_str());
        value.transpose().map_err(|error| error.to_string())
    };
    let authorization = header("authorization")?.ok_or("there is no signature")?;
    let given = parse(authorization).ok_or_else(|| format!("unreadable: {authorization}"))?;
    let time = header("x-amz-date")?.ok_or("there is no X-Amz-Date")?;
    let day = time.get(..8).ok_or("X-Amz-Date is short")?;
    let expected = [ACCESS_KEY, day, region, "execute-api", "aws4_request"];
    if given.scope != expected {
        return Err(format!("scope {:?}, not {expected:?}", given.scope));
    }
    let names: Vec<&str> = given.signed.split(';').collect();
    let sent: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    for name in sent {
        let must = name == "host" || name == "content-type" || name.starts_with("x-amz-");
        if must && !names.contains(&name) {
            return Err(format!("{name} is not signed"));
        }
    }
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        seen.method,
        canonical_path(&seen.path),
        canonical_query(&seen.query)
    );
    for name in &names {
        let value = header(name)?.ok_or_else(|| format!("{name} is signed and not there"))?;
        let words: Vec<&str> = value.split_whitespace().collect();
        writeln!(canonical, "{name}:{}", words.join(" ")).expect("a string takes everything");
    }
    write!(
        canonical,
        "\n{}\n{}",
        given.signed,
        hex(&Sha256::digest(&seen.body))
    )
    .expect("a string takes everything");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{}\n{}",
        given.scope[1..].join("/"),
        hex(&Sha256::digest(&canonical))
    );
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in &given.scope[1..] {
        key = hmac(&key, part.as_bytes());
    }
    let computed = hex(&hmac(&key, to_sign.as_bytes()));
    if computed == given.signature {
        Ok(())
    } else {
        Err(format!("another signature is right for\n{canonical}"))
    }
}

fn parse(header: &str) -> Option<Given<'_>> {
    let mut parts = header.strip_prefix("AWS4-HMAC-SHA256 ")?.split(", ");
    Some(Given {
        scope: parts
            .next()?
            .strip_prefix("Credential=")?
            .split('/')
            .collect(),
        signed: parts.next()?.strip_prefix("SignedHeaders=")?,
        signature: parts.next()?.strip_prefix("Signature=")?,
    })
}

/// Every service but S3 takes dots and empty parts out of the path (RFC 3986) and encodes it once more
/// than it was sent.
fn canonical_path(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(encoded(part.as_bytes())),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let end = if is_folder && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", parts.join("/"))
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(&decoded(name)), encoded(&decoded(value)))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&next) = bytes.get(at) {
        let digits = (next == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        at += if byte.is_some() { 3 } else { 1 };
        out.push(byte.unwrap_or(next));
    }
    out
}

fn encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes everything");
        }
        out
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes everything");
        out
    })
}

/// RFC 2104 over SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message);
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner.finalize());
    outer.finalize().to_vec()
}
