//! What else teams judge canaries by: each takes in one minute and says whether it rolls back.

use shared::domain::comparison::Counts;

use crate::world::Minute;

/// The share of bad outcomes that fixed limits allow.
const LIMIT: f64 = 0.01;

/// "At least 1 % in three minutes in a row."
#[derive(Default)]
pub(crate) struct Threshold {
    row: u32,
}

impl Threshold {
    pub(crate) fn rolls_back(&mut self, minute: &Minute) -> bool {
        let canary = minute.canary;
        if canary.n() == 0 {
            return false;
        }
        let is_broken = minute.canary_past_limit as f64 >= LIMIT * canary.n() as f64;
        self.row = if is_broken { self.row + 1 } else { 0 };
        self.row >= 3
    }
}

/// A one-sided test of two proportions over everything so far, looked at every minute: p below 5 %.
#[derive(Default)]
pub(crate) struct EveryMinute {
    canary: Counts,
    production: Counts,
}

impl EveryMinute {
    pub(crate) fn rolls_back(&mut self, minute: &Minute) -> bool {
        self.canary = self.canary.plus(minute.canary);
        self.production = self.production.plus(minute.production);
        let (Some(canary), Some(production)) = (self.canary.rate(), self.production.rate()) else {
            return false;
        };
        let pooled = self.canary.plus(self.production).rate().unwrap_or(0.0);
        let parts = 1.0 / self.canary.n() as f64 + 1.0 / self.production.n() as f64;
        let deviation = (pooled * (1.0 - pooled) * parts).sqrt();
        deviation > 0.0 && (canary - production) / deviation > 1.644_854
    }
}

/// Kayenta's judge (Spinnaker, `MannWhitneyClassifier.scala`), every hour: the 98 % interval of the
/// shift between 60 minutes of both arms must lie above a quarter of the estimated shift.
#[derive(Default)]
pub(crate) struct Hourly {
    canary: Vec<f64>,
    production: Vec<f64>,
}

const HOUR: usize = 60;
/// The two-sided 98 % point of the normal distribution.
const NORMAL_98: f64 = 2.326_348;

impl Hourly {
    pub(crate) fn rolls_back(&mut self, minute: &Minute) -> bool {
        if let (Some(canary), Some(production)) = (minute.canary.rate(), minute.production.rate()) {
            self.canary.push(canary);
            self.production.push(production);
        }
        if self.canary.len() < HOUR {
            return false;
        }
        let shifts = shifts(&self.canary, &self.production);
        self.canary.clear();
        self.production.clear();
        is_higher(shifts)
    }
}

/// Every pair's difference.
pub(crate) fn shifts(canary: &[f64], production: &[f64]) -> Vec<f64> {
    canary
        .iter()
        .flat_map(|canary| production.iter().map(move |production| canary - production))
        .collect()
}

/// By the order statistics of the pairs' differences (Hodges and Lehmann 1963).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among some thousands"
)]
pub(crate) fn is_higher(mut shifts: Vec<f64>) -> bool {
    let pairs = shifts.len() as f64;
    let minutes = pairs.sqrt();
    let deviation = (pairs * (2.0 * minutes + 1.0) / 12.0).sqrt();
    let rank = (pairs / 2.0 - NORMAL_98 * deviation).max(0.0) as usize;
    let middle = shifts.len() / 2;
    let (_, estimate, _) = shifts.select_nth_unstable_by(middle, f64::total_cmp);
    let estimate = *estimate;
    let (_, low, _) = shifts.select_nth_unstable_by(rank, f64::total_cmp);
    *low > 0.25 * estimate.abs() && *low > 0.0
}

/// Flagger's built-in check with its documented example: a success rate of at least 99 % each
/// minute, rolled back at the fifth failed check of the whole analysis.
#[derive(Default)]
pub(crate) struct Flagger {
    failed: u32,
}

impl Flagger {
    pub(crate) fn rolls_back(&mut self, minute: &Minute) -> bool {
        let canary = minute.canary;
        self.failed += u32::from(minute.canary_past_limit as f64 > LIMIT * canary.n() as f64);
        self.failed >= 5
    }
}

/// Argo Rollouts' documented example, with the same 99 %: a measurement over five minutes, failed
/// once more than three of them failed (`failureLimit: 3`).
#[derive(Default)]
pub(crate) struct Argo {
    requests: u64,
    bad: u64,
    minutes: u32,
    failed: u32,
}

impl Argo {
    pub(crate) fn rolls_back(&mut self, minute: &Minute) -> bool {
        self.requests += minute.canary.n();
        self.bad += minute.canary_past_limit;
        self.minutes += 1;
        if self.minutes == 5 {
            self.failed += u32::from(self.bad as f64 > LIMIT * self.requests as f64);
            (self.requests, self.bad, self.minutes) = (0, 0, 0);
        }
        self.failed > 3
    }
}
