//! STS: who am I. Always the same caller, for tools that ask before they do anything else.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::wire::{self, ACCOUNT, AwsError, Ids};

pub(crate) fn handle(ids: &Ids, action: &str) -> Result<Response<Bytes>, AwsError> {
    if action != "GetCallerIdentity" {
        return Err(AwsError::new(
            400,
            "InvalidAction",
            format!("Could not find operation {action}"),
        ));
    }
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/simulated</Arn>\
         <UserId>AIDASIMULATED</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        ids.next()
    );
    Ok(wire::respond(StatusCode::OK, "text/xml", Bytes::from(body)))
}
