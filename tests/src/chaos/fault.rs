//! The faults by their numbers in the reference, and how often each was done.

use std::fmt;

/// What each fault is, in the order of the numbers.
pub const NAMES: [&str; 42] = [
    "crash before the intent is written",
    "crash between intent and call",
    "crash after the call, before its answer",
    "crash between call and confirmation",
    "timeout in the middle of a call",
    "a write's answer lost",
    "crash before the lock is freed",
    "crash in the middle of a cancel",
    "duplicate tick",
    "overlapping ticks",
    "missed ticks (1, 5, 60)",
    "late or reordered invoke",
    "invoke lost",
    "malformed event",
    "duplicate POST with the same key",
    "same key, another body",
    "two POSTs race for one endpoint",
    "cancel races completion",
    "stuck in Updating",
    "SystemUpdating during a breach",
    "RollingBack, weights reverted",
    "Failed",
    "UpdateRollbackFailed",
    "deleted",
    "deleted and made again",
    "weights edited by hand",
    "somebody's UpdateEndpoint resets weights",
    "variant renamed or removed",
    "autoscaling changes the count mid-step",
    "throttled, ResourceLimitExceeded",
    "an unmodelled conflict error",
    "UpdateEndpoint back on the old config",
    "no metrics",
    "PartialData, InternalError, Forbidden",
    "NaN or infinite",
    "late points revise a past minute",
    "zero traffic, or one error in one request",
    "production failing too",
    "stale index or throttled write",
    "clock skew across leases",
    "SNS down or permission revoked",
    "records of schema N-1",
];

/// One of the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault(u8);

impl Fault {
    /// By its number in the reference, 1 to 42.
    ///
    /// # Panics
    /// When there is no such number.
    pub const fn number(number: u8) -> Self {
        assert!(number >= 1 && number as usize <= NAMES.len());
        Self(number)
    }

    /// Every fault.
    pub fn all() -> impl Iterator<Item = Self> {
        (1u8..).take(NAMES.len()).map(Self)
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// What it is.
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize - 1]
    }

    /// Whether a rollout can hardly go on after it: drawn less often, or nothing else would be
    /// tried.
    pub const fn ends_rollouts(self) -> bool {
        matches!(self.0, 22..=25 | 28 | 32)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:2} {}", self.0, self.name())
    }
}

/// How often each fault was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired([u64; NAMES.len()]);

impl Default for Fired {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Fired {
    /// Counts one.
    pub fn count(&mut self, fault: Fault) {
        self.0[usize::from(fault.0) - 1] += 1;
    }

    /// How often this one was done.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[usize::from(fault.0) - 1]
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own += more;
        }
    }

    /// Those that were never done.
    pub fn missing(&self) -> Vec<Fault> {
        Fault::all().filter(|fault| self.of(*fault) == 0).collect()
    }
}
