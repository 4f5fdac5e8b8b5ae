//! Serves the simulator on a loopback port until Ctrl-C, for trying any AWS tool against it:
//! `cargo run -p simulator --example serve -- 4566`.

use std::error::Error;

use simulator::{Clock, Options, Simulator, Timings};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = match std::env::args().nth(1) {
        Some(port) => port.parse()?,
        None => 4566,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("AWS answers on http://{}", listener.local_addr()?);
    let simulator = Simulator::new(Options {
        seed: 1,
        clock: Clock::running("2026-01-05T09:00:00Z".parse()?, 60.0),
        timings: Timings::default(),
        state: None,
    })?;
    let stop = async {
        // Without a signal handler the server would run on: stopping at once is the safer answer.
        let _ = tokio::signal::ctrl_c().await;
    };
    simulator.serve(listener, stop).await;
    Ok(())
}
