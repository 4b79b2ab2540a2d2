//! Figures as an SVG chart: of each table a group of bars, with the range of the rounds as a whisker.

use std::fmt::Write as _;

use crate::figures::{Figures, Row, Spread, Table, number};

const WIDTH: f64 = 860.0;
/// Where bars begin; the names stand before.
const LEFT: f64 = 330.0;
/// Where the longest whisker ends; its value stands behind.
const RIGHT: f64 = 740.0;
const LINE: f64 = 20.0;
const BAR: f64 = 12.0;

/// Readable on a light and on a dark page.
const STYLE: &str = "text{font:13px sans-serif;fill:#1f2328}.head{font-weight:bold}.note{fill:#656d76;font-size:11px}\
    rect{fill:#2f81f7}line{stroke:#1f2328;stroke-width:1}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#8d96a0}line{stroke:#e6edf3}}";

/// The chart of some benches.
#[must_use]
pub fn svg(benches: &[Figures]) -> String {
    let mut body = String::new();
    let mut y = 0.0;
    for figures in benches {
        for table in &figures.tables {
            y += 1.5 * LINE;
            group(&mut body, &figures.bench, table, &mut y);
        }
    }
    y += 1.5 * LINE;
    if let Some(figures) = benches.last() {
        let machine = &figures.machine;
        let place = format!("{}, {} cores, {}", machine.processor, machine.cores, machine.kernel);
        let when = format!("{}, {}, commit {}", machine.rust, machine.time, machine.commit);
        for line in [place, when] {
            text(&mut body, 0.0, y, "class=\"note\"", &line);
            y += LINE;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\">\n\
         <style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// A table's first column.
fn group(body: &mut String, bench: &str, table: &Table, y: &mut f64) {
    let column = table.columns.first().map_or("", String::as_str);
    text(body, 0.0, *y, "class=\"head\"", &format!("{bench}: {}, {column}", table.title));
    let value = |row: &Row| row.values.first().copied().flatten();
    let most = table.rows.iter().filter_map(value).map(|spread| spread.maximum);
    let most = most.fold(f64::MIN_POSITIVE, f64::max);
    for row in &table.rows {
        let Some(spread) = value(row) else { continue };
        *y += LINE;
        text(body, LEFT - 8.0, *y, "text-anchor=\"end\"", row.name.trim());
        bar(body, *y, spread, most);
    }
}

fn bar(body: &mut String, y: f64, spread: Spread, most: f64) {
    let at = |value: f64| LEFT + (RIGHT - LEFT) * (value / most).clamp(0.0, 1.0);
    let top = y - BAR + 1.0;
    let width = at(spread.median) - LEFT;
    let _ =
        writeln!(body, "<rect x=\"{LEFT}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{BAR}\"/>");
    let (from, to, middle) = (at(spread.minimum), at(spread.maximum), top + BAR / 2.0);
    let (upper, lower) = (middle - 3.0, middle + 3.0);
    if from < to {
        for (x1, y1, x2, y2) in
            [(from, middle, to, middle), (from, upper, from, lower), (to, upper, to, lower)]
        {
            let _ = writeln!(
                body,
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
            );
        }
    }
    text(body, to.max(at(spread.median)) + 8.0, y, "", &number(spread.median));
}

fn text(body: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_median_a_whisker_spans_the_rounds_and_names_are_escaped() {
        let mut figures = Figures::new("decide");
        let mut table = Table::new("one decision", &["µs"]);
        table.row("native <webpki>", [Spread::of([50.0, 40.0, 100.0])]);
        table.row("once", [Spread::once(25.0)]);
        table.row("unknown", [None]);
        figures.table(table);
        let svg = svg(&[figures]);
        assert!(svg.contains("native &lt;webpki&gt;"), "{svg}");
        // Of 410 units, 50 of 100 are 205.
        assert!(svg.contains("width=\"205.0\"") && svg.contains("width=\"102.5\""), "{svg}");
        assert!(svg.contains("x1=\"494.0\"") && svg.contains("x2=\"740.0\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches("<line").count(), 3);
    }
}
