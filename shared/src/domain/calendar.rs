//! Change windows: the hours in which raises are allowed, as `Mon-Thu 09:00-17:00 Europe/Berlin`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::quantity::Unfit;

/// Days of the week, hours of the day (end exclusive) and a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeWindow {
    first_day: Weekday,
    last_day: Weekday,
    from: Time,
    to: Time,
    zone: TimeZone,
    text: String,
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl ChangeWindow {
    /// Whether the window is open at this moment.
    pub fn is_open(&self, now: jiff::Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let day = local.weekday().to_monday_zero_offset();
        let (first, last) = (
            self.first_day.to_monday_zero_offset(),
            self.last_day.to_monday_zero_offset(),
        );
        // "Fri-Mon" wraps around the week's end.
        let day_fits = if first <= last {
            (first..=last).contains(&day)
        } else {
            day >= first || day <= last
        };
        day_fits && (self.from..self.to).contains(&local.time())
    }

    /// The first moment from this one on at which the window is open; absent where it does not open within
    /// [`HORIZON`].
    ///
    /// Between two transitions of its zone local time runs on evenly. So a window opens at `from` of some day,
    /// either time where clocks are set back over it, or at a transition that leaps into it.
    pub fn opens_from(&self, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
        if self.is_open(now) {
            return Some(now);
        }
        let today = now.to_zoned(self.zone.clone()).date();
        let dates = (0..=HORIZON).filter_map(|days| today.checked_add(days.days()).ok());
        let beginnings = dates.flat_map(|date| {
            let begins = self
                .zone
                .to_ambiguous_timestamp(date.to_datetime(self.from));
            [begins.earlier().ok(), begins.later().ok()]
        });
        let last = now.checked_add(SignedDuration::from_hours(24 * HORIZON));
        let last = last.unwrap_or(jiff::Timestamp::MAX);
        let leaps = self.zone.following(now).map(|leap| leap.timestamp());
        let leaps = leaps.take_while(|leap| *leap <= last);
        let moments = beginnings.flatten().chain(leaps);
        moments.filter(|at| *at >= now && self.is_open(*at)).min()
    }
}

/// Days within which a window opens: every week, but for one whose hours clocks leap over, which has to wait
/// for the next.
const HORIZON: i64 = 21;

impl FromStr for ChangeWindow {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let unfit = |what: &str| {
            Unfit(format!(
                "not a change window ({what}): write it like \"Mon-Thu 09:00-17:00 Europe/Berlin\""
            ))
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [days, hours, zone] = parts[..] else {
            return Err(unfit("three parts are needed"));
        };
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let day = |name: &str| {
            DAYS.iter()
                .find(|(short, _)| *short == name)
                .map(|(_, day)| *day)
                .ok_or_else(|| unfit("the days"))
        };
        let (from, to) = hours.split_once('-').ok_or_else(|| unfit("the hours"))?;
        let hour = |clock: &str| match clock {
            "24:00" => Ok(Time::MAX),
            _ => Time::strptime("%H:%M", clock).map_err(|_| unfit("the hours")),
        };
        let (from, to) = (hour(from)?, hour(to)?);
        if from >= to {
            return Err(unfit(
                "it ends before it begins; for a night, write two windows",
            ));
        }
        let zone_found = TimeZone::get(zone).map_err(|_| unfit("the time zone is unknown"))?;
        Ok(Self {
            first_day: day(first)?,
            last_day: day(last)?,
            from,
            to,
            zone: zone_found,
            text: parts.join(" "),
        })
    }
}

impl fmt::Display for ChangeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for ChangeWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ChangeWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = ChangeWindow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a change window, like \"Mon-Thu 09:00-17:00 Europe/Berlin\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ChangeWindow, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}
