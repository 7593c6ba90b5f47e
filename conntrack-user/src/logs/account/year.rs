//! Which moment a stamp means: time zones, and years that are not written.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::logs::{
    account::moment::{MINUTE, Moment},
    format::stamp::Stamp,
};

/// Microseconds of a day.
const DAY: i64 = 24 * 60 * MINUTE;

/// Reads the stamps of one log, in their order.
#[derive(Clone, Debug)]
pub struct YearTracker {
    zone: TimeZone,
    /// When the log was written last, in microseconds since 1970.
    written: i64,
    /// The year that the log begins in, if that is known.
    begins: Option<i16>,
    /// The last stamp, which tells the year of the next one.
    last: Option<DateTime>,
    /// Whether a year was taken from `written`.
    inferred: bool,
}

impl YearTracker {
    /// Begins a log.
    pub const fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            written: 0,
            begins: None,
            last: None,
            inferred: false,
        }
    }

    /// Goes on with a part of the log that was written last at `written`. Its
    /// year is `begins`, or else told from that time.
    pub fn begin_part(&mut self, written: i64, begins: Option<i16>) {
        self.written = written;
        self.begins = begins;
        self.last = None;
        self.inferred = false;
    }

    /// The moment that a stamp means.
    pub fn moment_of(&mut self, stamp: Stamp) -> Moment {
        let local = match stamp {
            Stamp::At(at) => {
                if let Ok(moment) = Timestamp::from_microsecond(at) {
                    self.last = Some(self.zone.to_datetime(moment));
                }
                return Moment::Wall(at);
            }
            Stamp::Uptime(uptime) => return Moment::Uptime(uptime),
            Stamp::Missing => return Moment::Unknown,
            Stamp::Local(local) => Some(local),
            Stamp::Yearless { month, day, time } => self
                .year_of(month, day, time)
                .and_then(|year| Date::new(year, month, day).ok())
                .map(|date| date.to_datetime(time)),
        };
        let Some(local) = local else {
            return Moment::Unknown;
        };
        self.last = Some(local);
        self.in_zone(local).map_or(Moment::Unknown, Moment::Wall)
    }

    fn in_zone(&self, local: DateTime) -> Option<i64> {
        let moment = self.zone.to_timestamp(local).ok()?;
        Some(moment.as_microsecond())
    }

    /// The year in which a day comes closest to the stamp before: clocks are set
    /// back at times, and lines are out of order at new year. For the first stamp,
    /// the last year in which it is not later than the log was written.
    fn year_of(&mut self, month: i8, day: i8, time: jiff::civil::Time) -> Option<i16> {
        let in_year = |year| Some(Date::new(year, month, day).ok()?.to_datetime(time));
        if let Some(last) = self.last {
            let distance = |year| {
                let local = in_year(year)?;
                let hours = local.date().duration_since(last.date()).as_hours();
                // Logs go on, mostly: a step back counts for more.
                Some((if hours < 0 { hours * -2 } else { hours }, year))
            };
            return (last.year() - 1..=last.year() + 1)
                .filter_map(distance)
                .min()
                .map(|(_, year)| year);
        }
        if self.begins.is_some() {
            return self.begins;
        }
        self.inferred = true;
        let written = Timestamp::from_microsecond(self.written).ok()?;
        let year = self.zone.to_datetime(written).year();
        // Eight years hold a 29 February, even around 1900 and 2100.
        (year - 8..=year + 1).rev().find(|&year| {
            in_year(year)
                .and_then(|local| self.in_zone(local))
                .is_some_and(|at| at <= self.written + DAY)
        })
    }

    /// How many years the log has run past the time it was written last: as
    /// many more than one it covers, and as many earlier did it begin.
    pub fn overshoot(&self) -> i16 {
        let Some(last) = self.last.filter(|_| self.inferred) else {
            return 0;
        };
        let Ok(written) = Timestamp::from_microsecond(self.written + DAY) else {
            return 0;
        };
        let limit = self.zone.to_datetime(written);
        if last <= limit {
            return 0;
        }
        let years = last.year() - limit.year();
        let same_year_later = last.date().day_of_year() > limit.date().day_of_year();
        years + i16::from(same_year_later)
    }

    /// The year of the last stamp.
    pub fn year(&self) -> Option<i16> {
        self.last.map(DateTime::year)
    }

    /// The year that a part begins in whose stamps, in order, are these; none if
    /// it is what would be taken anyway. For a part that covers several years.
    pub fn begin_year(
        zone: TimeZone,
        written: i64,
        stamps: impl IntoIterator<Item = Stamp>,
    ) -> Option<i16> {
        let mut tracker = Self::new(zone);
        tracker.begin_part(written, None);
        let mut first = None;
        for stamp in stamps {
            tracker.moment_of(stamp);
            first = first.or_else(|| tracker.year());
        }
        let overshoot = tracker.overshoot();
        (overshoot > 0)
            .then(|| first.map(|year| year - overshoot))
            .flatten()
    }
}
