//! Numbers with three digits and a prefix, for people.

/// `1.23 G`, `12.3 k`, `0`: a prefix stands before the unit, if there is one.
pub(super) fn si(value: f64, unit: &str) -> String {
    const PREFIXES: [&str; 8] = ["n", "µ", "m", "", "k", "M", "G", "T"];
    const ONES: i32 = 3;
    if value == 0.0 || !value.is_finite() {
        return format!("{value} {unit}").trim_end().to_string();
    }
    // The digits first, lest 999.9 be shown as 1000.
    let digits = 10f64.powi(2 - value.abs().log10().floor() as i32);
    let value = (value * digits).round() / digits;
    let thousands = (value.abs().log10() / 3.0 + 1e-9).floor() as i32;
    let thousands = thousands.clamp(-ONES, PREFIXES.len() as i32 - 1 - ONES);
    let prefix = PREFIXES[(thousands + ONES) as usize];
    let scaled = value / 1000f64.powi(thousands);
    let decimals = match scaled.abs() {
        x if thousands == 0 && x.fract() == 0.0 => 0,
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$} {prefix}{unit}")
        .trim_end()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::si;

    #[test]
    fn numbers_have_three_digits_and_the_prefix_that_fits() {
        for (value, text) in [
            (0.0, "0 B"),
            (1.0, "1 B"),
            (1.5, "1.50 B"),
            (999.9, "1.00 kB"),
            (999.4, "999 B"),
            (15.83e9, "15.8 GB"),
            (0.0421, "42.1 mB"),
            (3.7e-7, "370 nB"),
            (2e16, "20000 TB"),
        ] {
            assert_eq!(si(value, "B"), text);
        }
        assert_eq!(si(12345.0, ""), "12.3 k");
    }
}
