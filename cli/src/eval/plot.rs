//! The trade-off curves as a picture.

use std::fmt::Write as _;

use super::aims::AimPoint;
use super::sweep::{Point, Sweep};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 60.0;

/// A knob's settings with what each costs.
type Line = (&'static str, &'static str, Vec<(f64, f64)>);

/// Loss of NDCG over the setting, a line a knob.
pub(super) fn svg(sweep: &Sweep) -> String {
    let lines = lines(sweep);
    let losses = lines.iter().flat_map(|(_, _, points)| points).map(|(_, loss)| *loss);
    let most = losses.fold(0.05, f64::max);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    axes(&mut text, most);
    for (at, (name, colour, points)) in (0_u8..).zip(lines) {
        let place =
            |(setting, loss): &(f64, f64)| format!("{:.1},{:.1}", x(*setting), y(*loss, most));
        let places: Vec<String> = points.iter().map(place).collect();
        let line = places.join(" ");
        let down = MARGIN + 18.0 * f64::from(at);
        let _ = writeln!(
            text,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{down}\" fill=\"{colour}\">{name}</text>",
            MARGIN + 12.0
        );
    }
    text.push_str("</svg>\n");
    text
}

/// All knobs go from 0, where they do nothing, to 1.
fn lines(sweep: &Sweep) -> [Line; 5] {
    let aims = &sweep.objectives;
    let floor = |points: &[Point], setting: fn(&Point) -> f64| {
        points.iter().map(|point| (setting(point), point.ndcg_loss)).collect()
    };
    let aim = |points: &[AimPoint], setting: fn(f64) -> f64| {
        points.iter().map(|point| (setting(point.setting), point.ndcg_loss)).collect()
    };
    [
        ("intra-list diversity", "#1b6ca8", floor(&sweep.diversity, |point| point.diversity)),
        ("local share", "#c2571a", floor(&sweep.local, |point| point.local)),
        ("weight of calibration", "#3a7d34", aim(&aims.calibration, |weight| weight)),
        ("weight of freshness", "#7a4fa3", aim(&aims.freshness, |weight| weight)),
        ("1 - a creator's share", "#5b5b5b", aim(&aims.creators, |share| 1.0 - share)),
    ]
}

fn x(setting: f64) -> f64 {
    MARGIN + setting * (WIDTH - 2.0 * MARGIN)
}

fn y(loss: f64, most: f64) -> f64 {
    HEIGHT - MARGIN - loss.max(0.0) / most * (HEIGHT - 2.0 * MARGIN)
}

fn axes(text: &mut String, most: f64) {
    let (left, right, bottom, top) = (x(0.0), x(1.0), y(0.0, most), y(most, most));
    let _ = writeln!(
        text,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{left}\" y=\"{}\">loss of NDCG@20 by the setting, at most {:.1} %</text>\n\
         <text x=\"{left}\" y=\"{}\">0</text><text x=\"{right}\" y=\"{}\">1</text>",
        top - 12.0,
        100.0 * most,
        bottom + 18.0,
        bottom + 18.0
    );
}
