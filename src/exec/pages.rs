//! Large memory of the process itself.

use memmap2::{Advice, MmapOptions, MmapRaw};

/// What huge pages are aligned to, in bytes.
const HUGE: usize = 2 << 20;

/// Zeroed anonymous memory, aligned to a page. From 2 MB on it is aligned to those and in huge pages
/// where the system allows them: they spare address translation, up to 15 % of reading weights on
/// one thread, and on a virtual machine, which translates twice, half the time and more of scans
/// and of attention. So what is filled bit by bit takes 2 MB with its first.
pub struct Pages {
    map: MmapRaw,
    start: usize,
    len: usize,
}

impl Pages {
    /// `len` bytes. The system provides them as they are first written.
    ///
    /// # Errors
    /// What the system says when it refuses.
    pub fn new(len: usize) -> std::io::Result<Pages> {
        if len < HUGE {
            // Nothing cannot be mapped.
            let map = MmapOptions::new().len(len.max(1)).map_anon()?.into();
            return Ok(Pages { map, start: 0, len });
        }
        let whole = len.checked_next_multiple_of(HUGE);
        let whole = whole.and_then(|whole| whole.checked_add(HUGE));
        let whole = whole.ok_or(std::io::ErrorKind::OutOfMemory)?;
        let map = MmapRaw::from(MmapOptions::new().len(whole).map_anon()?);
        let start = (map.as_ptr() as usize).next_multiple_of(HUGE) - map.as_ptr() as usize;
        // A system without huge pages runs on as well, and Miri knows none.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = map.advise(Advice::HugePage);
        Ok(Pages { map, start, len })
    }

    /// The first `len` bytes of a file, to read.
    ///
    /// # Errors
    /// What the system says when it refuses.
    pub fn of_file(file: &std::fs::File, len: usize) -> std::io::Result<Pages> {
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        // Hints: all of it will be read, and a system that can has huge pages of files too.
        #[cfg(all(target_os = "linux", not(miri)))]
        for advice in [Advice::HugePage, Advice::WillNeed] {
            let _ = map.advise(advice);
        }
        Ok(Pages { map, start: 0, len })
    }

    /// Keeps the bytes in memory, whatever else wants it.
    ///
    /// # Errors
    /// What the system says when it refuses: a limit, as a rule.
    pub fn lock(&self) -> std::io::Result<()> {
        self.map.lock()
    }

    /// Has the system provide some of the bytes now, if they are to be read before they are written:
    /// each page would be provided twice.
    pub fn populate(&self, bytes: std::ops::Range<usize>) {
        // A hint: a system that does not know it runs on as well, and so does Miri.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = self
            .map
            .advise_range(Advice::PopulateWrite, self.start + bytes.start, bytes.len());
    }

    /// Where they begin. Who writes by this address sees to it that nobody else reads or writes there.
    pub fn first(&self) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add(self.start)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped, and initialised with zeros; who has written by `first` keeps out of here.
        unsafe { std::slice::from_raw_parts(self.first(), self.len) }
    }

    /// The bytes, to write; those of a file cannot be.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` keeps everybody else out.
        unsafe { std::slice::from_raw_parts_mut(self.first(), self.len) }
    }
}
