//! What is counted, and what is refused where.

use std::fmt::Write as _;

use super::*;
use crate::domain::gate::Called;

fn counted(text: &str) -> Counted {
    read(text.as_bytes(), &Reading::default()).expect("a sound file")
}

#[track_caller]
fn assert_refused(text: &str, expected: &str) {
    let error = read(text.as_bytes(), &Reading::default()).expect_err(text);
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn rows_are_counted_whatever_the_order_of_the_columns() {
    let found = counted(
        "\u{feff}group,challenger,y_true,\"champion\",latency_ms\r\n\
         a,0.9,1,0.2,12.5\r\n\r\nb,0.5,0,0.49999,8\r\na,1e-05,1,1,9\na,False,0,0.0,10\n",
    );
    let called = |both, champion, challenger, neither| Called {
        both,
        champion,
        challenger,
        neither,
    };
    assert_eq!(found.cells.positives, called(0, 1, 1, 0));
    assert_eq!(found.cells.negatives, called(0, 0, 1, 1));
    assert_eq!(found.groups.len(), 2);
    assert_eq!(found.groups["b"].negatives, called(0, 0, 1, 0));
    let latency = found.latency.expect("it was measured");
    assert_eq!((latency.rows, latency.p95_ms), (4, 12.5));
    // By scipy 1.17.1, `binom.cdf(2, 4, 0.95)` is 1.4 %, so that the third value is a lower bound.
    assert_eq!((latency.low_ms, latency.high_ms), (Some(10.0), None));
    // Without the columns nothing is made up.
    let bare = counted("y_true,champion,challenger\n1,1,1\n");
    assert_eq!((bare.latency, bare.groups.len()), (None, 0));
    // `printf 'y_true,champion,challenger\n1,1,1\n' | sha256sum`.
    assert_eq!(
        bare.digest,
        "59f103cade13754aca7189b50bd4299c74c90807a8f181d4bdcfc4d3c1093918"
    );
}

#[test]
fn labels_and_thresholds_say_what_is_positive() {
    let text = "y_true,champion,challenger\nfraud,fraud,ham\nspam, fraud ,fraud\n";
    let reading = Reading {
        positive: Some("fraud".to_owned()),
        ..Reading::default()
    };
    let found = read(text.as_bytes(), &reading).expect("labels");
    assert_eq!(
        (found.cells.positives.champion, found.cells.negatives.both),
        (1, 1)
    );
    // A label that is misspelled would find every row negative, and nothing wrong with them.
    let reading = Reading {
        positive: Some("Fraud".to_owned()),
        ..reading
    };
    let error = read(text.as_bytes(), &reading).expect_err("no positive row");
    assert!(
        error
            .to_string()
            .contains("y_true: no row has the label `Fraud`"),
        "{error}"
    );
    let text = "y_true,champion,challenger\n1,0.3,0.3\n";
    let reading = Reading {
        challenger_from: 0.3,
        ..Reading::default()
    };
    let found = read(text.as_bytes(), &reading).expect("scores");
    assert_eq!(found.cells.positives.challenger, 1);
}

/// The ranks 936, 950 and 964 of a thousand values that are their own ranks, in milliseconds.
#[test]
fn the_percentile_is_a_value_that_occurred() {
    let mut text = "y_true,champion,challenger,latency_ms\n".to_owned();
    for rank in (1..=1000).rev() {
        writeln!(text, "0,0,0,{rank}").expect("a string takes everything");
    }
    let latency = counted(&text).latency.expect("it was measured");
    let found = (latency.low_ms, latency.p95_ms, latency.high_ms);
    assert_eq!(found, (Some(936.0), 950.0, Some(964.0)));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let head = "y_true,champion,challenger\n";
    for (text, expected) in [
        (String::new(), "line 1: the file is empty"),
        (head.to_owned(), "line 2: there is no row"),
        (
            "y_true,champion\n1,1\n".to_owned(),
            "line 1, challenger: is missing",
        ),
        (
            "y_true,champion,challenger,champion\n".to_owned(),
            "line 1, champion: is there twice",
        ),
        (
            "id,y_true,champion,challenger\n".to_owned(),
            "line 1: `id` is no column of it",
        ),
        (
            format!("{head}1,1\n"),
            "line 2: 2 columns instead of the header's 3",
        ),
        (
            format!("{head}1,1,1\n2,1,1\n"),
            "line 3, y_true: `2` is neither 0 nor 1",
        ),
        (format!("{head},1,1\n"), "line 2, y_true: `` is neither"),
        (
            format!("{head}1,1.5,1\n"),
            "line 2, champion: `1.5` is no score",
        ),
        (
            format!("{head}1,1,NaN\n"),
            "line 2, challenger: `NaN` is no score",
        ),
        (
            format!("{head}1,inf,1\n"),
            "line 2, champion: `inf` is no score",
        ),
        (
            format!("{head}1,-0.1,1\n"),
            "line 2, champion: `-0.1` is no score",
        ),
        (
            format!("{head}1,1,\u{1b}[2J\n"),
            "line 2, challenger: `[2J` is no score",
        ),
        (
            format!("{head}1,1,{}\n", "9".repeat(5000)),
            "line 2: longer than 4096 bytes",
        ),
        (
            "y_true,champion,challenger,latency_ms\n1,1,1,\n".to_owned(),
            "line 2, latency_ms: `` is no latency",
        ),
        (
            "y_true,champion,challenger,latency_ms\n1,1,1,-1\n".to_owned(),
            "line 2, latency_ms: `-1` is no latency",
        ),
        (
            "y_true,champion,challenger,group\n1,1,1, \n".to_owned(),
            "line 2, group: a group has a label",
        ),
        (
            "y_true,champion,challenger,group\n1,1,1,a\u{202e}b\n".to_owned(),
            "line 2, group: a group has a label",
        ),
    ] {
        assert_refused(&text, expected);
    }
    let mut ids = "y_true,champion,challenger,group\n".to_owned();
    for id in 0..=MOST_GROUPS {
        writeln!(ids, "1,1,1,user-{id}").expect("a string takes everything");
    }
    assert_refused(&ids, "line 52, group: more than 50 groups");
    let latin = read(
        &b"y_true,champion,challenger\n1,1,\xe9\n"[..],
        &Reading::default(),
    );
    assert!(
        latin
            .expect_err("latin")
            .to_string()
            .starts_with("line 2: not UTF-8")
    );
}
