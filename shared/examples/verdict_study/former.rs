//! The comparison as it was designed first, kept here to be held against: half of the stakes on the
//! first minute, the six odds ratios alike, a ceiling of 2.3, and bursts measured by the minute.

use shared::domain::comparison::Counts;

const ODDS_RATIOS: [f64; 6] = [1.5, 2.0, 3.0, 5.0, 10.0, 25.0];
const TOLERATED: f64 = 1.25;
const CEILING: f64 = 2.3;

/// What it knows of the day before.
#[derive(Clone, Copy)]
pub(crate) struct Past {
    counts: Counts,
    kappa: f64,
    longest: f64,
}

impl Past {
    pub(crate) fn of(history: &[Counts], longest: u64) -> Self {
        let counts = history.iter().copied().fold(Counts::NONE, Counts::plus);
        let mean = counts.x() as f64 / history.len() as f64;
        let squares: f64 = history
            .windows(2)
            .map(|pair| (pair[1].x() as f64 - pair[0].x() as f64).powi(2))
            .sum();
        let half = squares / (history.len() - 1) as f64 / 2.0;
        let excess = ((half - mean) / (mean * mean)).max(0.0);
        Self {
            counts,
            kappa: (2.0 * excess).clamp(0.1, 5.0),
            longest: longest as f64,
        }
    }
}

/// One signal's capital, itself and not its logarithm: it is cut off long before it overflows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Former {
    capital: [f64; 6],
    production: Counts,
    minutes: u64,
}

impl Former {
    pub(crate) fn take_in(&mut self, past: &Past, canary: Counts, production: Counts) {
        if canary.n() == 0 || production.n() == 0 {
            return;
        }
        self.minutes += 1;
        let canary_odds = TOLERATED * canary.n() as f64;
        let share = canary_odds / (canary_odds + production.n() as f64);
        let bad = (canary.x() + production.x()) as f64;
        let trials = (canary.n() + production.n()) as f64;
        let rate = past.counts.plus(self.production).rate().unwrap_or(0.0);
        let variance = rate.max(1e-5) * trials * share * (1.0 - share);
        let power = 1.0 / (1.0 + past.kappa * variance);
        let first = if self.minutes == 1 { 0.5 } else { 0.0 };
        let stake = (first + 0.5 / past.longest) / 6.0;
        for (capital, ratio) in self.capital.iter_mut().zip(ODDS_RATIOS) {
            let gain = canary.x() as f64 * ratio.ln() - bad * (share * (ratio - 1.0)).ln_1p();
            *capital = ((*capital + stake) * (power * gain).min(CEILING).exp()).min(1e200);
        }
        self.production = self.production.plus(production);
    }

    pub(crate) fn evidence(&self) -> f64 {
        self.capital.iter().sum()
    }
}
