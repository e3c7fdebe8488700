//! How long exchanges between ranks take.

use std::time::Instant;

use super::command::Command;
use super::leader::Ranks;
use super::transport::{ExchangeError, Transport};

/// An exchange in which every rank gives so many bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ExchangeTime {
    /// Bytes that each rank gives.
    pub bytes: usize,
    /// Seconds: the median of many.
    pub seconds: f64,
}

/// Next to nothing; what a rank gives of a token's rows; much more than that.
const BYTES: [usize; 4] = [4, 4 << 10, 20 << 10, 1 << 20];
const ROUNDS: usize = 200;

impl Ranks {
    /// Measures exchanges of few and of many bytes; none where there is one rank.
    ///
    /// # Errors
    /// A rank that has ended, or does not answer.
    pub fn measure(&self) -> Result<Vec<ExchangeTime>, ExchangeError> {
        let Some(leader) = self.leader() else {
            return Ok(Vec::new());
        };
        let talk = leader.talk();
        let measured = BYTES.map(|bytes| {
            let rounds = ROUNDS;
            talk.tell(&Command::Measure { bytes, rounds })?;
            let mut seconds = exchange(&**leader.transport(), bytes, rounds)?;
            seconds.sort_by(f64::total_cmp);
            let seconds = seconds[rounds / 2];
            Ok(ExchangeTime { bytes, seconds })
        });
        measured.into_iter().collect()
    }
}

/// Seconds of so many exchanges one after another.
pub(super) fn exchange(
    transport: &dyn Transport,
    bytes: usize,
    rounds: usize,
) -> Result<Vec<f64>, ExchangeError> {
    let own = vec![0; bytes];
    let mut others = vec![own.clone(); transport.ranks()];
    let times = (0..rounds).map(|_| {
        let clock = Instant::now();
        transport.exchange(&own, &mut others)?;
        Ok(clock.elapsed().as_secs_f64())
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_of_all_sizes_are_measured() {
        let ranks = Ranks::in_process(2, false).expect("ranks");
        let times = ranks.measure().expect("times");
        assert_eq!(times.len(), BYTES.len());
        assert!(times.iter().all(|time| time.seconds > 0.0));
        assert!(Ranks::default().measure().expect("none").is_empty());
    }
}
