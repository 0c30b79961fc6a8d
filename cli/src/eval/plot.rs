//! Trade-off curves as a picture.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 60.0;

/// One line of a picture.
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) colour: &'static str,
    /// Place on the axis, 0 to 1, and loss.
    pub(super) points: Vec<(f64, f64)>,
}

/// Loss of NDCG by what `axis` says, whose ends are named.
pub(super) fn svg(axis: &str, ends: [&str; 2], curves: &[Curve]) -> String {
    let losses = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, loss)| *loss));
    let most = losses.fold(0.05, f64::max);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    axes(&mut text, axis, ends, most);
    for (at, curve) in (0_u8..).zip(curves) {
        let Curve { name, colour, points } = curve;
        let place = |&(at, loss): &(f64, f64)| format!("{:.1},{:.1}", x(at), y(loss, most));
        let line = points.iter().map(place).collect::<Vec<_>>().join(" ");
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

fn x(place: f64) -> f64 {
    MARGIN + place * (WIDTH - 2.0 * MARGIN)
}

fn y(loss: f64, most: f64) -> f64 {
    HEIGHT - MARGIN - loss.max(0.0) / most * (HEIGHT - 2.0 * MARGIN)
}

fn axes(text: &mut String, axis: &str, [least, greatest]: [&str; 2], most: f64) {
    let (left, right, bottom, top) = (x(0.0), x(1.0), y(0.0, most), y(most, most));
    let _ = writeln!(
        text,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{left}\" y=\"{}\">loss of NDCG@20 by {axis}, at most {:.1} %</text>\n\
         <text x=\"{left}\" y=\"{}\">{least}</text><text x=\"{right}\" y=\"{}\">{greatest}</text>",
        top - 12.0,
        100.0 * most,
        bottom + 18.0,
        bottom + 18.0
    );
}
