//! Ranks of one process: a thread each, with channels between them.

use std::hint;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::transport::{ExchangeError, Transport};

/// How long a rank looks for a message before it sleeps until one comes.
const SPIN: Duration = Duration::from_micros(200);

struct Local {
    rank: usize,
    /// To each rank, and from each.
    to: Vec<Mutex<Option<Sender<Vec<u8>>>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
    /// Which rank has given up, and why.
    abandoned: Arc<Mutex<Option<ExchangeError>>>,
}

/// One transport for each of so many ranks.
pub fn local(ranks: usize) -> Vec<Arc<dyn Transport>> {
    let abandoned = Arc::default();
    let mut to: Vec<Vec<_>> = (0..ranks).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<_>> = (0..ranks).map(|_| Vec::new()).collect();
    for to in &mut to {
        for from in &mut from {
            let (sender, receiver) = channel();
            to.push(Mutex::new(Some(sender)));
            from.push(Mutex::new(receiver));
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    ends.map(|(rank, (to, from))| {
        let abandoned = Arc::clone(&abandoned);
        Arc::new(Local {
            rank,
            to,
            from,
            abandoned,
        }) as Arc<dyn Transport>
    })
    .collect()
}

impl Local {
    fn ended(&self, rank: usize) -> ExchangeError {
        let abandoned = self
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        abandoned.clone().unwrap_or_else(|| ExchangeError {
            rank,
            message: "it has ended".into(),
        })
    }

    fn take(&self, from: usize) -> Result<Vec<u8>, ExchangeError> {
        let receiver = self.from[from]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        while start.elapsed() < SPIN {
            match receiver.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(self.ended(from)),
                Err(TryRecvError::Empty) => hint::spin_loop(),
            }
        }
        receiver.recv().map_err(|_| self.ended(from))
    }
}

impl Transport for Local {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn exchange(&self, own: &[u8], others: &mut [Vec<u8>]) -> Result<(), ExchangeError> {
        let peers = || (0..self.ranks()).filter(|rank| *rank != self.rank);
        if !own.is_empty() {
            peers().try_for_each(|to| self.send(to, own))?;
        }
        for from in peers() {
            let expected = others[from].len();
            if expected == 0 {
                continue;
            }
            let message = self.take(from)?;
            let given = message.len();
            if given != expected {
                return Err(ExchangeError {
                    rank: from,
                    message: format!("it gave {given} bytes, expected {expected}"),
                });
            }
            others[from] = message;
        }
        Ok(())
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<(), ExchangeError> {
        let sender = self.to[to].lock().unwrap_or_else(PoisonError::into_inner);
        let sent = sender.as_ref().map(|sender| sender.send(message.to_vec()));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.ended(to)),
        }
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>, ExchangeError> {
        self.take(from)
    }

    fn abandon(&self, why: &str) {
        let error = ExchangeError {
            rank: self.rank,
            message: why.into(),
        };
        let mut abandoned = self
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        abandoned.get_or_insert(error);
        drop(abandoned);
        for to in &self.to {
            to.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// What each rank gets when it gives its own number, as often as that says.
    fn given(ranks: usize) -> Vec<Vec<Vec<u8>>> {
        let threads = local(ranks).into_iter().map(|transport| {
            thread::spawn(move || {
                let of = |rank: usize| vec![rank as u8; rank];
                let mut others: Vec<Vec<u8>> = (0..transport.ranks()).map(|r| vec![0; r]).collect();
                transport
                    .exchange(&of(transport.rank()), &mut others)
                    .expect("an exchange");
                others
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("a rank"))
            .collect()
    }

    #[test]
    fn every_rank_gets_what_the_others_give() {
        for (rank, others) in given(3).into_iter().enumerate() {
            for (from, given) in others.iter().enumerate().filter(|(from, _)| *from != rank) {
                assert_eq!(*given, vec![from as u8; from]);
            }
        }
    }

    #[test]
    fn a_rank_that_gives_up_says_why_to_those_that_wait() {
        let mut ranks = local(3);
        let (third, second, first) = (ranks.pop(), ranks.pop(), ranks.pop());
        let waiting = thread::spawn(move || first.expect("rank 0").receive(2));
        third.expect("rank 2").abandon("no memory");
        let error = waiting.join().expect("a thread").expect_err("no message");
        assert_eq!(error.to_string(), "rank 2: no memory");
        drop(second);
    }
}
