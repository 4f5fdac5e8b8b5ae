//! Every promise of `tests::records`, held to the records in memory and to DynamoDB's adapter.

use canary::Stack;
use simulator::clock::Clock;
use simulator::{Options, Simulator, Timings};
use tests::direct::store::MemoryStore;
use tests::records::start;

fn in_memory() -> (MemoryStore, Clock) {
    let clock = Clock::manual(start());
    (MemoryStore::new(clock.clone()), clock)
}

/// The account goes with its stack.
async fn in_dynamodb() -> (Stack, Clock) {
    let clock = Clock::manual(start());
    let options = Options {
        seed: 7,
        clock: clock.clone(),
        timings: Timings::default(),
        state: None,
    };
    let simulator = Simulator::new(options).expect("an empty simulator starts");
    let stack = Stack::new(simulator)
        .await
        .expect("a stack on an empty account");
    (stack, clock)
}

macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                let (store, clock) = super::in_memory();
                tests::records::$name(&store, &clock).await;
            })+
        }
        mod dynamodb {
            $(#[tokio::test]
            async fn $name() {
                let (stack, clock) = super::in_dynamodb().await;
                tests::records::$name(&stack.aws, &clock).await;
            })+
        }
    };
}

tests::every_promise!(over_both);
