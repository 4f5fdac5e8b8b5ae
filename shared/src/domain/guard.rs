//! Guards: counts against limits, over windows that never overlap.
//!
//! A check is a window with at least `min_samples` canary requests, not a minute: at low traffic
//! a check spans several minutes, and "3 consecutive checks" are three independent looks. A
//! window closes early only when its outcome is already certain at its present traffic, that is when
//! it holds more bad outcomes than a full one may. Where production's bad outcomes come in bursts, a window spans more
//! minutes, because the requests of one burst are not independent of each other.
//!
//! A percentile over several minutes is never an average of the minutes' percentiles. Against a
//! limit it is a count: the p99 is above L just when more than 1 % of the requests took longer
//! than L. Where only the minutes' percentiles are known, the window's own lies between the lowest
//! and the highest of them, and a breach is claimed only when the bounds prove it.

use super::comparison::{Counts, Limit};
use super::evidence::{Arm, Check, Finding, GuardState, Window};
use super::observation::ArmMinute;
use super::policy::{Guard, Percentile, Sustain, Test};
use super::quantity::{Latency, Rate, Span, counted};

/// How long a limit may be broken that production breaks as well. A common incident is not the
/// canary's, but one that does not end may be: both arms share what they call.
pub const SHARED_LIMIT: Span = Span::from_mins(30);
/// Minutes without a reading of the memory, after which it can't be told. An endpoint may publish such
/// figures once in five minutes (`MetricsConfig`), and one of those may be late.
const MEMORY_MISSED: u64 = 10;
/// How many times production's share of bad outcomes still counts as the same incident.
const SHARED_RATIO: f64 = 2.0;

/// What a window has to hold before it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Requests of the canary, and of production where it is compared with.
    pub min_samples: u64,
    /// Minutes: where bad outcomes come in bursts, many requests of one minute are one look.
    pub least_minutes: u32,
}

impl WindowSize {
    /// So many requests, however few the minutes.
    pub const fn of(min_samples: u64) -> Self {
        Self {
            min_samples,
            least_minutes: 1,
        }
    }

    /// The canary's trials that the window will hold when it is full, at its present traffic.
    fn trials_when_full(self, window: &Window) -> f64 {
        let minutes = f64::from(self.least_minutes.max(window.minutes));
        let expected = window.canary.n as f64 / f64::from(window.minutes.max(1)) * minutes;
        expected.max(self.min_samples as f64)
    }
}

/// Takes one minute into the guard's window and judges the window when that closes it.
/// Returns whether a check was made.
pub fn take_in(
    guard: &Guard,
    state: &mut GuardState,
    canary: &ArmMinute,
    production: Option<&ArmMinute>,
    size: WindowSize,
) -> bool {
    if !is_told(guard.test, state, canary, production)
        || !fill(guard.test, &mut state.window, canary, production)
    {
        return false;
    }
    close(guard, state, size)
}

/// The same of a guard of cost and a minute in which the canary has all requests: held against the dollars
/// that production is reckoned to have cost with them, or against what is not known, which is no word of health.
pub fn take_in_recalled(
    guard: &Guard,
    state: &mut GuardState,
    canary: &ArmMinute,
    theirs: Option<f64>,
    size: WindowSize,
) -> bool {
    let Some(ours) = canary.cost else {
        return false;
    };
    let (requests, window) = (canary.invocations, &mut state.window);
    window.canary.pay(requests, ours);
    match theirs {
        Some(theirs) => window.production.pay(requests, theirs),
        None => window.production.pay_unknown(requests),
    }
    window.recalled = true;
    window.minutes += 1;
    close(guard, state, size)
}

/// Judges the window if it is full; whether it was.
fn close(guard: &Guard, state: &mut GuardState, size: WindowSize) -> bool {
    if !is_closed(guard.test, &state.window, size) {
        return false;
    }
    let window = std::mem::take(&mut state.window);
    let own = judge(guard.test, &window);
    let finding = match own {
        Finding::Broken if is_shared(guard.test, &window, size.min_samples) => Finding::Shared,
        Finding::Kept if is_shared(guard.test, &window, size.min_samples) => Finding::Incident,
        own => own,
    };
    let went_before = state.last.as_ref().map(|check| check.finding);
    let covers = u64::from(window.minutes) * 60;
    match (own, finding) {
        (Finding::Broken, Finding::Shared) => {
            // No breach of the canary's own: a row of those begins anew after the incident.
            (state.breaches, state.breached_for) = (0, Span::ZERO);
            // From the first such check on: one long window is no long incident.
            if went_before == Some(Finding::Shared) {
                state.shared_for = Span::from_secs(state.shared_for.secs() + covers);
            }
        }
        (Finding::Kept, _) => {
            (state.breaches, state.breached_for, state.shared_for) = (0, Span::ZERO, Span::ZERO);
        }
        (Finding::Broken, _) => {
            state.breaches += 1;
            state.breached_for = Span::from_secs(state.breached_for.secs() + covers);
        }
        // Neither proof of health nor of harm: the row of breaches stands.
        _ => {}
    }
    state.last = Some(describe(guard, state, &window, finding));
    true
}

/// Whether the guard has been broken for as long as it must be to act.
pub fn has_tripped(guard: &Guard, state: &GuardState) -> bool {
    match state.last.as_ref().map(|check| check.finding) {
        Some(Finding::Broken) => match guard.sustain {
            Sustain::Checks(checks) => state.breaches >= checks,
            Sustain::For(span) => state.breached_for >= span,
        },
        Some(Finding::Shared) => state.shared_for >= SHARED_LIMIT,
        _ => false,
    }
}

/// The limit that a safe gate asks to be shown kept; absent for tests that compare, and for limits
/// that nothing or everything breaks.
pub fn gate_limit(guard: &Guard) -> Option<Limit> {
    match guard.test {
        Test::ErrorsAbove(limit) => Limit::new(limit),
        Test::LatencyAbove(percentile, _) => {
            Rate::from_percent(percentile.tail() * 100.0).and_then(Limit::new)
        }
        Test::ErrorsWorseBy(_)
        | Test::LatencyRatio(..)
        | Test::CostRatio(_)
        | Test::MemoryAbove(_) => None,
    }
}

/// The counts of a minute that a safe gate is fed with.
pub fn gate_counts(guard: &Guard, canary: &ArmMinute) -> Option<Counts> {
    gate_limit(guard)?;
    match guard.test {
        Test::LatencyAbove(_, limit) => {
            let latency = canary.latency.as_ref()?;
            Counts::new(latency.samples, latency.slower(limit)?)
        }
        _ => Counts::new(canary.invocations, canary.errors_5xx),
    }
}

/// Whether a minute without a figure says that one is missing. Memory that was never seen, of neither
/// model, is none that this endpoint tells of: it is not judged, and nothing waits for it.
fn is_told(
    test: Test,
    state: &GuardState,
    canary: &ArmMinute,
    production: Option<&ArmMinute>,
) -> bool {
    let has_memory = |arm: &ArmMinute| arm.memory_percent.is_some();
    !matches!(test, Test::MemoryAbove(_))
        || state.last.is_some()
        || state.window.canary.uncounted > 0
        || has_memory(canary)
        || production.is_some_and(has_memory)
}

/// Adds a minute; false when the minute says nothing about this test.
fn fill(
    test: Test,
    window: &mut Window,
    canary: &ArmMinute,
    production: Option<&ArmMinute>,
) -> bool {
    match test {
        Test::ErrorsAbove(_) | Test::ErrorsWorseBy(_) => {
            if test.compares() && production.is_none() {
                return false;
            }
            count_errors(&mut window.canary, canary);
            if let Some(production) = production {
                count_errors(&mut window.production, production);
            }
        }
        Test::LatencyAbove(percentile, limit) => {
            if !count_slow(&mut window.canary, canary, percentile, limit) {
                return false;
            }
            if let Some(production) = production {
                count_slow(&mut window.production, production, percentile, limit);
            }
        }
        Test::LatencyRatio(percentile, _) => {
            let Some(production) = production else {
                return false;
            };
            if canary.latency.is_none() || production.latency.is_none() {
                return false;
            }
            bound_percentile(&mut window.canary, canary, percentile);
            bound_percentile(&mut window.production, production, percentile);
        }
        Test::CostRatio(_) => {
            let Some((ours, theirs)) = both_costs(canary, production) else {
                return false;
            };
            window.canary.pay(canary.invocations, ours);
            window.production.pay(theirs.0, theirs.1);
        }
        Test::MemoryAbove(_) => match canary.memory_percent {
            // A reading stands for its own minute, however long there was none.
            Some(percent) => {
                *window = Window::default();
                (window.canary.n, window.canary.memory_percent) = (1, Some(percent));
            }
            None => window.canary.uncounted += 1,
        },
    }
    window.minutes += 1;
    true
}

fn count_errors(arm: &mut Arm, minute: &ArmMinute) {
    arm.n += minute.invocations;
    arm.x += minute.errors_5xx;
}

fn count_slow(arm: &mut Arm, minute: &ArmMinute, percentile: Percentile, limit: Latency) -> bool {
    let Some(latency) = &minute.latency else {
        return false;
    };
    match latency.slower(limit) {
        Some(slow) => arm.x += slow,
        None => arm.uncounted += latency.samples,
    }
    bound_percentile(arm, minute, percentile);
    true
}

fn bound_percentile(arm: &mut Arm, minute: &ArmMinute, percentile: Percentile) {
    if let Some(latency) = &minute.latency {
        arm.n += latency.samples;
        arm.bound(latency.percentile_ms(percentile));
    }
}

fn is_closed(test: Test, window: &Window, size: WindowSize) -> bool {
    if matches!(test, Test::MemoryAbove(_)) {
        return window.canary.n > 0 || window.canary.uncounted >= MEMORY_MISSED;
    }
    let is_full = |arm: &Arm| arm.n >= size.min_samples;
    let full = is_full(&window.canary)
        && (!test.compares() || is_full(&window.production))
        && window.minutes >= size.least_minutes;
    full || match test {
        Test::ErrorsAbove(limit) => {
            window.canary.x as f64 > limit.fraction() * size.trials_when_full(window)
        }
        Test::LatencyAbove(percentile, _) => {
            window.canary.x as f64 > percentile.tail() * size.trials_when_full(window)
        }
        _ => false,
    }
}

fn judge(test: Test, window: &Window) -> Finding {
    let (canary, production) = (&window.canary, &window.production);
    let broken = |is: bool| if is { Finding::Broken } else { Finding::Kept };
    match test {
        Test::ErrorsAbove(limit) => broken(canary.rate() > limit.fraction()),
        Test::ErrorsWorseBy(points) => {
            broken(canary.rate() - production.rate() > points.fraction())
        }
        // Too many slow ones among those that were counted prove it, whatever the others were.
        Test::LatencyAbove(percentile, _) if canary.rate() > percentile.tail() => Finding::Broken,
        Test::LatencyAbove(..) if canary.uncounted == 0 => Finding::Kept,
        Test::LatencyAbove(_, limit) => by_bounds(canary.percentile_ms, (limit.ms(), limit.ms())),
        // Over several minutes the bounds of two healthy variants overlap: what is not shown to be
        // past the ratio is within it.
        Test::LatencyRatio(_, ratio) => match (canary.percentile_ms, production.percentile_ms) {
            (Some((low, _)), Some((_, high))) => broken(low > high * ratio),
            _ => Finding::Unknown,
        },
        Test::CostRatio(ratio) => match (canary.cost_each(), production.cost_each()) {
            (Some(ours), Some(theirs)) => broken(ours > theirs * ratio),
            _ => Finding::Unknown,
        },
        Test::MemoryAbove(limit) => match canary.memory_percent {
            Some(used) => broken(used > limit.fraction() * 100.0),
            None => Finding::Unknown,
        },
    }
}

/// Whether production is past an absolute limit in the same window, and the canary not much further.
fn is_shared(test: Test, window: &Window, min_samples: u64) -> bool {
    let (canary, production) = (&window.canary, &window.production);
    if production.n * 10 < min_samples {
        return false;
    }
    // What production's rate makes of the canary's trials, and three times its chance on top.
    let expected = production.rate() * SHARED_RATIO * canary.n as f64;
    let is_alike = canary.x as f64 <= expected + 3.0 * expected.sqrt();
    match test {
        Test::ErrorsAbove(limit) => production.rate() > limit.fraction() && is_alike,
        Test::LatencyAbove(percentile, _) if production.uncounted == 0 && canary.uncounted == 0 => {
            production.rate() > percentile.tail() && is_alike
        }
        Test::LatencyAbove(_, limit) => {
            let low = |arm: &Arm| arm.percentile_ms.map_or(0.0, |(low, _)| low);
            low(production) > limit.ms() && low(canary) <= low(production) * SHARED_RATIO
        }
        _ => false,
    }
}

/// Bounds of what was measured against bounds of what is allowed.
fn by_bounds(measured: Option<(f64, f64)>, allowed: (f64, f64)) -> Finding {
    match measured {
        Some((low, _)) if low > allowed.1 => Finding::Broken,
        Some((_, high)) if high <= allowed.0 => Finding::Kept,
        _ => Finding::Unknown,
    }
}

/// The window in words: the same sentence in the message, the history and on the terminal.
fn describe(guard: &Guard, state: &GuardState, window: &Window, finding: Finding) -> Check {
    let (canary, production) = (&window.canary, &window.production);
    let (subject, value, limit) = match guard.test {
        Test::ErrorsAbove(limit) => (
            "5XX errors of the canary",
            percent(canary.rate()),
            limit.to_string(),
        ),
        Test::ErrorsWorseBy(points) => (
            "5XX errors of the canary against production",
            format!(
                "{} against {}",
                percent(canary.rate()),
                percent(production.rate())
            ),
            format!("{} points worse", plain(points)),
        ),
        Test::LatencyAbove(percentile, limit) => (
            "latency of the canary",
            slow_share(canary, percentile, limit),
            format!("{percentile} {limit}"),
        ),
        Test::LatencyRatio(percentile, ratio) => (
            "latency of the canary against production",
            format!(
                "{percentile} {} against {}",
                bounds(canary),
                bounds(production)
            ),
            format!("{ratio} times production"),
        ),
        Test::CostRatio(ratio) => (
            "cost of the canary against production",
            format!("{} against {}", cost(canary), cost_beside(window)),
            format!("{ratio} times production"),
        ),
        Test::MemoryAbove(limit) => ("memory of the canary", memory(canary), limit.to_string()),
    };
    let how = match finding {
        Finding::Broken => format!("past the limit of {limit}, {}", streak(guard, state)),
        Finding::Incident => format!(
            "within the limit of {limit}, but production is past it ({} over {}): no time for more traffic",
            percent(production.rate()),
            counted(production.n, "request")
        ),
        Finding::Shared => format!(
            "past the limit of {limit}, and so is production ({} over {}): a common cause for {} of {SHARED_LIMIT}",
            percent(production.rate()),
            counted(production.n, "request"),
            state.shared_for
        ),
        Finding::Kept => format!("within the limit of {limit}"),
        Finding::Unknown => format!("can't be told against the limit of {limit}"),
    };
    let sentence = match guard.test {
        Test::MemoryAbove(_) => format!("{subject}: {value}, {how}"),
        _ => format!(
            "{subject}: {value} over {} in {} min, {how}",
            counted(canary.n, "request"),
            window.minutes
        ),
    };
    Check {
        finding,
        value,
        limit,
        samples: canary.n,
        sentence,
        recalled: window.recalled,
    }
}

/// What both arms cost in a minute, production with its requests; absent where one is not known.
fn both_costs(canary: &ArmMinute, production: Option<&ArmMinute>) -> Option<(f64, (u64, f64))> {
    let production = production?;
    Some((canary.cost?, (production.invocations, production.cost?)))
}

/// In dollars for a thousand requests: of one it would be too small to read.
fn cost(arm: &Arm) -> String {
    arm.cost_each().map_or_else(
        || "unknown".to_owned(),
        |each| format!("${:.4} per 1000 requests", each * 1000.0),
    )
}

/// Production's, and whether it is of before: at 100 % it has no requests.
fn cost_beside(window: &Window) -> String {
    let theirs = &window.production;
    match (window.recalled, theirs.cost_each()) {
        (false, _) => cost(theirs),
        (true, Some(_)) => format!("{} (reckoned from this rollout's stages)", cost(theirs)),
        (true, None) => "unknown (no priced request of production's is on record)".to_owned(),
    }
}

fn memory(arm: &Arm) -> String {
    arm.memory_percent.map_or_else(
        || format!("no reading for {} min", arm.uncounted),
        |used| format!("{used:.1}% of its instances' on average"),
    )
}

fn streak(guard: &Guard, state: &GuardState) -> String {
    match guard.sustain {
        Sustain::Checks(checks) => format!("check {} of {checks}", state.breaches.min(checks)),
        Sustain::For(span) => format!("for {} of {span}", state.breached_for),
    }
}

fn slow_share(arm: &Arm, percentile: Percentile, limit: Latency) -> String {
    if arm.uncounted > 0 {
        return format!("{percentile} {}", bounds(arm));
    }
    format!(
        "{percentile} {}, {} of requests slower than {limit}",
        bounds(arm),
        percent(arm.rate())
    )
}

fn bounds(arm: &Arm) -> String {
    match arm.percentile_ms {
        None => "unknown".to_owned(),
        Some((low, high)) if (high - low).abs() < 0.05 => format!("{low:.1}ms"),
        Some((low, high)) => format!("{low:.1} to {high:.1}ms"),
    }
}

/// A share as people read it.
pub fn percent(fraction: f64) -> String {
    format!("{:.2}%", fraction * 100.0)
}

fn plain(points: Rate) -> String {
    points.to_string().trim_end_matches('%').to_owned()
}
