//! What the rows of many flows, and a frame of them, cost.

use std::{hint::black_box, time::Instant};

use super::stage::{Stage, many_flows};

/// Flows of the bench.
const FLOWS: u32 = 100_000;

/// How often each is done.
const TIMES: u32 = 50;

#[tokio::test(start_paused = true)]
#[ignore = "measures, and is meant for an optimised build: cargo xtask bench screen"]
async fn a_frame_costs_little() {
    let flows = many_flows(FLOWS);
    let mut stage = Stage::new().await;
    stage.flood();
    let millis = |began: Instant| began.elapsed().as_secs_f64() * 1e3 / f64::from(TIMES);
    let began = Instant::now();
    for _ in 0..TIMES {
        stage.list_of(black_box(&flows));
    }
    println!(
        "| the first 1,000 rows of all flows | {:.2} ms |",
        millis(began)
    );
    for (width, height) in [(80, 24), (200, 50)] {
        let began = Instant::now();
        for _ in 0..TIMES {
            black_box(stage.shown(width, height));
        }
        println!("| a frame of {width}×{height} | {:.2} ms |", millis(began));
    }
}
