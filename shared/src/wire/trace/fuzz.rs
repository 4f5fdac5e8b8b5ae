//! Tables that nobody meant: every line is read or refused with its number, and what was read is
//! written again as the same table.

use std::io::{BufReader, Read};

use simulator::malformed::{self, Choices};

use super::{HEADER, Reader, TraceError, built_in, write};
use crate::domain::replay::Recorded;

const TABLE: &str = "minute,signal,variant,n,x\n\
    29539200,errors,production,900,3\n29539200,errors,canary,100,0\n\
    29539201,slowness,production,900,40\n\n29539202,errors,canary,0,0\r\n\
    29539202,\"client_errors\",\"production\",12,12\n";

/// Up to the first error, which ends the reading.
fn read_all(bytes: &[u8]) -> Result<Vec<Recorded>, TraceError> {
    let mut reader = Reader::new(bytes, built_in());
    let mut minutes = Vec::new();
    for minute in reader.by_ref() {
        minutes.push(minute?);
    }
    assert!(reader.next().is_none(), "over is over");
    Ok(minutes)
}

#[test]
fn every_table_is_read_or_refused_with_its_line() {
    bolero::check!()
        .with_iterations(4000)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let table = match choices.below(3) {
                0 => malformed::bytes(TABLE.as_bytes(), &mut choices),
                1 => malformed::text(TABLE, &mut choices).into_bytes(),
                _ => [HEADER.as_bytes(), b"\n", bytes].concat(),
            };
            match read_all(&table) {
                Ok(minutes) => {
                    let again = read_all(write(minutes.clone()).as_bytes());
                    assert_eq!(again.expect("what was written can be read"), minutes);
                }
                Err(error) => {
                    let text = error.to_string();
                    let lines = table.split(|byte| *byte == b'\n').count() as u64;
                    let TraceError::Wrong { line, .. } = error else {
                        panic!("memory can be read: {text}")
                    };
                    // The end of the file is the line after its last.
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
    let table = format!("{HEADER}\n");
    let mut reader = Reader::new(BufReader::new(table.as_bytes().chain(endless)), built_in());
    let error = reader.next().expect("an item").expect_err("too long");
    assert!(error.to_string().starts_with("line 2: longer"), "{error}");
}
