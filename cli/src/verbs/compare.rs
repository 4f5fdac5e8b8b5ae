//! `canary compare`: champion and challenger on the same labelled rows, before any traffic.
//!
//! No API is needed: counting and ruling are the control plane's own code, so what passes here
//! passes at `POST /deploy`, where the results go with the specification. The file is read once,
//! as it comes, and may be a pipe.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use shared::domain::gate::{Outcome, Requirement, Results, Rules, judge};
use shared::wire::predictions::{Counted, PredictionsError, Reading, read};
use shared::wire::specification::parse;

use crate::exit::Exit;
use crate::output::Output;
use crate::output::compare::{self as text, Compared};

use super::Failure;
use super::arguments::CompareArgs;
use super::specification;

/// Why there is nothing to rule on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Uncounted {
    /// The file can't be opened.
    #[error("{} can't be read", file.display())]
    Unread {
        /// The predictions.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands in it makes no sense.
    #[error("{}", file.display())]
    Predictions {
        /// The predictions.
        file: PathBuf,
        /// Where and what.
        source: PredictionsError,
    },
    /// Whatever stood in the file would pass.
    #[error("this leaves out every requirement, so there is nothing to find out")]
    NothingAsked,
    /// The API would refuse the block.
    #[error(
        "the requirement f1_ratio is about the model in production: name it with --champion, or --leave-out f1_ratio"
    )]
    NoChampion,
}

impl Uncounted {
    /// The stable word for it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Unread { .. } => "unreadable-file",
            Self::Predictions { .. } => "invalid-predictions",
            Self::NothingAsked => "nothing-required",
            Self::NoChampion => "champion-missing",
        }
    }
}

pub(super) fn compare(args: &CompareArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let (model, rules) = asked(args)?;
    let counted = count(args)?;
    let results = results(args, model, &counted);
    let judgement = judge(&results, &rules);
    let exit = match judgement.outcome {
        Outcome::Passed => Exit::Done,
        Outcome::Rejected => Exit::Rejected,
    };
    let compared = Compared::new(&counted, &results, judgement);
    if args.write {
        output.document(&compared, || text::block(&rules, &results))?;
    } else {
        output.answer(&compared, |look| text::table_of(look, &compared))?;
    }
    Ok(exit)
}

/// The model that is compared, if it is known, and what it is held against: the specification's
/// gate, and over it what was asked for here.
fn asked(args: &CompareArgs) -> Result<(Option<String>, Rules), Failure> {
    let (mut model, mut rules) = (args.model.clone(), Rules::default());
    if let Some(file) = &args.file {
        let specification = parse(&specification::read(file)?)?;
        model = model.or(Some(specification.model));
        if let Some(gate) = specification.gate {
            rules = gate.rules;
        }
    }
    rules.recall = args.recall.unwrap_or(rules.recall);
    rules.fpr = args.fpr.unwrap_or(rules.fpr);
    rules.latency = args.latency.unwrap_or(rules.latency);
    rules.f1_ratio = args.f1_ratio.unwrap_or(rules.f1_ratio);
    if args.by_interval {
        rules.by = shared::domain::gate::By::Interval;
    }
    if !args.leave_out.is_empty() {
        rules.leave_out.clone_from(&args.leave_out);
    }
    let is_left_out = |it: &Requirement| rules.leave_out.contains(it);
    if Requirement::ALL.iter().all(is_left_out) {
        return Err(Uncounted::NothingAsked.into());
    }
    if args.write && args.champion.is_none() && !is_left_out(&Requirement::F1Ratio) {
        return Err(Uncounted::NoChampion.into());
    }
    Ok((model, rules))
}

fn count(args: &CompareArgs) -> Result<Counted, Uncounted> {
    let file = &args.predictions;
    let reading = Reading {
        positive: args.positive.clone(),
        champion_from: args.champion_threshold.unwrap_or(args.threshold),
        challenger_from: args.threshold,
    };
    let counted = if file == Path::new("-") {
        read(io::stdin().lock(), &reading)
    } else {
        let opened = File::open(file).map_err(|source| Uncounted::Unread {
            file: file.clone(),
            source,
        })?;
        read(BufReader::with_capacity(1 << 16, opened), &reading)
    };
    counted.map_err(|source| Uncounted::Predictions {
        file: file.clone(),
        source,
    })
}

fn results(args: &CompareArgs, model: Option<String>, counted: &Counted) -> Results {
    Results {
        model: model.unwrap_or_default(),
        champion: args.champion.clone(),
        compared_at: whole_seconds(wall_clock()),
        predictions: Some(counted.digest.clone()),
        positives: counted.cells.positives,
        negatives: counted.cells.negatives,
        latency: counted.latency,
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    at - SignedDuration::from_nanos(i64::from(at.subsec_nanosecond()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "results say when they were made, and this is no part of the control plane"
)]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
