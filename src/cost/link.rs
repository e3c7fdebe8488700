//! What goes between ranks, in seconds.

use std::str::FromStr;

use serde::Serialize;

use super::Cost;

/// The way between ranks. By default it costs nothing.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Link {
    /// Seconds of an exchange of next to nothing.
    pub latency: f64,
    /// Bytes that a rank takes in a second.
    pub rate: f64,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            latency: 0.0,
            rate: f64::INFINITY,
        }
    }
}

impl Link {
    /// Seconds of what is exchanged.
    pub fn seconds(&self, cost: &Cost) -> f64 {
        cost.exchanges * self.latency + cost.exchanged_bytes / self.rate
    }
}

/// A text that is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the time of an exchange and a rate, such as 50us,10Gbit or 1ms,1Gbit")]
pub struct NoLink;

/// `50us,10Gbit`: ns, us, ms or s, and kbit, Mbit or Gbit a second.
impl FromStr for Link {
    type Err = NoLink;

    fn from_str(text: &str) -> Result<Link, NoLink> {
        let (time, rate) = text.split_once(',').ok_or(NoLink)?;
        let times = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
        ];
        let rates = [("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9)];
        let (latency, bits) = (scaled(time, &times)?, scaled(rate, &rates)?);
        let rate = bits / 8.0;
        (rate > 0.0).then_some(Link { latency, rate }).ok_or(NoLink)
    }
}

/// A number and its unit.
fn scaled(text: &str, units: &[(&str, f64)]) -> Result<f64, NoLink> {
    let text = text.trim();
    let found = units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number * factor)
    });
    found.ok_or(NoLink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_time_and_a_rate() {
        let link: Link = "50us, 10Gbit".parse().expect("a link");
        assert_eq!(
            link,
            Link {
                latency: 50.0 * 1e-6,
                rate: 1.25e9
            }
        );
        for text in [
            "50us",
            "50,10Gbit",
            "-1us,1Gbit",
            "1us,0Gbit",
            "1us,infGbit",
            "",
            ",",
        ] {
            assert_eq!(text.parse::<Link>(), Err(NoLink), "{text}");
        }
    }
}
