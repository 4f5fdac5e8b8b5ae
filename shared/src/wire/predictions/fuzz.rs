//! Tables that nobody meant: each is counted whole, or refused with its line.

use std::io::{BufReader, Read};

use simulator::malformed::{self, Choices};

use super::{Cells, PredictionsError, Reading, read};

const HEADER: &str = "y_true,champion,challenger\n";
const TABLE: &str = "y_true,champion,challenger,latency_ms,group\n\
    1,0.9,0.8,12.5,a\n0,0.1,0.7,8,b\r\n\n\"1\",true,0,1e2,\"a\"\n0,0.0,1e-05,0,b\n";

#[test]
fn every_table_is_counted_whole_or_refused_with_its_line() {
    bolero::check!()
        .with_iterations(4000)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let table = match choices.below(3) {
                0 => malformed::bytes(TABLE.as_bytes(), &mut choices),
                1 => malformed::text(TABLE, &mut choices).into_bytes(),
                _ => [HEADER.as_bytes(), bytes].concat(),
            };
            match read(&table[..], &Reading::default()) {
                Ok(counted) => {
                    let rows = counted.cells.rows();
                    assert!(rows > 0, "nothing is no result");
                    let measured = counted.latency.map_or(rows, |latency| latency.rows);
                    assert_eq!(measured, rows, "every row has a latency, or none");
                    let grouped: u64 = counted.groups.values().map(Cells::rows).sum();
                    assert!(grouped == rows || counted.groups.is_empty());
                }
                Err(error) => {
                    let text = error.to_string();
                    let lines = table.split(|byte| *byte == b'\n').count() as u64;
                    let PredictionsError::Wrong { line, .. } = error else {
                        panic!("memory can be read: {text}")
                    };
                    assert!((1..=lines + 1).contains(&line), "{text}");
                    assert!(!text.chars().any(char::is_control), "{text:?}");
                    assert!(text.len() < 600, "{text}");
                }
            }
        });
}

#[test]
fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
    let endless = std::io::repeat(b'7').take(1 << 40);
    let table = HEADER.as_bytes().chain(endless);
    let error = read(BufReader::new(table), &Reading::default()).expect_err("too long");
    assert!(error.to_string().starts_with("line 2: longer"), "{error}");
}
