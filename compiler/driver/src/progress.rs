//! Progress on a terminal, silence elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Shows the stage that runs, once it takes longer than a moment; keeps the time of each.
pub struct Progress {
    bar: ProgressBar,
    stage: Option<(&'static str, Instant)>,
    times: Vec<(&'static str, Duration)>,
}

impl Progress {
    /// Quiet unless standard error is a terminal.
    pub fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar, stage: None, times: Vec::new() }
    }

    /// A stage begins; the one before it has ended.
    pub fn stage(&mut self, name: &'static str) {
        self.end();
        self.bar.set_message(name);
        self.stage = Some((name, Instant::now()));
    }

    /// The last stage has ended.
    pub fn end(&mut self) {
        if let Some((name, start)) = self.stage.take() {
            self.times.push((name, start.elapsed()));
        }
    }

    /// Time by stage, in order.
    pub fn finish(mut self) -> Vec<(&'static str, Duration)> {
        self.end();
        self.bar.finish_and_clear();
        self.times
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
