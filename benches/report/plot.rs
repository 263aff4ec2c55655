//! The plot of `docs/performance.md`: time by load.

use plotters::prelude::*;

use crate::world::result::Curve;

const SIZE: (u32, u32) = (860, 460);
/// The times, in milliseconds, that the axis says.
const MARKS: [f64; 12] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
const QUORATE: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const REFERENCE: RGBColor = RGBColor(0xd9, 0x6b, 0x0b);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);

/// The SVG, on a white ground so that it can be read on a dark page too. The median of each server is drawn through, its
/// 99th percentile in dashes.
pub(crate) fn draw(curves: &[Curve]) -> String {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let rate = points().map(|point| point.0).fold(0.0, f64::max);
    let slowest = points().map(|point| point.1).fold(0.0, f64::max);
    let fastest = points().map(|point| point.1).fold(slowest, f64::min);
    let times = fastest * 0.7..slowest * 2.0;
    let marks = MARKS.into_iter().filter(|mark| times.contains(mark)).collect();
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "Time to an answer by load: HTTPS, validate, one processor",
            ("sans-serif", 18).into_font().color(&INK),
        )
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..rate * 1.05, times.log_scale().with_key_points(marks))
        .unwrap();
    chart
        .configure_mesh()
        .x_desc("requests per second")
        .y_desc("milliseconds, logarithmic")
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 15).into_font().color(&INK))
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|time| if *time < 1.0 { format!("{time:.1}") } else { format!("{time:.0}") })
        .draw()
        .unwrap();
    for curve in curves {
        let colour = if curve.name.starts_with("Quorate") { QUORATE } else { REFERENCE };
        let style = colour.stroke_width(2);
        let points = || curve.points.iter().copied();
        if curve.name.ends_with("p99") {
            let dash = move |from| PathElement::new(vec![(from, 0), (from + 8, 0)], style);
            let drawn = chart.draw_series(DashedLineSeries::new(points(), 7, 5, style)).unwrap();
            drawn.label(&curve.name).legend(move |at| EmptyElement::at(at) + dash(0) + dash(12));
        } else {
            let drawn = chart.draw_series(LineSeries::new(points(), style)).unwrap();
            drawn.label(&curve.name).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
        }
        chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled()))).unwrap();
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(GRID)
        .label_font(("sans-serif", 14).into_font().color(&INK))
        .draw()
        .unwrap();
    root.present().unwrap();
    drop(chart);
    drop(root);
    svg
}
