//! Work on every core: each piece has a world of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What becomes of each piece, in their order.
pub(crate) fn side_by_side<W: Sync, R: Send>(work: &[W], run: impl Fn(&W) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(work.len()));
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(piece) = work.get(index) else { return };
                    let result = run(piece);
                    let mut done = done
                        .lock()
                        .expect("no worker panics while it holds the lock");
                    done.push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("every worker is over");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
