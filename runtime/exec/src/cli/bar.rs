//! Progress on a terminal, or as lines for a log.

use hec_run::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two lines of a log.
const INTERVAL: Duration = Duration::from_secs(10);

/// A bar on stderr if that is a terminal, or lines if they are asked for, once the work has taken a second.
pub struct Bar {
    prefix: String,
    bar: ProgressBar,
    lines: bool,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    left: Option<Duration>,
    /// When a line was last written.
    told: Option<Instant>,
}

impl Bar {
    pub fn new(prefix: &str) -> Self {
        Self::with_lines(prefix, false)
    }

    /// With a line in ten seconds where there is no terminal, if `lines` says so.
    pub fn with_lines(prefix: &str, lines: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(prefix.to_owned());
        Bar { prefix: prefix.to_owned(), bar, lines, start: Instant::now(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bar {
    fn advance(&self, done: usize, total: usize, what: &str) {
        if self.start.elapsed() < PATIENCE {
            return;
        }
        let mut state = self.state();
        let left = state.left.map_or(String::new(), |left| format!(", about {} left", duration(left)));
        let message = format!("{what}{left}");
        if std::io::stderr().is_terminal() {
            if self.bar.is_hidden() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.bar.set_length(total as u64);
            self.bar.set_position(done as u64);
            self.bar.set_message(message);
        } else if self.lines && done < total && state.told.is_none_or(|told| told.elapsed() >= INTERVAL) {
            state.told = Some(Instant::now());
            let spent = duration(self.start.elapsed());
            super::complain(&format!("{}: {done} of {total} after {spent}: {message}", self.prefix));
        }
    }

    fn expect(&self, left: Duration) {
        self.state().left = Some(left);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A time for people, in its two largest units.
fn duration(time: Duration) -> String {
    match time.as_secs_f64().round() as u64 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Something turns while `work` lasts, if stderr is a terminal.
pub fn spin<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let spinner = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    let result = work();
    spinner.finish_and_clear();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        let times = [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200.0, "3 min 20 s"), (7300.0, "2 h 1 min")];
        for (seconds, text) in times {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }
}
