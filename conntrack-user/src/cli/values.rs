//! The values of options: how each is read, and what is said of a wrong one.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use clap::{builder::RangedI64ValueParser, value_parser};

use crate::{
    say::{protocol, reason::ReasonName},
    table::filter::Mark,
};

pub(super) fn protocol(text: &str) -> Result<u8, String> {
    protocol::protocol_number(text).ok_or_else(|| {
        "unknown protocol: give a name such as udp, or a number up to 255".to_owned()
    })
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('/') {
        return Err("give one address, not a prefix".to_owned());
    }
    text.parse()
        .map_err(|_| "not an address: give one such as 192.0.2.1 or 2001:db8::1".to_owned())
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

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text)
        .map_err(|_| "not a time: give a number and a unit, such as 500ms, 30s or 5m".to_owned())?;
    if parsed.is_zero() {
        return Err("must be longer than 0".to_owned());
    }
    Ok(parsed)
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

pub(super) fn percent() -> RangedI64ValueParser<u8> {
    value_parser!(u8).range(1..=100)
}

#[cfg(test)]
mod tests {
    use super::*;

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
