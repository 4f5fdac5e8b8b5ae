//! What a trace may be, what it may not, and that it comes back as it was written.

use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Vec<Recorded>, TraceError> {
    Reader::new(bytes, built_in()).collect()
}

fn refused(text: &str) -> String {
    read(text.as_bytes()).expect_err(text).to_string()
}

fn counts(n: u64, x: u64) -> Option<Counts> {
    Counts::new(n, x)
}

#[test]
fn minutes_come_whole_and_in_order() {
    let text = "minute,signal,variant,n,x\n\
        7,errors,canary,100,1\n7,errors,production,900,2\n7,slowness,canary,100,5\n\
        9,errors,production,0,0\n";
    let minutes = read(text.as_bytes()).unwrap();
    assert_eq!(minutes.iter().map(|m| m.minute).collect::<Vec<_>>(), [7, 9]);
    let errors = minutes[0].signals["errors"];
    assert_eq!(
        (errors.canary, errors.production),
        (counts(100, 1), counts(900, 2))
    );
    assert_eq!(minutes[0].signals["slowness"].production, None);
    assert_eq!(minutes[1].signals["errors"].canary, None);
    assert_eq!(minutes[1].signals["errors"].production, counts(0, 0));
    assert_eq!(minutes[1].signals.len(), 1);
}

#[test]
fn the_ways_of_spreadsheets_are_taken() {
    let plain = read(b"minute,signal,variant,n,x\n1,errors,canary,10,1\n2,errors,canary,10,1\n");
    let plain = plain.unwrap();
    for text in [
        "\u{feff}minute,signal,variant,n,x\r\n1,errors,canary,10,1\r\n2,errors,canary,10,1\r\n",
        "minute,signal,variant,n,x\n1,errors,canary,10,1\n\n2,errors,canary,10,1\n\n\n",
        "minute,signal,variant,n,x\n1,errors,canary,10,1\n2,errors,canary,10,1",
        "\"minute\",\"signal\",\"variant\",\"n\",\"x\"\n1,\"errors\",\"canary\",10,1\n2,\"errors\",\"canary\",10,1\n",
    ] {
        assert_eq!(read(text.as_bytes()).unwrap(), plain, "{text:?}");
    }
}

#[test]
fn bad_rows_are_refused_with_line_column_and_way_out() {
    let whole = "write a whole number from 0 to";
    for (row, place, way_out) in [
        ("1,errors,canary,-100,1", "line 3, n: `-100`", whole),
        ("1,errors,canary,100,-1", "line 3, x: `-1`", whole),
        ("-1,errors,canary,100,1", "line 3, minute: `-1`", whole),
        ("1,errors,canary,100,1.5", "line 3, x: `1.5`", whole),
        ("1,errors,canary,1e3,1", "line 3, n: `1e3`", whole),
        ("1,errors,canary,+100,1", "line 3, n: `+100`", whole),
        ("1,errors,canary, 100,1", "line 3, n: ` 100`", whole),
        ("1,errors,canary,NaN,1", "line 3, n: `NaN`", whole),
        ("1,errors,canary,inf,1", "line 3, n: `inf`", whole),
        (
            "1,errors,canary,100,",
            "line 3, x: there is nothing",
            "leave the row out",
        ),
        (
            ",errors,canary,100,1",
            "line 3, minute: there is nothing",
            whole,
        ),
        (
            "2026-11-21T10:00:00Z,errors,canary,100,1",
            "line 3, minute: `2026-11-21T10:00:00Z`",
            whole,
        ),
        (
            "1099511627776,errors,canary,100,1",
            "line 3, minute: `1099511627776` is too large",
            whole,
        ),
        (
            "1,errors,canary,100000000001,1",
            "line 3, n: `100000000001` is too large",
            whole,
        ),
        (
            "1,errors,canary,99999999999999999999999,1",
            "line 3, n: `99999",
            "is too large",
        ),
        (
            "1,errors,canary,100,101",
            "line 3, x: 101 bad ones of 100",
            "n at the most",
        ),
        (
            "1,latency,canary,100,1",
            "line 3, signal: `latency`",
            "client_errors, errors, slowness",
        ),
        (
            "1,Errors,canary,100,1",
            "line 3, signal: `Errors`",
            "client_errors, errors, slowness",
        ),
        (
            "1,,canary,100,1",
            "line 3, signal: ``",
            "client_errors, errors, slowness",
        ),
        (
            "1,errors,baseline,100,1",
            "line 3, variant: `baseline`",
            "canary or production",
        ),
        (
            "1,errors,canary,100",
            "line 3: 4 columns",
            "minute,signal,variant,n,x",
        ),
        (
            "1,errors,canary,100,1,",
            "line 3: 6 columns",
            "minute,signal,variant,n,x",
        ),
        (
            "1;errors;canary;100;1",
            "line 3: 1 column ",
            "minute,signal,variant,n,x",
        ),
        (
            "0,errors,canary,100,1",
            "line 3, minute: 0 comes after 1",
            "sort the rows",
        ),
        (
            "1,errors,production,900,2",
            "line 3: a second row of minute 1, errors, production",
            "one",
        ),
    ] {
        let text = format!("{HEADER}\n1,errors,production,900,2\n{row}\n");
        let error = refused(&text);
        assert!(error.starts_with(place), "{row}: {error}");
        assert!(error.contains(way_out), "{row}: {error}");
    }
}

#[test]
fn bad_files_are_refused() {
    assert!(refused("").starts_with("line 1: the file is empty"));
    assert!(refused("minute,signal,variant,n,x\n").contains("no row"));
    assert!(refused("\n1,errors,canary,1,0\n").starts_with("line 1: the first line must be"));
    for header in [
        "1,errors,canary,100,1",
        "minute;signal;variant;n;x",
        "minute,signal,variant,x,n",
        "minute,signal,variant,n,x,note",
        "Minute,signal,variant,n,x",
        "minute, signal, variant, n, x",
    ] {
        let error = refused(&format!("{header}\n1,errors,canary,1,0\n"));
        assert!(
            error.starts_with("line 1: the first line must be minute,signal,variant,n,x"),
            "{error}"
        );
    }
    let error = read(b"minute,signal,variant,n,x\n1,err\xffors,canary,1,0\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: not UTF-8; save the file as UTF-8"
    );
    let error = refused(&format!("{HEADER}\n1,\u{1b}[2Jerrors,canary,1,0\n"));
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn a_duplicate_is_one_although_other_rows_lie_between() {
    let text = format!(
        "{HEADER}\n4,errors,canary,10,0\n4,slowness,canary,10,0\n4,errors,production,90,0\n4,errors,canary,10,0\n"
    );
    assert!(refused(&text).starts_with("line 5: a second row of minute 4, errors, canary"));
}

#[test]
fn the_line_is_the_editors_whatever_lies_between() {
    let text = format!(
        "\u{feff}{HEADER}\r\n\r\n\r\n1,errors,canary,10,0\r\n\r\n2,errors,canary,10,-1\r\n"
    );
    assert!(refused(&text).starts_with("line 6, x"));
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let text =
        format!("{HEADER}\n1,errors,canary,10,0\n2,errors,canary,x,0\n3,errors,canary,10,0\n");
    let mut reader = Reader::new(text.as_bytes(), built_in());
    assert!(reader.next().is_some_and(|item| item.is_err()));
    assert!(reader.next().is_none());
}

#[test]
fn a_line_without_an_end_is_not_kept() {
    let endless = b"minute,signal,variant,n,x\n".chain(std::io::repeat(b'1'));
    let mut reader = Reader::new(BufReader::new(endless), built_in());
    let error = reader.next().expect("an error").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("line 2: longer than 1024 bytes")
    );
}

/// Rows of one minute each, made while they are read.
struct Rows {
    made: u64,
    text: Vec<u8>,
    at: usize,
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.text = format!("{},errors,canary,1,0\n", self.made).into_bytes();
            (self.made, self.at) = (self.made + 1, 0);
        }
        let length = buffer.len().min(self.text.len() - self.at);
        buffer[..length].copy_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[test]
fn a_billion_rows_are_refused_at_the_first_too_many() {
    let rows = Rows {
        made: 0,
        text: format!("{HEADER}\n").into_bytes(),
        at: 0,
    };
    let mut reader = Reader::new(BufReader::new(rows), built_in());
    let error = reader.by_ref().find_map(Result::err).expect("an end");
    assert!(
        error
            .to_string()
            .starts_with("line 20000002: more than 20000000 rows"),
        "{error}"
    );
}

#[test]
fn a_failing_disk_is_said_with_the_line() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let input = BufReader::new(b"minute,signal,variant,n,x\n".chain(Broken));
    let error = Reader::new(input, built_in())
        .find_map(Result::err)
        .expect("an error");
    assert_eq!(error.to_string(), "line 2 can't be read");
}

fn arm() -> impl Strategy<Value = Option<Counts>> {
    let some = (0..=MOST_TRIALS, 0.0..=1.0f64).prop_map(|(n, share)| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of n"
        )]
        let x = (n as f64 * share) as u64;
        Counts::new(n, x.min(n))
    });
    prop_oneof![1 => Just(None), 4 => some]
}

prop_compose! {
    fn minutes()(
        rows in prop::collection::btree_map(
            0..MINUTES_BELOW,
            prop::collection::btree_map(
                prop::sample::select(vec!["errors", "client_errors", "slowness"]),
                (arm(), arm()).prop_filter("one row", |(a, b)| a.is_some() || b.is_some()),
                1..=3,
            ),
            1..20,
        )
    ) -> Vec<Recorded> {
        let pair = |(canary, production)| Pair { canary, production };
        let minute = |(minute, signals): (u64, std::collections::BTreeMap<&str, _>)| Recorded {
            minute,
            signals: signals.into_iter().map(|(name, arms)| (name.to_owned(), pair(arms))).collect(),
        };
        rows.into_iter().map(minute).collect()
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(minutes in minutes()) {
        let text = write(minutes.clone());
        prop_assert_eq!(read(text.as_bytes()).unwrap(), minutes);
    }

    #[test]
    fn nothing_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut text = format!("{HEADER}\n").into_bytes();
        text.extend(bytes);
        for minute in Reader::new(&text[..], built_in()) {
            prop_assert!(minute.is_ok() || minute.is_err_and(|error| error.to_string().starts_with("line ")));
        }
    }
}
