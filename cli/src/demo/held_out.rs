//! Both models on the wines that neither has learned from, measured by asking their servers: what a
//! scenario says of a challenger is true of this one, and can be held against what the rollout finds.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::{Value, json};

use crate::models::train::SEED;
use crate::models::wine::{Sample, Sweetness, Wines};
use crate::output::Look;
use crate::output::table::{cell, number, table};
use crate::stage::{Stage, StageError};

/// The champion and the challenger.
pub(super) const MODELS: [&str; 2] = ["wine-quality-v1", "wine-quality-v2"];
/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What both models answered.
pub(super) struct HeldOut {
    wines: Vec<Sample>,
    champion: Vec<Answer>,
    challenger: Vec<Answer>,
}

/// What a model said of one wine, and how long it took by the wall clock.
#[derive(Clone, Copy)]
struct Answer {
    score: f64,
    calls_good: bool,
    took: Duration,
}

/// What a model's answers come to; shares from 0 to 1.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    model: &'static str,
    wines: usize,
    right: f64,
    mean_score: f64,
    calls_dry_good: f64,
    calls_sweet_good: f64,
    median_ms: f64,
}

impl HeldOut {
    /// Asks both servers about each wine.
    pub(super) async fn ask(stage: &Stage) -> Result<Self, StageError> {
        let wines = Wines::load(SEED).test;
        let [champion, challenger] = MODELS;
        Ok(Self {
            champion: answers(stage, champion, &wines).await?,
            challenger: answers(stage, challenger, &wines).await?,
            wines,
        })
    }

    /// What the champion's answers come to, and the challenger's.
    pub(super) fn measured(&self) -> [Measured; 2] {
        let [champion, challenger] = MODELS;
        [
            self.of(champion, &self.champion),
            self.of(challenger, &self.challenger),
        ]
    }

    fn of(&self, model: &'static str, answers: &[Answer]) -> Measured {
        let asked = || self.wines.iter().zip(answers);
        let share = |which: &dyn Fn(&Sample) -> bool, hits: &dyn Fn(&Sample, &Answer) -> bool| {
            let of: Vec<_> = asked().filter(|(wine, _)| which(wine)).collect();
            let hits = of.iter().filter(|(wine, answer)| hits(wine, answer));
            hits.count() as f64 / of.len().max(1) as f64
        };
        let calls_good = |sweetness: Sweetness| {
            share(&|wine| wine.sweetness == sweetness, &|_, answer| {
                answer.calls_good
            })
        };
        let mut took: Vec<f64> = asked()
            .map(|(_, answer)| answer.took.as_secs_f64() * 1000.0)
            .collect();
        took.sort_by(f64::total_cmp);
        let scores: f64 = asked().map(|(_, answer)| answer.score).sum();
        Measured {
            model,
            wines: self.wines.len(),
            right: share(&|_| true, &|wine, answer| wine.good == answer.calls_good),
            mean_score: scores / self.wines.len().max(1) as f64,
            calls_dry_good: calls_good(Sweetness::Dry),
            calls_sweet_good: calls_good(Sweetness::Sweet),
            median_ms: took.get(took.len() / 2).copied().unwrap_or_default(),
        }
    }

    /// The answers as `canary compare` reads them.
    pub(super) fn predictions(&self) -> String {
        let mut text = "y_true,champion,challenger,latency_ms,group\n".to_owned();
        let answers = self.champion.iter().zip(&self.challenger);
        for (wine, (champion, challenger)) in self.wines.iter().zip(answers) {
            writeln!(
                text,
                "{},{},{},{:.3},{}",
                u8::from(wine.good),
                champion.score,
                challenger.score,
                challenger.took.as_secs_f64() * 1000.0,
                wine.sweetness.as_str(),
            )
            .expect("a string takes everything");
        }
        text
    }
}

async fn answers(
    stage: &Stage,
    model: &'static str,
    wines: &[Sample],
) -> Result<Vec<Answer>, StageError> {
    let url = stage.url(model).ok_or(StageError::Unmeasured(model))?;
    let url = format!("{url}/invocations");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut answers = Vec::with_capacity(wines.len());
    for wine in wines {
        let asked = tokio::time::timeout(PATIENCE, answer(&client, &url, wine)).await;
        let answer = asked.ok().flatten();
        answers.push(answer.ok_or(StageError::Unmeasured(model))?);
    }
    Ok(answers)
}

async fn answer(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &str,
    wine: &Sample,
) -> Option<Answer> {
    let body = json!({"features": wine.features}).to_string();
    let request = Request::post(url)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .ok()?;
    let started = Instant::now();
    let response = client.request(request).await.ok()?;
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    let took = started.elapsed();
    let answer: Value = serde_json::from_slice(&bytes).ok()?;
    let prediction = &answer["predictions"][0];
    Some(Answer {
        score: prediction["score"].as_f64()?,
        calls_good: prediction["label"].as_u64()? == 1,
        took,
    })
}

/// The table of both.
pub(super) fn shown(look: Look, measured: &[Measured; 2]) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let rows = measured.iter().map(|of| {
        vec![
            cell(of.model),
            number(&format!("{:.1} %", 100.0 * of.right)),
            number(&format!("{:.2}", of.mean_score)),
            number(&percent(of.calls_dry_good)),
            number(&percent(of.calls_sweet_good)),
            number(&format!("{:.1} ms", of.median_ms)),
        ]
    });
    let header = [
        "MODEL",
        "RIGHT",
        "MEAN SCORE",
        "DRY GOOD",
        "SWEET GOOD",
        "ANSWERS IN",
    ];
    let wines = measured[0].wines;
    format!(
        "\nBoth servers, asked about {wines} wines that neither model has learned from:\n\n{}",
        table(look, &header, rows.collect())
    )
}
