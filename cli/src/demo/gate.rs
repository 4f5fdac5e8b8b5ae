//! The challenger that gets no traffic: both models' answers are counted as `canary compare` counts
//! them, the counts go into the specification, and the API refuses it.

use std::path::PathBuf;
use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};
use shared::app::ports::Endpoints as _;
use shared::domain::gate::{Results, Rules, judge};
use shared::wire::predictions::{Reading, read};
use shared::wire::problem::{Problem, REJECTED_BY_GATE};
use shared::wire::specification;

use super::held_out::{HeldOut, MODELS};
use super::{say, show};
use crate::exit::Exit;
use crate::output::compare::{self, Compared};
use crate::output::{Format, Output};
use crate::stage::{CONFIG, ENDPOINT, Stage, StageError};

/// Compares, deploys, is refused, and looks at the endpoint.
pub(super) async fn play(
    stage: &Stage,
    text: &str,
    output: &mut Output<'_>,
) -> Result<ExitCode, StageError> {
    let held_out = HeldOut::ask(stage).await?;
    let (mut asked, rules) = asked(text);
    let (results, compared) = compared(stage, &held_out, &rules);
    let file = keep(&held_out)?;
    say(output, &show::comparing(output.look, &file))?;
    say(output, "")?;
    output.answer(&compared, |look| compare::table_of(look, &compared))?;
    asked["gate"]["results"] = json!(results);
    say(output, &show::deploying(output.look))?;
    say(output, "")?;
    let refusal = match stage
        .ask::<Value>(Method::POST, "/deploy", Some(asked.to_string()))
        .await
    {
        Err(StageError::Refused(problem)) if problem.is(REJECTED_BY_GATE) => problem,
        Err(error) => return Err(error),
        Ok(_) => return Err(unrefused()),
    };
    let events = stage.stack.simulator.events();
    let mut told = events.iter().map(|event| &event.detail);
    let announced = told.find(|detail| detail["status"] == "REJECTED");
    let announced = announced.ok_or_else(unrefused)?;
    untouched(stage).await?;
    match output.format {
        Format::Json => output.answer(announced, |_| String::new())?,
        Format::Text => {
            let text = ending(output, stage, &refusal, announced);
            say(output, &text)?;
        }
    }
    Ok(Exit::Rejected.into())
}

/// The specification, and what its gate asks.
fn asked(text: &str) -> (Value, Rules) {
    let value = specification::from_yaml(text)
        .expect("a test holds that the demo's specification is valid");
    let parsed =
        specification::parse(&value).expect("a test holds that the demo's specification is valid");
    let gate = parsed.gate.expect("its scenario is about the gate");
    (value, gate.rules)
}

fn compared(stage: &Stage, held_out: &HeldOut, rules: &Rules) -> (Results, Compared) {
    let predictions = held_out.predictions();
    let counted = read(predictions.as_bytes(), &Reading::default())
        .expect("what is written here can be read");
    let [champion, challenger] = MODELS.map(str::to_owned);
    let results = Results {
        model: challenger,
        champion: Some(champion),
        compared_at: stage.stack.simulator.clock().now(),
        predictions: Some(counted.digest.clone()),
        positives: counted.cells.positives,
        negatives: counted.cells.negatives,
        latency: counted.latency,
    };
    let judgement = judge(&results, rules);
    let compared = Compared::new(&counted, &results, judgement);
    (results, compared)
}

/// The file, for whoever wants to compare it again.
fn keep(held_out: &HeldOut) -> Result<PathBuf, StageError> {
    let name = format!("canary-demo-predictions-{}.csv", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, held_out.predictions())
        .map_err(|error| StageError::Io(format!("{} can't be written", file.display()), error))?;
    Ok(file)
}

/// Holds that the endpoint is as it was: what the demo says must be so.
async fn untouched(stage: &Stage) -> Result<(), StageError> {
    let view = stage.stack.aws.endpoint(ENDPOINT).await?;
    let is_as_it_was = view.is_some_and(|view| {
        view.is_in_service() && view.config == CONFIG && view.variants.len() == 1
    });
    if is_as_it_was {
        return Ok(());
    }
    Err(StageError::Unfinished(
        "the endpoint is not as it was before the refusal".to_owned(),
    ))
}

fn unrefused() -> StageError {
    StageError::Unfinished("the gate let the challenger through, or told nobody".to_owned())
}

fn ending(output: &Output<'_>, stage: &Stage, refusal: &Problem, announced: &Value) -> String {
    let messages = stage.stack.simulator.published();
    let subject = messages.last().and_then(|message| message.subject.clone());
    show::refused(
        output.look,
        refusal,
        announced["reason"].as_str().unwrap_or_default(),
        &subject.unwrap_or_default(),
    )
}
