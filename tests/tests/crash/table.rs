//! What a crash between two steps leaves behind, and who makes up for it: the table of
//! `docs/reliability.md`, made from every crash of every scenario.
//!
//! Steps are the calls that change something; among the reads between two of them a crash leaves
//! the same. What was to come next is the first step after the crash in the clean run, the early
//! end of a lease apart: it runs out by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::faults::Ended;
use crate::rollout::Crash;
use crate::steps::{self, GIVEN_BACK, Step};

/// Every pair of steps, with what was seen of crashes between them.
#[derive(Default)]
pub(crate) struct Table {
    rows: BTreeMap<Between, Row>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Between {
    function: &'static str,
    after: &'static str,
    before: &'static str,
}

#[derive(Default)]
struct Row {
    runs: usize,
    leases: BTreeSet<&'static str>,
    phases: BTreeSet<String>,
    shows: BTreeSet<&'static str>,
    repairers: BTreeSet<&'static str>,
    /// Minutes until what was to come next was done.
    repaired: i64,
    /// Minutes that the end came later.
    later: i64,
}

impl Table {
    /// Takes in a run with one crash.
    pub(crate) fn take_in(&mut self, clean: &Ended, run: &Ended) {
        let Some(crash) = run.crashes.first() else {
            return;
        };
        let step = &run.steps[crash.step];
        let (after, before) = around(clean, crash, step);
        let key = Between {
            function: steps::name(step.by),
            after,
            before,
        };
        let row = self.rows.entry(key).or_default();
        row.runs += 1;
        row.leases.insert(if crash.leased { "a lease" } else { "no lease" });
        let phase = crash.phase.map(|phase| phase.to_string());
        row.phases.insert(phase.unwrap_or_else(|| "no record".to_owned()));
        row.shows.insert(crash.shows);
        row.later = row.later.max(run.at.duration_since(clean.at).as_mins());
        if let Some(repair) = repair(clean, run, crash, step) {
            row.repairers.insert(steps::name(repair.by));
            let waited = repair.at.duration_since(step.at).as_mins();
            row.repaired = row.repaired.max(waited);
        }
    }

    /// As it stands in the documents.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| function | after | before | the record says | the endpoint shows | what was to come is done by | within, min | end later by, min | runs |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for (between, row) in &self.rows {
            let words = |set: &BTreeSet<&'static str>| set.iter().copied().collect::<Vec<_>>().join(", ");
            let phases: Vec<&str> = row.phases.iter().map(String::as_str).collect();
            writeln!(
                text,
                "| {} | {} | {} | {}: {} | {} | {} | {} | {} | {} |",
                between.function,
                between.after,
                between.before,
                words(&row.leases),
                phases.join(", "),
                words(&row.shows),
                words(&row.repairers),
                row.repaired,
                row.later,
                row.runs,
            )
            .expect("a text takes everything");
        }
        text
    }
}

/// The steps around a crash: the last one that its invocation made, and the one it did not make.
fn around(clean: &Ended, crash: &Crash, step: &Step) -> (&'static str, &'static str) {
    let own = |one: &&Step| one.invocation == step.invocation && one.has_effect();
    let after = clean.steps[..=crash.step].iter().filter(own);
    let mut after = after.filter(|one| crash.made || one.number < step.number);
    let from = crash.step + usize::from(crash.made);
    let mut before = clean.steps[from..].iter().filter(own);
    (
        after.next_back().map_or("(begin)", |one| one.label),
        before.next().map_or("(end)", |one| one.label),
    )
}

/// The first step of the clean run after the crash that the other run made too, where it made it.
fn repair<'run>(
    clean: &Ended,
    run: &'run Ended,
    crash: &Crash,
    step: &Step,
) -> Option<&'run Step> {
    let from = crash.step + usize::from(crash.made);
    let due = clean.steps[from..].iter();
    let mut due = due.filter(|one| one.has_effect() && one.label != GIVEN_BACK);
    due.find_map(|due| {
        let mut made = run.steps[crash.step + 1..].iter();
        made.find(|one| one.label == due.label && one.invocation != step.invocation)
    })
}
