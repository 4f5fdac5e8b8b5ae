//! What a crash between two steps leaves behind, and who makes up for it: the table of
//! `docs/reliability.md`, made from every crash of every scenario.
//!
//! Steps are the calls that change something; among the reads between two of them a crash leaves
//! the same. What was to come next is the first step after the crash in the clean run, the early
//! end of a lease apart: it runs out by itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::faults::Ended;
use crate::rollout::Crash;
use crate::steps::{self, END, GIVEN_BACK, MINUTE, Step, TRANSITION, WATCHED};
use tests::direct::gate::Role;

const LEASE: &str = "a lease";
const NO_LEASE: &str = "no lease";
/// In place of a phase.
const NO_RECORD: &str = "no record";

/// Every pair of steps, with what was seen of crashes between them.
#[derive(Default)]
pub(crate) struct Table {
    /// As they were first seen.
    rows: Vec<(Between, Row)>,
}

#[derive(PartialEq, Eq)]
struct Between {
    function: Role,
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
            function: step.by,
            after,
            before,
        };
        let row = self.row(key);
        row.runs += 1;
        row.leases
            .insert(if crash.leased { LEASE } else { NO_LEASE });
        let phase = crash.phase.map(|phase| phase.to_string());
        row.phases
            .insert(phase.unwrap_or_else(|| NO_RECORD.to_owned()));
        row.shows.insert(crash.shows);
        if run.status == clean.status {
            let later = run.at.duration_since(clean.at).as_mins();
            row.later = row.later.max(later);
        }
        if let Some(repair) = repair(clean, run, crash, step) {
            row.repairers.insert(steps::name(repair.by));
            let waited = repair.at.duration_since(step.at).as_mins();
            row.repaired = row.repaired.max(waited);
        }
    }

    fn row(&mut self, between: Between) -> &mut Row {
        let known = self.rows.iter().position(|(key, _)| *key == between);
        let index = known.unwrap_or_else(|| {
            self.rows.push((between, Row::default()));
            self.rows.len() - 1
        });
        &mut self.rows[index].1
    }

    /// As it stands in the documents: without the phases and what the endpoint shows.
    pub(crate) fn short(&self) -> String {
        let mut text = String::from(
            "| function | between | record | who does what was to come | within, min | runs |\n|---|---|---|---|---|---|\n",
        );
        for function in FUNCTIONS {
            let own = self.rows.iter();
            for (between, row) in own.filter(|(between, _)| between.function == function) {
                writeln!(text, "{}", row.short(between)).expect("a text takes everything");
            }
        }
        text
    }

    /// All that was seen.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| function | after | before | the record says | the endpoint shows | what was to come is done by | within, min | end later by, min | runs |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for function in FUNCTIONS {
            let own = self.rows.iter();
            for (between, row) in own.filter(|(between, _)| between.function == function) {
                writeln!(text, "{}", row.line(between)).expect("a text takes everything");
            }
        }
        text
    }
}

const FUNCTIONS: [Role; 5] = [
    Role::Api,
    Role::Monitor,
    Role::Provision,
    Role::TrafficShift,
    Role::Rollback,
];

impl Row {
    fn short(&self, between: &Between) -> String {
        let record = match (self.phases.first(), self.leases.len()) {
            (Some(only), _) if only == NO_RECORD && self.phases.len() == 1 => NO_RECORD,
            (_, 2) => "none or lease",
            _ if self.leases.contains(LEASE) => "lease",
            _ => NO_LEASE,
        };
        let repairers: Vec<&str> = self.repairers.iter().copied().collect();
        format!(
            "| {} | {} → {} | {record} | {} | {} | {} |",
            steps::name(between.function),
            between.after,
            between.before,
            repairers.join(", "),
            self.repaired,
            self.runs,
        )
    }

    fn line(&self, between: &Between) -> String {
        let words =
            |set: &BTreeSet<&'static str>| set.iter().copied().collect::<Vec<_>>().join(", ");
        let phases: Vec<&str> = self.phases.iter().map(String::as_str).collect();
        format!(
            "| {} | {} | {} | {}: {} | {} | {} | {} | {} | {} |",
            steps::name(between.function),
            between.after,
            between.before,
            words(&self.leases),
            phases.join(", "),
            words(&self.shows),
            words(&self.repairers),
            self.repaired,
            self.later,
            self.runs,
        )
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
fn repair<'run>(clean: &Ended, run: &'run Ended, crash: &Crash, step: &Step) -> Option<&'run Step> {
    let from = crash.step + usize::from(crash.made);
    let due = clean.steps[from..].iter();
    // What people order of their own accord was not due.
    let mut due = due.filter(|one| {
        one.has_effect() && one.label != GIVEN_BACK && (one.by != Role::Api || step.by == Role::Api)
    });
    due.find_map(|due| {
        let mut made = run.steps[crash.step + 1..].iter();
        made.find(|one| is_alike(one, due) && one.invocation != step.invocation)
    })
}

/// Whether two steps do the same: a tick makes up for a tick, whatever it then finds.
fn is_alike(one: &Step, other: &Step) -> bool {
    let of_a_tick = |step: &Step| [MINUTE, TRANSITION, END, WATCHED].contains(&step.label);
    one.label == other.label || (of_a_tick(one) && of_a_tick(other))
}
