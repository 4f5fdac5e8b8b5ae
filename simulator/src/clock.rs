//! The one clock of a simulated AWS, shared by every service and by the code under test.
//!
//! A manual clock stands still until somebody moves it, so tests are exact and never wait. A running clock is
//! the wall clock sped up: an hour of bake time can pass in a minute. Both can jump forward. Sleepers wait for
//! *virtual* time and are woken by jumps, which is why the clock, not the caller, owns `sleep`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// A virtual clock. Cloning gives another handle to the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pace: Pace,
    /// Manual: the present. Running: the start, moved on by every jump.
    base: Mutex<Timestamp>,
    jumped: watch::Sender<()>,
}

#[derive(Debug)]
enum Pace {
    Manual,
    Running { origin: Instant, speed: f64 },
}

impl Clock {
    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Clock {
        Clock::with_pace(start, Pace::Manual)
    }

    /// A clock that starts at `start` and runs `speed` times as fast as the wall clock.
    ///
    /// # Panics
    /// When `speed` is not a finite number above zero.
    pub fn running(start: Timestamp, speed: f64) -> Clock {
        assert!(
            speed.is_finite() && speed > 0.0,
            "a clock's speed is a finite number above zero, not {speed}"
        );
        Clock::with_pace(
            start,
            Pace::Running {
                origin: Instant::now(),
                speed,
            },
        )
    }

    fn with_pace(start: Timestamp, pace: Pace) -> Clock {
        Clock {
            shared: Arc::new(Shared {
                pace,
                base: Mutex::new(start),
                jumped: watch::Sender::new(()),
            }),
        }
    }

    fn base(&self) -> MutexGuard<'_, Timestamp> {
        self.shared
            .base
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The present virtual time.
    pub fn now(&self) -> Timestamp {
        let base = *self.base();
        match self.shared.pace {
            Pace::Manual => base,
            Pace::Running { origin, speed } => {
                let elapsed = origin.elapsed().as_secs_f64() * speed;
                SignedDuration::try_from_secs_f64(elapsed)
                    .ok()
                    .and_then(|elapsed| base.checked_add(elapsed).ok())
                    .unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Moves the clock forward at once; sleepers whose time has come wake. A negative `by` changes nothing.
    pub fn advance(&self, by: SignedDuration) {
        if by > SignedDuration::ZERO {
            let mut base = self.base();
            *base = base.checked_add(by).unwrap_or(Timestamp::MAX);
            drop(base);
            self.shared.jumped.send_replace(());
        }
    }

    /// Virtual seconds per wall-clock second; 0 for a manual clock.
    pub fn speed(&self) -> f64 {
        match self.shared.pace {
            Pace::Manual => 0.0,
            Pace::Running { speed, .. } => speed,
        }
    }

    /// Whether the clock moves only when told to.
    pub fn is_manual(&self) -> bool {
        matches!(self.shared.pace, Pace::Manual)
    }

    /// Waits until `virtual_time` has passed on this clock.
    pub async fn sleep(&self, virtual_time: SignedDuration) {
        let deadline = self
            .now()
            .checked_add(virtual_time)
            .unwrap_or(Timestamp::MAX);
        // Subscribing before the first look at the time: a jump in between must not be missed.
        let mut jumps = self.shared.jumped.subscribe();
        loop {
            let left = deadline.duration_since(self.now());
            if left <= SignedDuration::ZERO {
                return;
            }
            match self.shared.pace {
                Pace::Manual => {
                    // The sender lives as long as `self`, so this only ends by a jump.
                    let _ = jumps.changed().await;
                }
                Pace::Running { speed, .. } => {
                    // At least a millisecond, or rounding would spin just before the deadline.
                    let wall = (left.as_secs_f64() / speed).clamp(0.001, 86_400.0);
                    tokio::select! {
                        _ = jumps.changed() => {}
                        () = tokio::time::sleep(Duration::from_secs_f64(wall)) => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-01-05T09:00:00Z".parse().expect("a valid timestamp")
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(start());
        assert_eq!(clock.now(), start());
        clock.advance(SignedDuration::from_secs(90));
        clock.advance(SignedDuration::from_secs(-30));
        assert_eq!(clock.now(), start() + SignedDuration::from_secs(90));
        assert!(clock.is_manual());
    }

    #[test]
    fn a_running_clock_multiplies_the_wall_clock_and_jumps() {
        let clock = Clock::running(start(), 1_000.0);
        clock.advance(SignedDuration::from_hours(1));
        let first = clock.now();
        assert!(first >= start() + SignedDuration::from_hours(1));
        while clock.now() == first {
            std::hint::spin_loop();
        }
        assert!((clock.speed() - 1_000.0).abs() < f64::EPSILON);
    }

    #[tokio::test]
    async fn sleepers_wake_when_their_virtual_time_has_come() {
        let clock = Clock::manual(start());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(SignedDuration::from_mins(2)).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(SignedDuration::from_mins(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(SignedDuration::from_mins(1));
        let woken = sleeper.await.expect("the sleeper does not panic");
        assert_eq!(woken, start() + SignedDuration::from_mins(2));
    }

    #[tokio::test]
    async fn a_running_sleep_is_scaled() {
        let clock = Clock::running(start(), 100_000.0);
        clock.sleep(SignedDuration::from_mins(5)).await;
        assert!(clock.now() >= start() + SignedDuration::from_mins(5));
    }
}
