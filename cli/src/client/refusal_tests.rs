//! Each of API Gateway's refusals leads to its own way out.

use bytes::Bytes;
use serde_json::json;

use super::*;

fn answer(status: u16, name: Option<&str>, body: impl Into<Bytes>, date: Option<&str>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(name) = name {
        headers.insert("x-amzn-errortype", name.parse().unwrap());
    }
    if let Some(date) = date {
        headers.insert(header::DATE, date.parse().unwrap());
    }
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.into(),
    }
}

fn now() -> Timestamp {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

fn refused(status: u16, name: Option<&str>, message: &str) -> Refusal {
    let body = json!({ "message": message }).to_string();
    Refusal::of(&answer(status, name, body, None), now()).unwrap()
}

#[test]
fn every_refusal_is_known_by_its_header() {
    for (status, name, kind) in [
        (403, "ExpiredTokenException", Kind::ExpiredToken),
        (403, "InvalidSignatureException", Kind::Signature),
        (403, "SignatureDoesNotMatch", Kind::Signature),
        (403, "IncompleteSignatureException", Kind::Signature),
        (403, "RequestExpired", Kind::ClockSkew),
        (403, "UnrecognizedClientException", Kind::UnknownKey),
        (
            403,
            "MissingAuthenticationTokenException",
            Kind::MissingToken,
        ),
        (403, "AccessDeniedException", Kind::AccessDenied),
        (
            403,
            "AccessDeniedException:http://internal.amazon.com/coral/com.amazon.coral.service/",
            Kind::AccessDenied,
        ),
        (403, "ForbiddenException", Kind::Forbidden),
        (429, "TooManyRequestsException", Kind::Throttled),
        (429, "LimitExceededException", Kind::Throttled),
        (504, "InternalServerErrorException", Kind::TimedOut),
        (502, "InternalServerErrorException", Kind::Failed),
        (503, "ServiceUnavailableException", Kind::Failed),
        (400, "BadRequestException", Kind::Other),
    ] {
        assert_eq!(refused(status, Some(name), "no").kind, kind, "{name}");
    }
}

#[test]
fn the_message_decides_where_the_header_is_lost_or_too_broad() {
    for (status, name, message, kind) in [
        (
            403,
            Some("InvalidSignatureException"),
            "Signature expired: 20260302T090000Z is now earlier than 20260302T095500Z",
            Kind::ClockSkew,
        ),
        (
            403,
            None,
            "Signature not yet current: 20260302T110000Z is still later than 20260302T100500Z",
            Kind::ClockSkew,
        ),
        (
            403,
            Some("InvalidSignatureException"),
            "Credential should be scoped to a valid region, not 'us-east-1'. ",
            Kind::WrongRegion,
        ),
        (
            403,
            None,
            "The security token included in the request is expired",
            Kind::ExpiredToken,
        ),
        (
            403,
            None,
            "The security token included in the request is invalid.",
            Kind::UnknownKey,
        ),
        (
            403,
            None,
            "User: arn:aws:iam::123456789012:user/anna is not authorized to perform: execute-api:Invoke on resource: x",
            Kind::AccessDenied,
        ),
        (403, None, "Forbidden", Kind::Forbidden),
        (429, None, "Too Many Requests", Kind::Throttled),
        (504, None, "Endpoint request timed out", Kind::TimedOut),
        (502, None, "Internal server error", Kind::Failed),
    ] {
        let refusal = refused(status, name, message);
        assert_eq!(refusal.kind, kind, "{message}");
        assert!(refusal.to_string().contains(message.trim()), "{refusal}");
    }
}

#[test]
fn a_wrong_clock_is_told_by_the_date_of_the_answer() {
    let body = r#"{"message": "The request signature we calculated does not match"}"#;
    let name = Some("InvalidSignatureException");
    let at = |date| Refusal::of(&answer(403, name, body, Some(date)), now()).unwrap();
    let refusal = at("Mon, 02 Mar 2026 09:52:30 GMT");
    assert_eq!(refusal.kind, Kind::ClockSkew);
    assert!(refusal.to_string().contains("7 minutes ahead"), "{refusal}");
    let refusal = at("Mon, 02 Mar 2026 10:20:00 GMT");
    assert!(
        refusal.to_string().contains("20 minutes behind"),
        "{refusal}"
    );
    assert_eq!(at("Mon, 02 Mar 2026 10:00:30 GMT").kind, Kind::Signature);
    assert_eq!(at("yesterday").kind, Kind::Signature);
}

#[test]
fn what_is_not_the_gateways_is_left_alone() {
    for body in ["<html>", "", "[]", "{}", r#"{"error": "x"}"#] {
        assert_eq!(
            Refusal::of(&answer(502, None, body, None), now()),
            None,
            "{body}"
        );
    }
    // Capital letters, control characters.
    let body = r#"{"Message": "no\u001b[2J"}"#;
    let refusal = Refusal::of(&answer(403, None, body, None), now()).unwrap();
    assert!(!refusal.to_string().contains('\u{1b}'), "{refusal}");
}

#[test]
fn only_passing_refusals_are_worth_another_try() {
    let passing = |status| refused(status, None, "x").is_passing();
    assert!(passing(429) && passing(502) && passing(503) && passing(504));
    assert!(!passing(403) && !passing(400));
}
