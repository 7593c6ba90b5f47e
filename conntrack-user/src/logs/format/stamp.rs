//! Times as log files write them.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
};

use crate::logs::format::locale;

/// When a line was written, as far as the line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// A moment, in microseconds since 1970.
    At(i64),
    /// Date and time in a zone that is not named.
    Local(DateTime),
    /// The same without a year.
    Yearless {
        /// 1 to 12.
        month: i8,
        /// 1 to 31.
        day: i8,
        /// Time of day.
        time: Time,
    },
    /// Microseconds since the kernel has started.
    Uptime(u64),
    /// Nothing.
    Missing,
}

/// What of a line is not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn eat(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    pub(super) fn blanks(&mut self) {
        while let Some(rest) = self.0.strip_prefix(b" ") {
            self.0 = rest;
        }
    }

    /// Everything up to the next blank, which is eaten, too.
    pub(super) fn word(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b' ', self.0).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        self.blanks();
        word
    }

    /// A decimal number of at most `most` digits, with how many there were.
    pub(super) fn number(&mut self, most: usize) -> Option<(u64, usize)> {
        if self.0.first().is_some_and(|byte| !byte.is_ascii()) {
            return self.local_number(most);
        }
        let digits = self
            .0
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (number, rest) = self.0.split_at(digits);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        self.0 = rest;
        Some((number, digits))
    }

    /// The same in the digits of another script.
    fn local_number(&mut self, most: usize) -> Option<(u64, usize)> {
        let mut number = 0_u64;
        let mut digits = 0;
        while digits < most
            && let Some((digit, rest)) = locale::digit(self.0)
        {
            number = number.checked_mul(10)?.checked_add(digit.into())?;
            digits += 1;
            self.0 = rest;
        }
        (digits > 0).then_some((number, digits))
    }

    fn small(&mut self, most: usize) -> Option<i8> {
        i8::try_from(self.number(most)?.0).ok()
    }

    /// `.123456`, or with a comma, in nanoseconds; 0 if there is none.
    fn fraction(&mut self) -> i32 {
        let Some((&(b'.' | b','), rest)) = self.0.split_first() else {
            return 0;
        };
        let mut ahead = Cursor(rest);
        let Some((number, digits)) = ahead.number(9) else {
            return 0;
        };
        while ahead.0.first().is_some_and(u8::is_ascii_digit) {
            ahead.0 = &ahead.0[1..];
        }
        *self = ahead;
        (digits..9)
            .try_fold(i32::try_from(number).unwrap_or(0), |number, _| {
                number.checked_mul(10)
            })
            .unwrap_or(0)
    }

    /// `13:40:34`, with or without a fraction; `13:40` if `short`.
    fn time(&mut self, short: bool) -> Option<Time> {
        let hour = self.small(2)?;
        self.eat(b":")?;
        let minute = self.small(2)?;
        if short {
            return Time::new(hour, minute, 0, 0).ok();
        }
        self.eat(b":")?;
        // A leap second is not told from the one before.
        let second = self.small(2)?.min(59);
        Time::new(hour, minute, second, self.fraction()).ok()
    }

    fn month(&mut self) -> Option<i8> {
        const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let name = self.0.get(..3)?;
        let index = MONTHS.chunks(3).position(|month| month == name)?;
        self.0 = &self.0[3..];
        i8::try_from(index + 1).ok()
    }

    /// `Tue `: a day of the week.
    fn weekday(&mut self) -> Option<()> {
        const DAYS: &[u8] = b"MonTueWedThuFriSatSun";
        let name = self.0.get(..3)?;
        DAYS.chunks(3).find(|day| *day == name)?;
        self.0 = &self.0[3..];
        self.eat(b" ")
    }

    /// `Di `, `二 `: a short word, which may be a day of the week.
    fn any_weekday(&mut self) -> Option<()> {
        const LONGEST: usize = 6;
        let word = self.word();
        let is_short = word.len() <= LONGEST || !word.is_ascii();
        (is_short && locale::is_name(word, 1)).then_some(())
    }

    fn year(&mut self) -> Option<i16> {
        let (year, 4) = self.number(4)? else {
            return None;
        };
        i16::try_from(year).ok()
    }

    /// `Mar 12 13:40:34`, `Mar 12 2026 13:40:34`.
    pub(super) fn syslog(&mut self) -> Option<Stamp> {
        let mut ahead = *self;
        let month = ahead.month()?;
        ahead.eat(b" ")?;
        ahead.blanks();
        let day = ahead.small(2)?;
        ahead.eat(b" ")?;
        let mut with_year = ahead;
        if let Some(year) = with_year.year()
            && with_year.eat(b" ").is_some()
        {
            let time = with_year.time(false)?;
            *self = with_year;
            return Some(Stamp::Local(
                Date::new(year, month, day).ok()?.to_datetime(time),
            ));
        }
        let time = ahead.time(false)?;
        // In a leap year, so that no day is refused that there can be.
        Date::new(2000, month, day).ok()?;
        *self = ahead;
        Some(Stamp::Yearless { month, day, time })
    }

    /// As [`Cursor::syslog`] in another language: `oct 28 08:38:46`, `8月 10 17:27:03`; and as
    /// ctime(3) has it, `二 8月 10 17:27:03 2021`, where the year ends the text. Of a
    /// month that is not known there is no time.
    pub(super) fn local(&mut self) -> Option<Stamp> {
        const LONGEST: usize = 160;
        let text = self.0;
        if text.first() == Some(&b' ') {
            return None;
        }
        let mut blanks = memchr::memchr_iter(b' ', text.get(..LONGEST).unwrap_or(text));
        blanks.find_map(|blank| {
            let mut ahead = Cursor(&text[blank..]);
            ahead.blanks();
            let day = ahead.small(2)?;
            ahead.eat(b" ")?;
            let mut with_year = ahead;
            let mut year = with_year.year().filter(|_| with_year.eat(b" ").is_some());
            if year.is_some() {
                ahead = with_year;
            }
            let time = ahead.time(false)?;
            let mut ends = ahead;
            if year.is_none() && ends.eat(b" ").is_some() && ends.0.len() <= 16 {
                year = ends.year().filter(|_| ends.0.is_empty());
                ahead = if year.is_some() { ends } else { ahead };
            }
            let stamp = named_day(&text[..blank], day, year, time)?;
            *self = ahead;
            Some(stamp)
        })
    }

    /// `2026-03-12T13:40:34.123456+01:00`; with a blank, without a zone, with a
    /// comma: `2026-03-12 13:40:34,123456`.
    pub(super) fn iso(&mut self) -> Option<Stamp> {
        let mut ahead = *self;
        let year = ahead.year()?;
        ahead.eat(b"-")?;
        let month = ahead.small(2)?;
        ahead.eat(b"-")?;
        let day = ahead.small(2)?;
        ahead.eat(b"T").or_else(|| ahead.eat(b" "))?;
        let time = ahead.time(false)?;
        let local = Date::new(year, month, day).ok()?.to_datetime(time);
        let stamp = match ahead.offset() {
            Some(seconds) => {
                let as_utc = jiff::tz::Offset::UTC.to_timestamp(local).ok()?;
                Stamp::At(as_utc.as_microsecond() - seconds * 1_000_000)
            }
            None => Stamp::Local(local),
        };
        *self = ahead;
        Some(stamp)
    }

    /// `Z`, `+01:00`, `+0100`, `+01`: seconds east of Greenwich.
    fn offset(&mut self) -> Option<i64> {
        let mut ahead = *self;
        let sign = match ahead.0.first()? {
            b'Z' => {
                self.0 = &self.0[1..];
                return Some(0);
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        ahead.0 = &ahead.0[1..];
        let hours = ahead.small(2)?;
        let _ = ahead.eat(b":");
        let minutes = ahead.small(2).unwrap_or(0);
        if hours > 25 || minutes > 59 {
            return None;
        }
        *self = ahead;
        Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
    }

    /// `Thu Mar 12 13:40:34 2026`, as ctime(3) writes it.
    pub(super) fn ctime(&mut self) -> Option<Stamp> {
        let mut ahead = *self;
        ahead.weekday()?;
        let month = ahead.month()?;
        ahead.blanks();
        let day = ahead.small(2)?;
        ahead.eat(b" ")?;
        let time = ahead.time(false)?;
        ahead.eat(b" ")?;
        let date = Date::new(ahead.year()?, month, day).ok()?;
        *self = ahead;
        Some(Stamp::Local(date.to_datetime(time)))
    }

    /// `Thu 2026-03-12 13:40:34 CET`, as `journalctl -o short-full` writes it.
    /// Abbreviations but UTC have no one meaning: taken for the zone at hand.
    pub(super) fn full(&mut self) -> Option<Stamp> {
        let mut ahead = *self;
        ahead.any_weekday()?;
        let stamp = ahead.iso()?;
        ahead.eat(b" ")?;
        let zone = ahead.word();
        if zone.is_empty()
            || !zone
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(byte))
        {
            return None;
        }
        *self = ahead;
        match stamp {
            Stamp::Local(local) if zone == b"UTC" || zone == b"GMT" => {
                let moment = jiff::tz::Offset::UTC.to_timestamp(local).ok()?;
                Some(Stamp::At(moment.as_microsecond()))
            }
            stamp => Some(stamp),
        }
    }

    /// `1773319234.123456`, as `journalctl -o short-unix` writes it.
    pub(super) fn unix(&mut self) -> Option<Stamp> {
        let mut ahead = *self;
        let (seconds, 9..) = ahead.number(11)? else {
            return None;
        };
        if ahead.0.first() != Some(&b'.') {
            return None;
        }
        let nanoseconds = ahead.fraction();
        ahead.eat(b" ")?;
        let moment = Timestamp::new(i64::try_from(seconds).ok()?, nanoseconds).ok()?;
        *self = ahead;
        Some(Stamp::At(moment.as_microsecond()))
    }

    /// `[ 1281.489259] `: microseconds since the kernel has started.
    pub(super) fn uptime(&mut self) -> Option<u64> {
        match self.bracket()? {
            Stamp::Uptime(uptime) => Some(uptime),
            _ => None,
        }
    }

    /// What dmesg(1) writes before a message: `[ 1281.489259]`, with `-d` `[
    /// 1281.489259 <    0.000012>]`, with `-T` `[Tue Nov 20 22:30:22 2018]`, with
    /// `-e` `[Nov20 22:30]` or `[  +0.000012]`; also who logged: `[    T99]`.
    pub(super) fn bracket(&mut self) -> Option<Stamp> {
        let mut ahead = *self;
        ahead.eat(b"[")?;
        const LONGEST: usize = 160;
        let end = memchr::memchr(b']', ahead.0.get(..LONGEST).unwrap_or(ahead.0))?;
        let inside = ahead.0[..end].trim_ascii();
        ahead.0 = &ahead.0[end + 1..];
        let stamp = inside_bracket(Cursor(inside))?;
        ahead.blanks();
        ahead.caller();
        *self = ahead;
        Some(stamp)
    }

    /// `[    T99]`, `[    C0]`: the thread or the processor that logged.
    pub(super) fn caller(&mut self) {
        let mut ahead = *self;
        let found = (|| {
            ahead.eat(b"[")?;
            ahead.blanks();
            ahead.eat(b"T").or_else(|| ahead.eat(b"C"))?;
            ahead.number(9)?;
            ahead.eat(b"]")
        })();
        if found.is_some() {
            ahead.blanks();
            *self = ahead;
        }
    }
}

fn inside_bracket(mut inside: Cursor<'_>) -> Option<Stamp> {
    if let Some(stamp) = inside.ctime() {
        return inside.0.is_empty().then_some(stamp);
    }
    if inside.eat(b"+").is_some() {
        inside.number(10)?;
        return (inside.fraction() >= 0 && inside.0.is_empty()).then_some(Stamp::Missing);
    }
    if let Some(stamp) = to_the_minute(inside.0) {
        return Some(stamp);
    }
    let mut local = inside;
    if let Some(stamp) = local.local() {
        return local.0.is_empty().then_some(stamp);
    }
    let (seconds, _) = inside.number(10)?;
    if inside.0.first() != Some(&b'.') {
        return None;
    }
    let microseconds = u64::try_from(inside.fraction() / 1000).ok()?;
    inside.blanks();
    (inside.0.is_empty() || inside.0.starts_with(b"<"))
        .then_some(Stamp::Uptime(seconds * 1_000_000 + microseconds))
}

/// `Nov20 22:30`, `Nov 1 22:30`, `8月10 17:27`: as `dmesg -e` writes the first message of
/// a minute.
fn to_the_minute(inside: &[u8]) -> Option<Stamp> {
    let blank = memchr::memrchr(b' ', inside)?;
    let mut time = Cursor(&inside[blank + 1..]);
    let time = time.time(true).filter(|_| time.0.is_empty())?;
    let date = &inside[..blank];
    let digits = date
        .iter()
        .rev()
        .take(2)
        .take_while(|byte| byte.is_ascii_digit());
    let (words, day) = date.split_at(date.len() - digits.count());
    named_day(words, Cursor(day).small(2)?, None, time)
}

/// A day of a month that is said by name.
fn named_day(words: &[u8], day: i8, year: Option<i16>, time: Time) -> Option<Stamp> {
    if !(1..=31).contains(&day) {
        return None;
    }
    let month = locale::month(words);
    // A day and a month of several words each; else no more than one word each.
    if !locale::is_name(words, if month.is_some() { 4 } else { 2 }) {
        return None;
    }
    let date = month.and_then(|month| Date::new(year.unwrap_or(2000), month, day).ok());
    Some(match (date, year) {
        (Some(date), Some(_)) => Stamp::Local(date.to_datetime(time)),
        (Some(date), None) => Stamp::Yearless {
            month: date.month(),
            day,
            time,
        },
        (None, _) => Stamp::Missing,
    })
}
