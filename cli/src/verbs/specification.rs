//! The verbs that take a specification: `deploy`, `plan`, `lint`.
//!
//! `deploy` and `plan` leave the judging to the API, which may be newer than this program; only
//! that the file is YAML at all is told here.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use http::HeaderValue;
use serde_json::{Value, json};
use shared::wire::specification::{SIZE_LIMIT, from_yaml, parse};

use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::{self, Output};

use super::Failure;
use super::arguments::{DeployArgs, FileArgs};
use super::follow::{Pace, follow};

/// Why there is no specification to look at.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be read", file.display())]
pub(crate) struct Unread {
    file: PathBuf,
    source: io::Error,
}

pub(super) async fn deploy(
    client: &Client,
    args: DeployArgs,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let specification = read(&args.file.file)?;
    let key = args.idempotency_key.unwrap_or_else(drawn_key);
    let view = client.deploy(&specification, &key).await;
    let view = view.map_err(|error| unstarted(&key, error))?;
    output.answer(&view, |look| output::deployment::accepted(look, &view))?;
    if !args.wait {
        return Ok(Exit::Done);
    }
    let pace = Pace::of(client, args.timeout);
    follow(client, &view.deployment_id, pace, output).await
}

/// Without a key of the caller's own, one that makes the tries of this call a single request.
pub(super) fn drawn_key() -> HeaderValue {
    let drawn = format!("canary-{:032x}", rand::random::<u128>());
    HeaderValue::try_from(drawn).expect("letters, digits and a hyphen")
}

/// A deployment whose answer got lost may have begun.
pub(super) fn unstarted(key: &HeaderValue, cause: ClientError) -> Failure {
    if !cause.is_in_doubt() {
        return cause.into();
    }
    Failure::Unstarted {
        key: key.to_str().unwrap_or_default().to_owned(),
        cause,
    }
}

pub(super) async fn plan(
    client: &Client,
    args: &FileArgs,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let plan = client.plan(&read(&args.file)?).await?;
    output.answer(&plan, |look| output::plan::plan(look, &plan))?;
    Ok(())
}

pub(super) fn lint(args: &FileArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let specification = parse(&read(&args.file)?)?;
    let advice = specification.advice();
    let object = json!({
        "status": "ok",
        "endpoint": specification.endpoint,
        "model": specification.model,
        "warnings": advice,
    });
    output.answer(&object, |_| match advice.as_slice() {
        [] => "ok".to_owned(),
        advice => format!("ok, but {}", advice.join("; ")),
    })?;
    Ok(Exit::Done)
}

pub(super) fn read(file: &Path) -> Result<Value, Failure> {
    let unread = |source| Unread {
        file: file.to_owned(),
        source,
    };
    // One byte more than fits, so that what is too large is refused as that.
    let limit = SIZE_LIMIT as u64 + 1;
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    }
    .map_err(unread)?;
    Ok(from_yaml(&text)?)
}
