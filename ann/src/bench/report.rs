//! What was measured: as rows, table and picture.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

/// A point of an engine's curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The engine.
    pub engine: String,
    /// The set, with its metric.
    pub data: String,
    /// The filter, `none` without.
    pub filter: String,
    /// Rows asked for.
    pub k: usize,
    /// Candidates kept by the walk.
    pub ef: usize,
    /// Share of the true best `k` found.
    pub recall: f64,
    /// Queries a second of processor time of one thread.
    pub qps: f64,
    /// Processor time of a query, µs.
    pub mean_us: f64,
    /// Median wall time of a query, µs, where queries were timed one by one.
    pub p50_us: Option<f64>,
    /// 99th percentile of the same.
    pub p99_us: Option<f64>,
    /// Bytes of the index, by its rows.
    pub bytes_per_vector: f64,
    /// Processor time of the build, seconds.
    pub build_cpu_s: f64,
    /// Mean vectors compared by a query, where known.
    pub compared: f64,
    /// Mean nodes expanded by a query, where known.
    pub expanded: f64,
    /// What the memory that a query touches costs at least, µs: cache lines times the measured cost
    /// of one. 0 where unknown.
    pub floor_us: f64,
}

/// All rows of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The rows.
    pub rows: Vec<Row>,
}

/// Recalls at which engines are compared.
const RECALLS: [f64; 3] = [0.90, 0.95, 0.99];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 10] = [
    "#c0392b", "#e74c3c", "#2c3e50", "#2980b9", "#27ae60", "#8e44ad", "#d35400", "#7f8c8d",
    "#16a085", "#f39c12",
];

impl Report {
    /// `{"rows": [..]}`.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For each filter and engine the least time at each recall, and how many times ours that is.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (filter, rows) in self.by(|row| &row.filter) {
            _ = writeln!(
                out,
                "\n{} · filter {filter} · k = 10 · one thread · µs a query (recall, times ours)",
                self.data()
            );
            _ = write!(out, "{:<20}", "engine");
            RECALLS.iter().for_each(|r| _ = write!(out, "{:>34}", format!(">= {r:.2}")));
            _ = writeln!(out, "{:>10}{:>12}", "bytes", "build s");
            let ours: Vec<Option<&Row>> =
                RECALLS.iter().map(|&r| quickest(&rows, "bailiwick", r)).collect();
            for engine in names(&rows) {
                _ = write!(out, "{engine:<20}");
                for (&recall, ours) in RECALLS.iter().zip(&ours) {
                    let cell = quickest(&rows, engine, recall).map_or("-".to_owned(), |row| {
                        let times = ours.map_or(f64::NAN, |o| row.mean_us / o.mean_us);
                        format!("{:.1} ({:.3}, {times:.2}x)", row.mean_us, row.recall) + &floor(row)
                    });
                    _ = write!(out, "{cell:>34}");
                }
                let one = rows.iter().find(|row| row.engine == engine);
                let (bytes, build) =
                    one.map_or((0.0, 0.0), |r| (r.bytes_per_vector, r.build_cpu_s));
                _ = writeln!(out, "{bytes:>10.0}{build:>12.1}");
            }
        }
        out
    }

    fn data(&self) -> &str {
        self.rows.first().map_or("", |row| &row.data)
    }

    fn by(&self, key: fn(&Row) -> &String) -> Vec<(&str, Vec<&Row>)> {
        let mut groups: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            match groups.iter_mut().find(|(name, _)| name == key(row)) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((key(row), vec![row])),
            }
        }
        groups
    }

    /// Recall against queries a second, a curve an engine, a picture a filter, as one SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        let groups = self.by(|row| &row.filter);
        let height = HEIGHT * groups.len() as f64;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for ((filter, rows), at) in groups.iter().zip(0u16..) {
            _ = writeln!(out, "<g transform=\"translate(0 {})\">", HEIGHT * f64::from(at));
            let title = format!("{}, filter {filter}: recall@10 and queries a second", self.data());
            _ = writeln!(out, "<text x=\"{MARGIN}\" y=\"20\" font-size=\"14\">{title}</text>");
            curves(&mut out, rows);
            _ = writeln!(out, "</g>");
        }
        out + "</svg>\n"
    }
}

fn names<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.engine.as_str()) {
            names.push(&row.engine);
        }
    }
    names
}

/// How near the memory's own cost the row comes, where that is known.
fn floor(row: &Row) -> String {
    match row.floor_us {
        us if us > 0.0 => format!(" {:.2} floors", row.mean_us / us),
        _ => String::new(),
    }
}

/// The quickest point of `engine` that reaches `recall`.
fn quickest<'a>(rows: &[&'a Row], engine: &str, recall: f64) -> Option<&'a Row> {
    let reaching = rows.iter().filter(|row| row.engine == engine && row.recall >= recall);
    reaching.min_by(|a, b| a.mean_us.total_cmp(&b.mean_us)).copied()
}

fn curves(out: &mut String, rows: &[&Row]) {
    const RECALL_MIN: f64 = 0.7;
    let logs = rows.iter().map(|row| row.qps.max(1.0).log10());
    let low = logs.clone().fold(f64::INFINITY, f64::min).floor();
    let high = logs.fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
    let x = |recall: f64| {
        MARGIN + (recall.max(RECALL_MIN) - RECALL_MIN) / (1.0 - RECALL_MIN) * (WIDTH - 4.0 * MARGIN)
    };
    let y = |log: f64| HEIGHT - MARGIN - (log - low) / (high - low) * (HEIGHT - 2.0 * MARGIN);
    let mut log = low;
    while log <= high {
        let (at, qps) = (y(log), 10_f64.powf(log));
        let (left, right) = (x(RECALL_MIN), x(1.0));
        _ = writeln!(
            out,
            "<path d=\"M{left} {at}H{right}\" stroke=\"#ddd\"/><text x=\"4\" y=\"{at}\">{qps:.0}</text>"
        );
        log += 1.0;
    }
    for recall in [0.7, 0.8, 0.9, 0.95, 1.0] {
        let (at, bottom) = (x(recall), HEIGHT - MARGIN + 16.0);
        _ = writeln!(out, "<text x=\"{at}\" y=\"{bottom}\" text-anchor=\"middle\">{recall}</text>");
    }
    let mut lines: BTreeMap<usize, (&str, Vec<&Row>)> = BTreeMap::new();
    for (at, name) in names(rows).into_iter().enumerate() {
        let mut of: Vec<&Row> = rows.iter().filter(|row| row.engine == name).copied().collect();
        of.sort_by(|a, b| a.recall.total_cmp(&b.recall));
        lines.insert(at, (name, of));
    }
    for (at, (name, of)) in lines {
        let colour = COLOURS.get(at % COLOURS.len()).copied().unwrap_or("black");
        let visible = of.iter().filter(|row| row.recall >= RECALL_MIN);
        let points: Vec<String> = visible
            .map(|row| format!("{:.1},{:.1}", x(row.recall), y(row.qps.max(1.0).log10())))
            .collect();
        let (left, top) = (WIDTH - 2.8 * MARGIN, 40.0 + 16.0 * at as f64);
        _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        _ = writeln!(out, "<text x=\"{left}\" y=\"{top}\" fill=\"{colour}\">{name}</text>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(engine: &str, ef: usize, recall: f64, mean_us: f64) -> Row {
        Row {
            engine: engine.to_owned(),
            data: "d".to_owned(),
            filter: "none".to_owned(),
            k: 10,
            ef,
            recall,
            qps: 1e6 / mean_us,
            mean_us,
            p50_us: None,
            p99_us: None,
            bytes_per_vector: 1.0,
            build_cpu_s: 1.0,
            compared: 0.0,
            expanded: 0.0,
            floor_us: 0.0,
        }
    }

    #[test]
    fn the_table_takes_the_quickest_point_that_reaches_a_recall() {
        let rows = vec![
            row("bailiwick", 10, 0.91, 10.0),
            row("bailiwick", 20, 0.97, 20.0),
            row("other", 10, 0.89, 5.0),
            row("other", 99, 0.96, 60.0),
        ];
        let report = Report { rows };
        let table = report.table();
        assert!(table.contains("10.0 (0.910, 1.00x)"), "{table}");
        assert!(
            table.contains("60.0 (0.960, 6.00x)") && table.contains("60.0 (0.960, 3.00x)"),
            "{table}"
        );
        assert!(report.json().contains("\"rows\"") && report.svg().contains("polyline"));
    }
}
