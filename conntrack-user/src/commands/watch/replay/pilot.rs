//! Somebody who steers a replay: forward, back, faster, slower.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{self, Instant},
};

use crate::{
    commands::watch::{options::Speed, replay::programme::Programme, said::Steered},
    subscribers::{
        input::Input,
        playback::{Position, Steering},
        worker::Inbox,
    },
};

/// Who steers a replay.
pub(super) struct Pilot {
    steering: watch::Receiver<Steering>,
    positions: Inbox,
    /// How many times somebody went elsewhere, as far as that is done.
    gone: u64,
    /// Up to this interval nothing is waited for.
    goal: usize,
    /// Where it is, but for the place.
    position: Position,
}

impl Pilot {
    pub(super) fn new(steered: Steered, programme: &Programme) -> Self {
        let (all, first, last) = programme.extent();
        Self {
            steering: steered.steering,
            positions: steered.positions,
            gone: 0,
            goal: 0,
            position: Position {
                all,
                first,
                last,
                ..Position::default()
            },
        }
    }

    /// Waits until somebody steers. Whoever cannot any more has ended.
    pub(super) async fn changed(&mut self) {
        if self.steering.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether somebody wants to go back, after so many intervals.
    pub(super) fn wants_back(&mut self, played: usize) -> bool {
        let (goal, times) = self.steering.borrow_and_update().goal;
        if times == self.gone {
            return false;
        }
        self.gone = times;
        self.goal = goal;
        goal < played
    }

    /// Says where it is.
    pub(super) fn tell(&self, played: usize, speed: Speed) {
        let position = Position {
            place: played,
            speed: self.speed(speed),
            ..self.position.clone()
        };
        self.positions.put(Input::Position(position));
    }

    fn speed(&self, asked: Speed) -> f64 {
        let chosen = self.steering.borrow().speed;
        chosen.unwrap_or(match asked {
            Speed::Times(times) => times,
            Speed::Max => f64::INFINITY,
        })
    }

    /// Waits so long, at the speed that is wanted meanwhile, unless somebody is on the way
    /// to elsewhere.
    pub(super) async fn wait(&mut self, length: Duration, asked: Speed, played: usize) {
        let mut left = length;
        while played >= self.goal && !left.is_zero() {
            let speed = self.speed(asked);
            let Some(wait) = at(Speed::Times(speed), left) else {
                return;
            };
            let began = Instant::now();
            tokio::select! {
                () = time::sleep(wait) => return,
                changed = self.steering.changed() => if changed.is_err() {
                    return;
                },
            }
            if self.steering.borrow().goal.1 != self.gone {
                return;
            }
            left = left.saturating_sub(began.elapsed().mul_f64(speed));
            self.tell(played, asked);
        }
    }
}

/// How long it takes at a speed; none without waiting.
pub(super) fn at(speed: Speed, length: Duration) -> Option<Duration> {
    match speed {
        Speed::Times(speed) if speed.is_finite() && !length.is_zero() => {
            let length = Duration::try_from_secs_f64(length.as_secs_f64() / speed);
            Some(length.unwrap_or(Duration::MAX))
        }
        Speed::Times(_) | Speed::Max => None,
    }
}
