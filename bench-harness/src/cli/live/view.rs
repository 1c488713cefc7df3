//! What the live view shows.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};

use crate::cli::run::warming_up;
use crate::load::LoadPlan;
use crate::record::{CoreInterval, Hist, Interval, REPORTED_QUANTILES};
use crate::report::quantity::{grouped, short, time};

/// Seconds that are kept for the charts: as wide as terminals get.
const KEPT: usize = 400;

/// The state of the view.
#[derive(Debug)]
pub(super) struct View {
    url: String,
    load: String,
    before: String,
    duration: Option<Duration>,
    repeats: usize,
    /// Which run it is, from 1; 0 before the first.
    run: usize,
    /// Response times of the run so far.
    response: Hist,
    completed: u64,
    measured: Duration,
    seconds: VecDeque<Interval>,
}

impl View {
    pub(super) fn new(plan: &LoadPlan, repeats: usize) -> View {
        let rate =
            plan.loop_model.rate().map_or("closed loop".to_owned(), |rate| format!("{}/s", short(rate)));
        View {
            url: plan.url.to_string(),
            load: format!(
                "{rate}, {} connections, depth {}, {} generator threads",
                plan.connections,
                plan.pipeline,
                plan.cpus.len()
            ),
            before: warming_up(plan),
            duration: plan.extent.duration,
            repeats,
            run: 0,
            response: Hist::new(),
            completed: 0,
            measured: Duration::ZERO,
            seconds: VecDeque::new(),
        }
    }

    /// A run begins, and forgets the one before.
    pub(super) fn started(&mut self, plan: &LoadPlan) {
        self.run += 1;
        self.before = warming_up(plan);
        self.response.clear();
        self.seconds.clear();
        (self.completed, self.measured) = (0, Duration::ZERO);
    }

    pub(super) fn part(&mut self, part: &CoreInterval) {
        self.response.add(&part.response);
    }

    pub(super) fn interval(&mut self, interval: &Interval) {
        self.completed += interval.completed;
        self.measured = interval.start + interval.length;
        if self.seconds.len() == KEPT {
            self.seconds.pop_front();
        }
        self.seconds.push_back(interval.clone());
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let [head, progress, charts, table, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(1),
            Constraint::Min(6),
            Constraint::Length(5),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(
            Paragraph::new(vec![Line::from(self.url.as_str()).bold(), self.load.as_str().into()]),
            head,
        );
        self.progress(frame, progress);
        let [rate, median, tail] = Layout::vertical([Constraint::Ratio(1, 3); 3]).areas(charts);
        let last = self.seconds.back();
        let requests = last.map_or("-".to_owned(), |second| grouped(rate_of(second)));
        self.chart(frame, rate, format!("requests/s  {requests}"), rate_of, Color::Blue);
        let named = |name: &str, of: fn(&Interval) -> Duration| {
            format!("{name} of each second  {}", last.map_or("-".to_owned(), |second| time(of(second))))
        };
        let nanos = |value: Duration| value.as_nanos() as f64;
        self.chart(frame, median, named("p50", |s| s.p50), |s| nanos(s.p50), Color::Green);
        self.chart(frame, tail, named("p99", |s| s.p99), |s| nanos(s.p99), Color::Yellow);
        self.whole(frame, table);
        frame.render_widget(
            Paragraph::new("Control-C ends the run; what was measured is printed").dim(),
            foot,
        );
    }

    fn progress(&self, frame: &mut Frame<'_>, area: Rect) {
        let number =
            if self.repeats > 1 { format!("run {} of {}: ", self.run, self.repeats) } else { String::new() };
        let (share, text) = match (self.seconds.back(), self.duration) {
            (None, _) => (0.0, format!("{number}{}", self.before)),
            (Some(_), Some(duration)) => {
                let share = self.measured.as_secs_f64() / duration.as_secs_f64().max(1e-9);
                let (past, whole) = (self.measured.as_secs_f64(), duration.as_secs_f64());
                (share.clamp(0.0, 1.0), format!("{number}{past:.0} of {whole:.0} s"))
            }
            (Some(_), None) => (0.0, format!("{number}{:.0} s", self.measured.as_secs_f64())),
        };
        let gauge = Gauge::default().ratio(share).label(text).gauge_style(Style::new().fg(Color::Blue));
        frame.render_widget(gauge, area);
    }

    /// The last seconds as bars, the newest at the right.
    fn chart(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        title: String,
        of: impl Fn(&Interval) -> f64,
        colour: Color,
    ) {
        let block = Block::bordered().title(title);
        let width = usize::from(block.inner(area).width);
        let skipped = self.seconds.len().saturating_sub(width);
        let bars: Vec<u64> =
            self.seconds.iter().skip(skipped).map(|second| of(second).round() as u64).collect();
        frame.render_widget(
            Sparkline::default().block(block).data(&bars).style(Style::new().fg(colour)),
            area,
        );
    }

    /// The run so far, percentiles where the data bear them.
    fn whole(&self, frame: &mut Frame<'_>, area: Rect) {
        let total = self.response.len() as f64;
        let borne = REPORTED_QUANTILES.iter().filter(|(q, _)| total * (1.0 - q) >= 10.0 - 1e-6);
        let quantiles: Vec<String> =
            borne.map(|(q, name)| format!("{name} {}", time(self.response.quantile(*q)))).collect();
        let rate = self.completed as f64 / self.measured.as_secs_f64().max(1e-9);
        let mut lines = vec![
            Line::from(format!("{} requests, {} requests/s", grouped(self.completed as f64), grouped(rate))),
            Line::from(quantiles.join("  ")),
        ];
        match self.seconds.back() {
            Some(second) if second.backlog > 0 => {
                let text = format!("{} requests due and not yet sent", grouped(second.backlog as f64));
                lines.push(Line::from(text).yellow());
            }
            _ => {}
        }
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("whole run so far")), area);
    }
}

fn rate_of(second: &Interval) -> f64 {
    second.completed as f64 / second.length.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::TargetUrl;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn shown(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    fn view(repeats: usize) -> (View, LoadPlan) {
        let plan = LoadPlan::closed(TargetUrl::parse("http://127.0.0.1:8080/plaintext").unwrap(), vec![0]);
        (View::new(&plan, repeats), plan)
    }

    fn second(start: u64, completed: u64, backlog: u64) -> Interval {
        Interval {
            start: Duration::from_secs(start),
            length: Duration::from_secs(1),
            completed,
            failed: 0,
            p50: Duration::from_micros(400),
            p99: Duration::from_micros(1500),
            backlog,
        }
    }

    #[test]
    fn it_shows_the_warm_up_the_last_second_and_the_whole_run() {
        let (mut view, plan) = view(3);
        view.started(&plan);
        assert!(shown(&view, 80, 24).contains("run 1 of 3: warming up for 1.00 s"));
        view.response.record(Duration::from_micros(400), 3_000);
        view.interval(&second(0, 1_000, 0));
        view.interval(&second(1, 2_000, 70));
        let text = shown(&view, 80, 24);
        for part in [
            "127.0.0.1:8080/plaintext",
            "closed loop, ",
            "requests/s  2,000",
            "p99 of each second  1.50 ms",
            "3,000 requests, 1,500 requests/s",
            "p99 400 µs",
            "70 requests due",
            "Control-C",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("p99.9 "), "3,000 requests do not bear it");
        view.started(&plan);
        let text = shown(&view, 80, 24);
        assert!(text.contains("run 2 of 3") && !text.contains("3,000"), "{text}");
        view.started(&LoadPlan { steady_within: Some(Duration::from_secs(30)), ..plan });
        assert!(shown(&view, 80, 24).contains("run 3 of 3: warming up until steady, 30.0 s at most"));
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        let (mut view, plan) = view(1);
        view.started(&plan);
        (0..1_000).for_each(|start| view.interval(&second(start, start, 0)));
        assert_eq!(view.seconds.len(), KEPT);
        for (width, height) in [(1, 1), (10, 3), (40, 10), (300, 100)] {
            shown(&view, width, height);
        }
    }
}
