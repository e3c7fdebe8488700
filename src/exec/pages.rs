//! Large memory that is written once and then only read.

use memmap2::{Advice, MmapMut, MmapOptions};

/// What huge pages are aligned to, in bytes.
const HUGE: usize = 2 << 20;

/// Zeroed anonymous memory, aligned to 2 MB, in huge pages where the system allows them: they
/// spare address translation, up to 15 % of reading on one thread.
pub struct Pages {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl Pages {
    /// `len` bytes. The system provides them as they are first written.
    ///
    /// # Errors
    /// What the system says when it refuses.
    pub fn new(len: usize) -> std::io::Result<Pages> {
        let map = MmapOptions::new().len(len + HUGE).map_anon()?;
        let start = (map.as_ptr() as usize).next_multiple_of(HUGE) - map.as_ptr() as usize;
        // A system without huge pages runs on as well, and Miri knows none.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = map.advise(Advice::HugePage);
        Ok(Pages { map, start, len })
    }

    /// Keeps the bytes in memory, whatever else wants it.
    ///
    /// # Errors
    /// What the system says when it refuses: a limit, as a rule.
    pub fn lock(&self) -> std::io::Result<()> {
        self.map.lock()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map[self.start..self.start + self.len]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..self.start + self.len]
    }
}
