//! Labels of two arms that come at different times, until they can be compared.
//!
//! Requests are compared minute by minute: whatever makes a minute a bad one makes it one for both arms, and
//! cancels out. A label says when it came and not when its prediction was made, and where few come hardly any
//! minute has some of both arms: minute by minute they would never be compared. So those of one arm wait until
//! the other one has some.
//!
//! The wager does not ask for a minute. Given how many trials each arm had and how many bad outcomes both, the
//! bound is on how these fall, over whatever stretch is taken together ([`super::e_process`]). It asks that the
//! stretch ends without a look at the outcomes: it ends with the first minute after which both arms have a trial.
//!
//! What waits may be of other hours than what it is compared with, and an hour that was bad for both no longer
//! cancels out. Longer than a day nothing waits, so that at least the hours of a day are the same. What came later
//! than half a day after the first is kept apart, and waits on when that goes: where both arms get their labels by
//! night and one of them gets none for once, the next night is compared with itself.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Counts;

/// For how long the counts of one arm wait for the other's.
const WAITS: SignedDuration = SignedDuration::from_hours(24);

/// For how long after the first what comes is taken together with it.
const GATHERS: SignedDuration = SignedDuration::from_hours(12);

/// The counts of an arm that has some, while the other one has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pool {
    canary: Counts,
    production: Counts,
    /// The start of the first minute that is in it.
    since: Option<Timestamp>,
    /// What came more than half a day after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    later: Option<Later>,
}

/// The same of later minutes, which go later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Later {
    canary: Counts,
    production: Counts,
    since: Timestamp,
}

impl Pool {
    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Takes in what a minute counted of both arms. As soon as each has a trial these are the counts of both, and
    /// nothing waits any more.
    pub fn take_in(
        &mut self,
        minute: Timestamp,
        canary: Counts,
        production: Counts,
    ) -> Option<(Counts, Counts)> {
        self.let_go(minute);
        let later = self.later.map_or((Counts::NONE, Counts::NONE), |later| {
            (later.canary, later.production)
        });
        let both = (
            self.canary.plus(later.0).plus(canary),
            self.production.plus(later.1).plus(production),
        );
        if both.0.n() > 0 && both.1.n() > 0 {
            *self = Self::default();
            return Some(both);
        }
        if canary.n() > 0 || production.n() > 0 {
            self.keep(minute, canary, production);
        }
        None
    }

    /// Lets go of what has waited for longer than a day.
    fn let_go(&mut self, minute: Timestamp) {
        let is_late = |since: Timestamp| minute.duration_since(since) > WAITS;
        if self.since.is_some_and(is_late) {
            let later = self.later.filter(|later| !is_late(later.since));
            *self = later.map_or_else(Self::default, |later| Self {
                canary: later.canary,
                production: later.production,
                since: Some(later.since),
                later: None,
            });
        }
    }

    fn keep(&mut self, minute: Timestamp, canary: Counts, production: Counts) {
        let since = *self.since.get_or_insert(minute);
        let (ours, theirs) = if minute.duration_since(since) <= GATHERS {
            (&mut self.canary, &mut self.production)
        } else {
            let later = self.later.get_or_insert(Later {
                canary: Counts::NONE,
                production: Counts::NONE,
                since: minute,
            });
            (&mut later.canary, &mut later.production)
        };
        (*ours, *theirs) = (ours.plus(canary), theirs.plus(production));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_second(number * 60).expect("a minute")
    }

    fn counts(n: u64, x: u64) -> Counts {
        Counts::new(n, x).expect("not more than were tried")
    }

    #[test]
    fn what_one_arm_has_waits_for_the_other_and_counts_once() {
        let mut pool = Pool::default();
        assert_eq!(pool.take_in(minute(1), Counts::NONE, Counts::NONE), None);
        assert!(pool.is_empty());
        assert_eq!(pool.take_in(minute(2), counts(3, 1), Counts::NONE), None);
        assert_eq!(pool.take_in(minute(3), counts(4, 2), Counts::NONE), None);
        let paired = pool.take_in(minute(9), Counts::NONE, counts(50, 5));
        assert_eq!(paired, Some((counts(7, 3), counts(50, 5))));
        assert!(pool.is_empty());
        assert_eq!(pool.take_in(minute(10), Counts::NONE, counts(1, 0)), None);
        let paired = pool.take_in(minute(11), counts(2, 2), counts(8, 1));
        assert_eq!(paired, Some((counts(2, 2), counts(9, 1))));
    }

    #[test]
    fn nothing_waits_for_longer_than_a_day() {
        let day = 24 * 60;
        for (later, paired) in [(day, Some((counts(3, 1), counts(9, 1)))), (day + 1, None)] {
            let mut pool = Pool::default();
            pool.take_in(minute(0), counts(3, 1), Counts::NONE);
            let found = pool.take_in(minute(later), Counts::NONE, counts(9, 1));
            assert_eq!(found, paired, "{later}");
        }
    }

    /// Production's labels come at 02:00 and the canary's at 02:05, but for one night in which it has none.
    #[test]
    fn a_night_without_labels_of_one_arm_shifts_no_other_night() {
        let at = |night: i64, past: i64| minute((night * 24 + 2) * 60 + past);
        let mut pool = Pool::default();
        for (night, size) in [(0, 10), (1, 11), (2, 12), (3, 13), (4, 14)] {
            let found = pool.take_in(at(night, 0), Counts::NONE, counts(size, 1));
            assert_eq!(found, None, "{night}");
            if night != 2 {
                let found = pool.take_in(at(night, 5), counts(5, 1), Counts::NONE);
                assert_eq!(found, Some((counts(5, 1), counts(size, 1))), "{night}");
            }
        }
    }

    #[test]
    fn a_pool_comes_back_from_its_text() {
        let mut pool = Pool::default();
        pool.take_in(minute(7), counts(3, 1), Counts::NONE);
        pool.take_in(minute(20 * 60), counts(2, 1), Counts::NONE);
        let text = serde_json::to_string(&pool).expect("JSON");
        assert_eq!(serde_json::from_str::<Pool>(&text).expect("a pool"), pool);
    }
}
