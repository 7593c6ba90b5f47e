//! The values of options: how each is read, and what is said of a wrong one.

use std::{net::IpAddr, num::NonZeroUsize, ops::RangeInclusive, time::Duration};

use clap::builder::TypedValueParser;
use ipnet::IpNet;

pub(super) use crate::commands::daemon::values::{duration, size};
use crate::{
    commands::{daemon::settings, watch::options::Speed},
    say::{self, protocol, reason::ReasonName},
    table::filter::Mark,
};

pub(super) fn protocol(text: &str) -> Result<u8, String> {
    protocol::protocol_number(text).ok_or_else(|| {
        "unknown protocol: give a name such as udp, or a number up to 255".to_owned()
    })
}

/// An address, or all addresses of a prefix.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    say::network::network(text).ok_or_else(|| {
        let parts = text.split_once('/');
        let of = parts.and_then(|(address, bits)| Some((address.parse::<IpAddr>().ok()?, bits)));
        match of {
            Some((address, bits)) => {
                let most = IpNet::from(address).max_prefix_len();
                format!("{bits:?} is no prefix length of {address}: give 0 to {most}")
            }
            None => "give an address or a prefix, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
                .to_owned(),
        }
    })
}

pub(super) fn reason(text: &str) -> Result<ReasonName, String> {
    ReasonName::find(text).ok_or_else(|| {
        let names = ReasonName::all();
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        format!("unknown reason; the reasons are {}", names.join(", "))
    })
}

pub(super) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "not a number of threads: give 1 or more".to_owned())
}

/// How many series of a kind are exported.
pub(super) fn series(text: &str) -> Result<usize, String> {
    settings::series(text.parse().unwrap_or(u64::MAX))
}

pub(super) fn mark(text: &str) -> Result<Mark, String> {
    let number = |text: &str| {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        digits
            .map_or_else(|| text.parse(), |digits| u32::from_str_radix(digits, 16))
            .map_err(|_| format!("{text:?} is not a 32-bit number: give one such as 16 or 0x10"))
    };
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Ok(Mark {
        value: number(value)?,
        mask: number(mask)?,
    })
}

/// At that speed an hour takes six weeks.
const SLOWEST: f64 = 0.001;

/// How fast something is played back.
pub(super) fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let number = text.parse().ok();
    number
        .filter(|speed: &f64| speed.is_finite() && *speed >= SLOWEST)
        .map(Speed::Times)
        .ok_or_else(|| format!("give a number from {SLOWEST} on, such as 10 or 0.5, or max"))
}

/// Each report reads every namespace's counters.
const SHORTEST: Duration = Duration::from_millis(100);

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed < SHORTEST {
        return Err("must be 100ms or longer".to_owned());
    }
    Ok(parsed)
}

/// The period of `ctdrop status --watch`. A number without a unit means seconds, as in watch(1).
pub(super) fn pause(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
    let seconds = text.parse().map(Duration::from_secs);
    seconds
        .ok()
        .or_else(|| duration(text).ok())
        .filter(|pause| bounds.contains(pause))
        .ok_or_else(|| "give a time from 1s to 1h, such as 5s".to_owned())
}

pub(super) fn percent() -> impl TypedValueParser<Value = u8> {
    whole(1..=100)
}

/// A limit: what the kernel accepts, but for 0, which is none.
pub(super) fn limit() -> impl TypedValueParser<Value = u64> {
    whole(1..=i32::MAX as u64)
}

/// A year whose times can be reckoned with.
pub(super) fn year() -> impl TypedValueParser<Value = i16> {
    whole(1970..=9998)
}

/// A conntrack zone.
pub(super) fn zone() -> impl TypedValueParser<Value = u16> {
    whole(0..=u16::MAX.into())
}

/// A whole number of this range.
fn whole<T>(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
{
    move |text: &str| {
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                let (first, last) = (range.start(), range.end());
                format!("give a whole number from {first} to {last}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_in_plain_words() {
        let read = |text: &str| {
            let command = clap::Command::new("ctdrop");
            let argument = clap::Arg::new("to").value_parser(limit());
            let matches = command.arg(argument).try_get_matches_from(["ctdrop", text]);
            matches.map(|matches| matches.get_one::<u64>("to").copied())
        };
        assert_eq!(read("2147483647").unwrap(), Some(2_147_483_647));
        for bad in ["0", "2147483648", "many"] {
            let error = read(bad).unwrap_err().to_string();
            let said = "give a whole number from 1 to 2147483647";
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn marks_have_a_mask_if_it_is_given() {
        let whole = Mark {
            value: 16,
            mask: u32::MAX,
        };
        assert_eq!(mark("0x10"), Ok(whole));
        assert_eq!(mark("16"), Ok(whole));
        assert_eq!(mark("0x10/0xF0").unwrap().mask, 0xf0);
        for bad in ["", "x", "1/", "0x1ffffffff", "-1"] {
            assert!(mark(bad).is_err(), "{bad:?} is no mark");
        }
    }
}
