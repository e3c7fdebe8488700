//! The memory that the workers of a run share, and the contract by which they do.

use std::marker::PhantomData;
use std::sync::Arc;

use super::pages::Pages;

/// Everything in an arena starts at a multiple of this many bytes: a cache line.
const LINE: usize = 64;

/// What an [`Arena`] of so many bytes takes.
pub(crate) fn whole_lines(bytes: u128) -> u128 {
    bytes.next_multiple_of(LINE as u128)
}

/// Zeroed bytes, aligned to a line. The system provides pages as they are first written, and has them
/// back when the arena is dropped, and those that it shares pages with.
pub struct Arena {
    pages: Arc<Pages>,
    /// From which of their bytes on they are this arena's alone.
    start: usize,
    len: usize,
}

/// A plain number that may be read from any bytes.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for i32 {}
impl Plain for f32 {}

impl Arena {
    /// `bytes` zeroed bytes, rounded up to whole lines; `None` if the system has not as many.
    pub fn try_new(bytes: usize) -> Option<Arena> {
        Arena::side_by_side(&[bytes])?.pop()
    }

    /// Arenas of so many bytes each, one behind the other: together they may fill huge pages.
    pub fn side_by_side(bytes: &[usize]) -> Option<Vec<Arena>> {
        let whole = |bytes: &usize| bytes.checked_next_multiple_of(LINE);
        let lens: Vec<usize> = bytes.iter().map(whole).collect::<Option<_>>()?;
        let all = lens
            .iter()
            .try_fold(0usize, |sum, len| sum.checked_add(*len))?;
        let pages = Arc::new(Pages::new(all).ok()?);
        let mut start = 0;
        let arenas = lens.into_iter().map(|len| {
            let pages = pages.clone();
            start += len;
            Arena {
                pages,
                start: start - len,
                len,
            }
        });
        Some(arenas.collect())
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Sets every byte to zero.
    pub fn clear(&mut self) {
        self.slice_mut::<u8>(0, self.len).fill(0);
    }

    /// `count` elements from byte `offset` on.
    ///
    /// # Panics
    /// If they lie outside or are misaligned.
    pub fn slice<T: Plain>(&self, offset: usize, count: usize) -> &[T] {
        let start = check::<T>(self.len(), offset, count);
        // SAFETY: in bounds and aligned as checked; the bytes are initialised, `Plain` types take
        // any bytes, and `&self` keeps writers out.
        unsafe { std::slice::from_raw_parts(self.first().add(start).cast(), count) }
    }

    /// [`Arena::slice`] for writing.
    ///
    /// # Panics
    /// As [`Arena::slice`].
    pub fn slice_mut<T: Plain>(&mut self, offset: usize, count: usize) -> &mut [T] {
        let start = check::<T>(self.len(), offset, count);
        // SAFETY: as for `slice`; `&mut self` keeps everybody else out.
        unsafe { std::slice::from_raw_parts_mut(self.first().add(start).cast(), count) }
    }

    /// Has the system provide all pages now, for bytes that are read before they are written.
    pub fn populate(&self) {
        self.pages.populate(self.start..self.start + self.len);
    }

    fn first(&self) -> *mut u8 {
        self.pages.first().wrapping_add(self.start)
    }

    /// A view for the workers of one run.
    pub fn share(&mut self) -> Shared<'_> {
        Shared {
            first: self.first(),
            len: self.len,
            owner: PhantomData,
        }
    }
}

fn check<T>(len: usize, offset: usize, count: usize) -> usize {
    let end = count
        .checked_mul(size_of::<T>())
        .and_then(|n| n.checked_add(offset));
    assert!(
        end.is_some_and(|end| end <= len) && offset.is_multiple_of(align_of::<T>()),
        "{count} elements at byte {offset} of {len}"
    );
    offset
}

/// An [`Arena`] as all workers of a run see it.
///
/// The plan says which op owns which bytes in which step: in one step nobody reads what another
/// writes, and the chunks of an op write disjoint parts. `sharpi_passes::check_plan` proves the
/// first for every plan; each kernel keeps the second.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    first: *mut u8,
    len: usize,
    owner: PhantomData<&'a mut [u8]>,
}

// SAFETY: a view is an address; what may be done with it is in the contracts of its methods.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// `count` elements from byte `offset` on.
    ///
    /// # Safety
    /// Until the next barrier nobody writes these bytes.
    ///
    /// # Panics
    /// If they lie outside or are misaligned.
    pub unsafe fn slice<T: Plain>(&self, offset: usize, count: usize) -> &'a [T] {
        let start = check::<T>(self.len, offset, count);
        // SAFETY: in bounds, aligned and initialised; the caller keeps writers out.
        unsafe { std::slice::from_raw_parts(self.first.add(start).cast(), count) }
    }

    /// `count` elements from byte `offset` on, to write.
    ///
    /// # Safety
    /// Until the next barrier nobody else reads or writes these bytes.
    ///
    /// # Panics
    /// If they lie outside or are misaligned.
    pub unsafe fn slice_mut<T: Plain>(&self, offset: usize, count: usize) -> &'a mut [T] {
        let start = check::<T>(self.len, offset, count);
        // SAFETY: in bounds, aligned and initialised; the caller keeps everybody else out.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(start).cast(), count) }
    }

    /// A view of `cols` columns, from byte `offset` on, of a matrix of `rows` rows that start
    /// `stride` f32 values apart.
    ///
    /// # Safety
    /// Until the next barrier nobody else reads or writes these columns.
    ///
    /// # Panics
    /// If they lie outside or are misaligned.
    pub unsafe fn columns(
        &self,
        offset: usize,
        rows: usize,
        cols: usize,
        stride: usize,
    ) -> sharpi_kernels::columns::ColumnsMut<'a> {
        // A view without rows may stand anywhere.
        let (offset, span) = match rows {
            0 => (0, 0),
            _ => (offset, (rows - 1) * stride + cols),
        };
        let start = check::<f32>(self.len, offset, span);
        // SAFETY: every row lies in bounds; the caller keeps everybody else out.
        unsafe {
            sharpi_kernels::columns::ColumnsMut::from_raw(
                self.first.add(start).cast(),
                rows,
                cols,
                stride,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_starts_zeroed_and_aligned() {
        let arena = Arena::try_new(100).unwrap();
        assert_eq!(arena.len(), 128);
        assert_eq!(arena.slice::<f32>(64, 16), [0.0; 16]);
        assert!((arena.slice::<u8>(0, 1).as_ptr() as usize).is_multiple_of(64));
    }

    #[test]
    #[should_panic(expected = "elements at byte")]
    fn a_slice_beyond_the_end_is_refused() {
        Arena::try_new(64).unwrap().slice::<f32>(64, 1);
    }
}
