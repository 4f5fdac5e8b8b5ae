//! `canary replay`: what would have become of a recorded rollout under other policies.
//!
//! No API is needed: the judging is the control plane's own code. The file is read twice, once to
//! check all of it and to learn its signals and its history, once to judge; neither keeps more
//! than a minute of it. So nothing is answered before the whole file is known to be sound.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::domain::replay::{Case, Outcome, Replay, Ruling, Survey, Unfit};
use shared::domain::specification::Specification;
use shared::wire::specification::parse;
use shared::wire::trace::{Reader, TraceError, built_in};

use crate::exit::Exit;
use crate::output::replay::{self as text, Judged, MinuteLine};
use crate::output::{Output, printable};

use super::Failure;
use super::arguments::ReplayArgs;
use super::specification::read;

/// Stands in for the endpoint and the model, which a replay does not need.
const NOBODY: &str = "replayed";

/// Why a trace can't be judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unplayed {
    /// The file can't be read.
    #[error("{} can't be read", file.display())]
    Unread {
        /// The trace.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A pipe or a folder.
    #[error("{} is not a regular file; a trace is read twice, so save it first", file.display())]
    NotAFile {
        /// The trace.
        file: PathBuf,
    },
    /// What stands in it makes no sense.
    #[error("{}", file.display())]
    Trace {
        /// The trace.
        file: PathBuf,
        /// Where and what.
        source: TraceError,
    },
    /// There is nothing in it that could be judged.
    #[error("{}", file.display())]
    Unfit {
        /// The trace, or the policy that does not go with it.
        file: PathBuf,
        /// Why.
        source: Unfit,
    },
    /// Somebody wrote to it.
    #[error("{} changed while it was read; save a copy and try again", file.display())]
    Changed {
        /// The trace.
        file: PathBuf,
    },
}

impl Unplayed {
    /// The stable word for it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Unread { .. } | Self::NotAFile { .. } => "unreadable-file",
            Self::Trace { .. } | Self::Unfit { .. } | Self::Changed { .. } => "invalid-trace",
        }
    }
}

/// A policy and what it is called.
struct Named {
    file: PathBuf,
    specification: Specification,
}

impl Named {
    fn name(&self) -> String {
        self.file.display().to_string()
    }
}

pub(super) fn replay(args: &ReplayArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let policies = policies(&args.policies)?;
    let mut trace = Trace::open(&args.trace, &policies)?;
    let survey = trace.survey()?;
    let cases = cases(&policies, &survey, &args.trace)?;
    remark_left_out(&policies, &cases, output)?;

    let mut replays: Vec<Replay<'_>> = cases.iter().map(Replay::new).collect();
    let names = names(&policies);
    let mut table = args.minutes.then(|| text::Minutes::new(&names));
    let mut reader = trace.read()?;
    for recorded in reader.by_ref() {
        let recorded = recorded.map_err(|source| trace_error(&args.trace, source))?;
        for (index, replay) in replays.iter_mut().enumerate() {
            let gap = replay.gap();
            if !replay.take_in(&recorded) {
                continue;
            }
            if let Some(table) = &mut table {
                let outcome = replay.at_present();
                let line = MinuteLine::of(names.get(index), recorded.minute, gap, &outcome);
                table.answer(&line, &outcome, output)?;
            }
        }
        if replays.iter().all(Replay::is_over) {
            break;
        }
    }
    let is_whole = replays.iter().all(Replay::is_over) || reader.rows() == trace.rows;
    if !is_whole {
        let file = args.trace.clone();
        return Err(Unplayed::Changed { file }.into());
    }
    let outcomes: Vec<Outcome> = replays.iter().map(Replay::outcome).collect();
    answer(&policies, &outcomes, output)
}

/// One object per policy, with its name only where it is needed to tell them apart.
fn answer(
    policies: &[Named],
    outcomes: &[Outcome],
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let names = names(policies);
    let judged: Vec<Judged<'_>> = outcomes
        .iter()
        .enumerate()
        .map(|(index, outcome)| Judged::of(names.get(index), outcome))
        .collect();
    let columns: Vec<(String, &Outcome)> = policies.iter().map(Named::name).zip(outcomes).collect();
    output.answers_of(&judged, |_, look| text::side_by_side(look, &columns))?;
    let is_rolled_back = outcomes
        .iter()
        .any(|outcome| outcome.ruling == Ruling::Rollback);
    Ok(if is_rolled_back {
        Exit::TakenBack
    } else {
        Exit::Done
    })
}

/// None for a single policy.
fn names(policies: &[Named]) -> Vec<String> {
    match policies {
        [_] => Vec::new(),
        several => several.iter().map(Named::name).collect(),
    }
}

fn policies(files: &[PathBuf]) -> Result<Vec<Named>, Failure> {
    let named = |file: &PathBuf| {
        let read = read(file).and_then(|value| Ok(parse(&with_placeholders(value))?));
        let specification = read.map_err(|failure| match failure {
            // Which of them, where there is more than one.
            Failure::Specification(mut error) if files.len() > 1 => {
                error.detail = format!("{}: {}", file.display(), error.detail);
                Failure::Specification(error)
            }
            other => other,
        })?;
        Ok(Named {
            file: file.clone(),
            specification,
        })
    };
    files.iter().map(named).collect()
}

/// A policy may be tried before there is an endpoint or a model for it.
fn with_placeholders(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.entry("endpoint").or_insert_with(|| json!(NOBODY));
        if !fields.contains_key("model_package") {
            fields.entry("model").or_insert_with(|| json!(NOBODY));
        }
    }
    value
}

fn cases(policies: &[Named], survey: &Survey, trace: &Path) -> Result<Vec<Case>, Unplayed> {
    let case = |named: &Named| {
        let Specification { policy, plan, .. } = &named.specification;
        Case::new(policy, plan, survey).map_err(|source| {
            let file = match source {
                Unfit::NoRequests => trace.to_owned(),
                Unfit::NothingKnown(_) => named.file.clone(),
            };
            Unplayed::Unfit { file, source }
        })
    };
    policies.iter().map(case).collect()
}

fn remark_left_out(policies: &[Named], cases: &[Case], output: &mut Output<'_>) -> io::Result<()> {
    for (named, case) in policies.iter().zip(cases) {
        if !case.left_out().is_empty() {
            output.remark(&format!(
                "{}: left out, since the trace does not say enough for them: {}",
                printable(&named.name()),
                case.left_out().join(", ")
            ))?;
        }
    }
    Ok(())
}

/// The file, which is read twice.
struct Trace<'a> {
    path: &'a Path,
    file: File,
    known: BTreeSet<String>,
    rows: u64,
}

impl<'a> Trace<'a> {
    fn open(path: &'a Path, policies: &[Named]) -> Result<Self, Unplayed> {
        let unread = |source| Unplayed::Unread {
            file: path.to_owned(),
            source,
        };
        // Opening a pipe would wait for somebody to write to it.
        if !std::fs::metadata(path).map_err(unread)?.is_file() {
            let file = path.to_owned();
            return Err(Unplayed::NotAFile { file });
        }
        let mut known = built_in();
        for named in policies {
            let signals = &named.specification.policy.signals;
            known.extend(signals.iter().map(|rule| rule.name.clone()));
        }
        Ok(Self {
            path,
            file: File::open(path).map_err(unread)?,
            known,
            rows: 0,
        })
    }

    fn survey(&mut self) -> Result<Survey, Unplayed> {
        let mut survey = Survey::default();
        let path = self.path;
        let mut reader = self.read()?;
        for recorded in reader.by_ref() {
            survey.take_in(&recorded.map_err(|source| trace_error(path, source))?);
        }
        self.rows = reader.rows();
        Ok(survey)
    }

    /// From its beginning.
    fn read(&self) -> Result<Reader<BufReader<&File>>, Unplayed> {
        let mut file = &self.file;
        file.rewind().map_err(|source| Unplayed::Unread {
            file: self.path.to_owned(),
            source,
        })?;
        Ok(Reader::new(BufReader::new(file), self.known.clone()))
    }
}

fn trace_error(file: &Path, source: TraceError) -> Unplayed {
    Unplayed::Trace {
        file: file.to_owned(),
        source,
    }
}
