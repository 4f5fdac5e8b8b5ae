//! Numbers with units, change windows and names from any text: read or refused in words that can be
//! shown, and what is read is written so that it is read as the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use simulator::malformed::{self, Choices};

use crate::domain::calendar::ChangeWindow;
use crate::domain::quantity::{Latency, Rate, Span, Unfit};
use crate::domain::specification::is_name;

fn assert_total<T>(valid: &[&str])
where
    T: FromStr<Err = Unfit> + Display + PartialEq + Debug,
{
    for text in valid {
        text.parse::<T>().expect("valid before it is broken");
    }
    bolero::check!()
        .with_iterations(5000)
        .with_max_len(32)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let whole: &&str = choices.of(valid);
            let text = malformed::text(whole, &mut choices);
            match text.parse::<T>() {
                Ok(read) => {
                    let again = read.to_string().parse::<T>();
                    assert_eq!(again.as_ref(), Ok(&read), "{text:?} is written as {read}");
                }
                Err(Unfit(why)) => {
                    assert!(!why.chars().any(char::is_control), "{why:?}");
                    assert!(why.len() < 400, "{why}");
                }
            }
        });
}

#[test]
fn every_rate_is_read_or_refused() {
    assert_total::<Rate>(&[
        "1%",
        "0%",
        "100%",
        "0.25%",
        " 7.5 % ",
        "0.07%",
        "33.333333333333%",
    ]);
}

#[test]
fn every_latency_is_read_or_refused() {
    assert_total::<Latency>(&["100ms", "1.5s", "0.1ms", "86400s", "0.3333333333333333ms"]);
}

#[test]
fn every_duration_is_read_or_refused() {
    assert_total::<Span>(&["90s", "10m", "1h", "7d", "366d", "0s", " 5m "]);
}

#[test]
fn every_change_window_is_read_or_refused() {
    assert_total::<ChangeWindow>(&[
        "Mon-Thu 09:00-17:00 Europe/Berlin",
        "Fri-Mon 00:00-24:00 UTC",
        "Sun 8:30-9:00 America/New_York",
    ]);
}

#[test]
fn a_name_holds_nothing_that_an_arn_or_a_path_could_trip_over() {
    bolero::check!()
        .with_iterations(5000)
        .with_max_len(32)
        .for_each(|bytes: &[u8]| {
            let name = malformed::text("wine-quality-v2", &mut Choices::new(bytes));
            let plain = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            assert!(
                !is_name(&name) || (plain && (1..=63).contains(&name.len())),
                "{name:?}"
            );
        });
}

/// Written with nine decimals it would come back from the record as another rate, down to none.
#[test]
fn a_rate_finer_than_nine_decimals_comes_back_as_it_was() {
    for text in ["0.0000000001%", "33.333333333333%", "0.12345678912345%"] {
        let rate: Rate = text.parse().expect("a rate");
        assert_eq!(rate.to_string().parse(), Ok(rate), "{text}");
    }
}
