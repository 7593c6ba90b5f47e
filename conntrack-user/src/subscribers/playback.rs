//! Where a replay is, and what somebody makes of it.

/// Where a replay is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// Intervals that were played back.
    pub place: usize,
    /// Intervals that there are.
    pub all: usize,
    /// When the first one ended: RFC 3339.
    pub first: String,
    /// When the last one ended: RFC 3339.
    pub last: String,
    /// How many times as fast as recorded; infinite does not wait.
    pub speed: f64,
}

/// What somebody makes of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Steering {
    /// The speed, if somebody has chosen another one.
    pub speed: Option<f64>,
    /// The interval to go to, and how many times somebody has gone to one.
    pub goal: (usize, u64),
}

/// The slowest and the fastest speed that keys choose.
const SPEEDS: [f64; 2] = [0.125, 1024.0];

impl Steering {
    /// To another interval, a twentieth of all away.
    #[must_use]
    pub fn gone(self, position: &Position, back: bool) -> Self {
        let step = (position.all / 20).max(1);
        let place = if back {
            position.place.saturating_sub(step)
        } else {
            (position.place + step).min(position.all)
        };
        let (_, times) = self.goal;
        Self {
            goal: (place, times + 1),
            ..self
        }
    }

    /// Half as fast, or twice.
    #[must_use]
    pub fn at_speed(self, position: &Position, slower: bool) -> Self {
        let [slowest, fastest] = SPEEDS;
        let speed = if position.speed.is_finite() {
            position.speed
        } else {
            2.0 * fastest
        };
        let speed = if slower { speed / 2.0 } else { speed * 2.0 };
        Self {
            speed: Some(speed.clamp(slowest, fastest)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_speeds_have_bounds() {
        let position = |place, speed| Position {
            place,
            all: 100,
            speed,
            ..Position::default()
        };
        let steering = Steering::default();
        assert_eq!(steering.gone(&position(50, 1.0), false).goal, (55, 1));
        assert_eq!(steering.gone(&position(3, 1.0), true).goal, (0, 1));
        assert_eq!(steering.gone(&position(99, 1.0), false).goal, (100, 1));
        assert_eq!(steering.at_speed(&position(0, 1.0), false).speed, Some(2.0));
        let max = position(0, f64::INFINITY);
        assert_eq!(steering.at_speed(&max, true).speed, Some(1024.0));
        assert_eq!(
            steering.at_speed(&position(0, 0.125), true).speed,
            Some(0.125)
        );
    }
}
