//! The trade-off curves as a picture.

use std::fmt::Write as _;

use super::sweep::{Point, Sweep};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 60.0;
/// The greatest floor on the axis.
const FLOOR_MAX: f64 = 0.5;

/// Loss of NDCG over the floor, a line a knob.
pub(super) fn svg(sweep: &Sweep) -> String {
    let points = sweep.diversity.iter().chain(&sweep.local);
    let most = points.map(|point| point.ndcg_loss).fold(0.05, f64::max);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    axes(&mut text, most);
    type Floor = fn(&Point) -> f64;
    let knobs: [(&str, &str, &[Point], Floor); 2] = [
        ("intra-list diversity", "#1b6ca8", &sweep.diversity, |point| point.diversity),
        ("local share", "#c2571a", &sweep.local, |point| point.local),
    ];
    for (at, (name, colour, points, floor)) in (0_u8..).zip(knobs) {
        let place =
            |point: &Point| format!("{:.1},{:.1}", x(floor(point)), y(point.ndcg_loss, most));
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

fn x(floor: f64) -> f64 {
    MARGIN + floor / FLOOR_MAX * (WIDTH - 2.0 * MARGIN)
}

fn y(loss: f64, most: f64) -> f64 {
    HEIGHT - MARGIN - loss.max(0.0) / most * (HEIGHT - 2.0 * MARGIN)
}

fn axes(text: &mut String, most: f64) {
    let (left, right, bottom, top) = (x(0.0), x(FLOOR_MAX), y(0.0, most), y(most, most));
    let _ = writeln!(
        text,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{left}\" y=\"{}\">loss of NDCG@20 by the floor, at most {:.1} %</text>\n\
         <text x=\"{left}\" y=\"{}\">0</text><text x=\"{right}\" y=\"{}\">{FLOOR_MAX}</text>",
        top - 12.0,
        100.0 * most,
        bottom + 18.0,
        bottom + 18.0
    );
}
