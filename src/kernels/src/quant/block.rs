//! What a block format is: where its integers and factors lie.
//!
//! Every format is described once, in columns: a column is the four bytes at one place of a
//! block, for one row or for the sixteen rows of a panel at the same time ([`Columns`]). A panel
//! ([`super::panel`]) keeps its rows' blocks interleaved that way, so that kernels read whole
//! vectors of it.

use std::marker::PhantomData;

use half::f16;

/// Four bytes of each of several rows, and integers for each of them.
pub(crate) trait Columns: Copy {
    /// Four bytes a row.
    type B: Copy;
    /// An i32 a row.
    type I: Copy;

    /// `(x >> shift) & mask` in each byte; the mask may not reach past the bits that are left.
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B;
    /// `x << shift` of bytes small enough not to lose a bit.
    fn raise(x: Self::B, shift: i32) -> Self::B;
    /// `a | b`.
    fn or(a: Self::B, b: Self::B) -> Self::B;
    /// `x + y` as signed bytes.
    fn plus(x: Self::B, y: i8) -> Self::B;
    /// Digit `n`, 0 being the first, of bytes that are numbers below 1 in base three: the upper byte
    /// of three times what is left of `x · 3ⁿ` in a byte.
    fn trit(x: Self::B, n: usize) -> Self::B;
    /// `table[index]` for each index, which must be below 16.
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B;
    /// `-x` for each byte of which `which` is 1, `x` where it is 0.
    fn negate(x: Self::B, which: Self::B) -> Self::B;
    /// `table[index]` of each row, little endian; `N` is a power of two, and of the index no bits
    /// above that count.
    fn gather<const N: usize>(table: &'static [u32; N], index: Self::I) -> Self::B;
    /// Bits `shift .. shift + 4` of each row's integer, one a byte, as 0 or 1.
    fn spread(x: Self::I, shift: i32) -> Self::B;
    /// The four bytes as one integer, little endian.
    fn ints(x: Self::B) -> Self::I;
    /// `(x >> shift) & mask`.
    fn bits(x: Self::I, shift: i32, mask: i32) -> Self::I;
    /// Byte `i` of each integer, with its sign.
    fn signed_byte(x: Self::I, i: i32) -> Self::I;
    /// `a + (b << shift)`.
    fn plus_raised(a: Self::I, b: Self::I, shift: i32) -> Self::I;
    /// `a ^ b`.
    fn xor(a: Self::I, b: Self::I) -> Self::I;
    /// `x + y`.
    fn plus_int(x: Self::I, y: i32) -> Self::I;
}

/// Something with the columns of a block.
///
/// Not a closure: that would be compiled by itself, without the features of the SIMD level.
pub(crate) trait Block<C: Columns> {
    /// Column `i`.
    fn column(&self, i: usize) -> C::B;
}

/// Where a block keeps a half-precision factor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    /// There is none.
    None,
    /// The two bytes that stand apart ([`Format::WORD`]).
    Word,
    /// Not half precision: `2^(x - 128)`, where `x` is the one byte that stands apart.
    Exponent,
    /// The lower half of a column.
    Low(usize),
    /// The upper half of a column.
    High(usize),
    /// The uppermost four bits of the halves of a column and of the next, the first ones lowest.
    Nibbles(usize),
    /// It is 1; what it counts in remains.
    One,
}

/// The sub-blocks that have an integer scale of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scales {
    /// None: the scale is 1.
    None,
    /// Each 16 weights.
    Of16,
    /// Each 32 weights.
    Of32,
}

/// What is added to `d · scale · q`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offset {
    /// Nothing.
    None,
    /// Integer minimums of the sub-blocks times `dmin`, subtracted (Q2_K, Q4_K, Q5_K).
    Mins,
    /// One float for the block, added (Q4_1, Q5_1).
    Added,
    /// A quant is eight times a whole number, and one more or one less, the same for all four of a
    /// column. Those ones are summed by themselves, in as many sums (IQ1_M).
    Deltas,
}

/// A block layout.
pub(crate) trait Format {
    /// The format, one of several whose blocks differ in nothing once they are unpacked, that
    /// stands for them all.
    type Like: Format;
    /// Whether there are others like it.
    const SHARED: bool = false;
    /// Weights in a block: 32, 64, 128 or 256.
    const LEN: usize;
    /// Bytes in a block.
    const BYTES: usize;
    /// The byte at which a factor stands apart, of two bytes or one, first or last; all others make
    /// up columns.
    const WORD: Option<usize> = None;
    /// The factor of the quants.
    const D: Factor;
    /// What factors count in, a power of two.
    const UNIT: f32 = 1.0;
    /// The factor of the minimums ([`Offset::Mins`]), or the offset ([`Offset::Added`]).
    const DMIN: Factor = Factor::None;
    /// Whether quants are signed bytes; else they are below 128.
    const SIGNED: bool;
    /// Which weights share an integer scale.
    const SCALES: Scales;
    /// What is added.
    const OFFSET: Offset = Offset::None;
    /// Float sums that one row keeps of the products, 1 or 8 (see `matmul`).
    const SUMS: usize;
    /// What the (unsigned) quants are too large by. It is taken back by sub-blocks of 16, which
    /// decides in which of eight sums a part lands.
    const BIAS: i32 = 0;

    /// Quants of weights `32 · g + 4 · j ..` (four).
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B;

    /// The scale of sub-block `s`, counted as [`Format::SCALES`] says.
    fn scale<C: Columns>(_block: &impl Block<C>, _s: usize) -> C::I {
        unreachable!("a format without scales")
    }

    /// The minimum of sub-block `s`, of 16 bits.
    fn min<C: Columns>(_block: &impl Block<C>, _s: usize) -> C::I {
        unreachable!("a format without minimums")
    }
}

/// Columns of a block's bytes.
pub(crate) const fn columns<F: Format>() -> usize {
    F::BYTES / 4
}

/// The byte of a block at which column `i` starts.
pub(crate) const fn column_at<F: Format>(i: usize) -> usize {
    match F::WORD {
        Some(0) => word_bytes::<F>() + 4 * i,
        _ => 4 * i,
    }
}

/// Bytes of a block that stand apart.
pub(crate) const fn word_bytes<F: Format>() -> usize {
    F::BYTES % 4
}

/// The bits of a factor that is [`Factor::Nibbles`].
#[inline(always)]
pub(crate) fn nibbles<C: Columns>(block: &impl Block<C>, first: usize) -> C::I {
    let (low, high) = (
        C::ints(block.column(first)),
        C::ints(block.column(first + 1)),
    );
    let two = C::plus_raised(C::bits(low, 12, 15), C::bits(low, 28, 15), 4);
    let three = C::plus_raised(two, C::bits(high, 12, 15), 8);
    C::plus_raised(three, C::bits(high, 28, 15), 12)
}

/// The columns of one row.
#[derive(Clone, Copy)]
pub(crate) struct OneRow;

impl Columns for OneRow {
    type B = [u8; 4];
    type I = i32;

    fn field(x: [u8; 4], shift: i32, mask: u8) -> [u8; 4] {
        x.map(|x| x >> shift & mask)
    }
    fn raise(x: [u8; 4], shift: i32) -> [u8; 4] {
        x.map(|x| x << shift)
    }
    fn or(a: [u8; 4], b: [u8; 4]) -> [u8; 4] {
        std::array::from_fn(|i| a[i] | b[i])
    }
    fn plus(x: [u8; 4], y: i8) -> [u8; 4] {
        x.map(|x| x.wrapping_add_signed(y))
    }
    fn trit(x: [u8; 4], n: usize) -> [u8; 4] {
        x.map(|x| trit(x, n))
    }
    fn lookup(table: &[i8; 16], index: [u8; 4]) -> [u8; 4] {
        index.map(|i| table[usize::from(i & 15)] as u8)
    }
    fn negate(x: [u8; 4], which: [u8; 4]) -> [u8; 4] {
        std::array::from_fn(|i| {
            if which[i] == 1 {
                x[i].wrapping_neg()
            } else {
                x[i]
            }
        })
    }
    fn gather<const N: usize>(table: &'static [u32; N], index: i32) -> [u8; 4] {
        table[index as usize % N].to_le_bytes()
    }
    fn spread(x: i32, shift: i32) -> [u8; 4] {
        std::array::from_fn(|i| (x >> (shift + i as i32) & 1) as u8)
    }
    fn ints(x: [u8; 4]) -> i32 {
        i32::from_le_bytes(x)
    }
    fn bits(x: i32, shift: i32, mask: i32) -> i32 {
        (x as u32 >> shift) as i32 & mask
    }
    fn signed_byte(x: i32, i: i32) -> i32 {
        i32::from((x >> (8 * i)) as i8)
    }
    fn plus_raised(a: i32, b: i32, shift: i32) -> i32 {
        a + (b << shift)
    }
    fn xor(a: i32, b: i32) -> i32 {
        a ^ b
    }
    fn plus_int(x: i32, y: i32) -> i32 {
        x + y
    }
}

/// One row's block.
pub(crate) struct RowBlock<'a, F> {
    bytes: &'a [u8],
    format: PhantomData<F>,
}

impl<F: Format> Block<OneRow> for RowBlock<'_, F> {
    fn column(&self, i: usize) -> [u8; 4] {
        self.part(column_at::<F>(i))
    }
}

impl<'a, F: Format> RowBlock<'a, F> {
    pub(crate) fn new(bytes: &'a [u8]) -> RowBlock<'a, F> {
        let format = PhantomData;
        RowBlock { bytes, format }
    }

    /// `N` bytes from `at` on.
    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = &self.bytes[at..at + N];
        bytes.try_into().expect("the range has N bytes")
    }

    /// The factor of the quants.
    pub(crate) fn d(&self) -> f32 {
        self.factor(F::D) * F::UNIT
    }

    /// The factor of the minimums, or the offset.
    pub(crate) fn dmin(&self) -> f32 {
        self.factor(F::DMIN) * F::UNIT
    }

    fn factor(&self, factor: Factor) -> f32 {
        let apart = F::WORD.unwrap_or_default();
        let at = match factor {
            Factor::None => return 0.0,
            Factor::Exponent => return exponent(self.bytes[apart]),
            Factor::Word => apart,
            Factor::Low(i) => column_at::<F>(i),
            Factor::High(i) => column_at::<F>(i) + 2,
            Factor::Nibbles(i) => {
                return f16::from_bits(nibbles::<OneRow>(self, i) as u16).to_f32();
            }
            Factor::One => return 1.0,
        };
        f16::from_le_bytes(self.part(at)).to_f32()
    }

    /// Weight `i` before scaling, without bias.
    pub(crate) fn quant(&self, i: usize) -> i32 {
        let four = F::quants::<OneRow>(self, i / 32, i % 32 / 4);
        match F::SIGNED {
            true => i32::from(four[i % 4] as i8),
            false => i32::from(four[i % 4]) - F::BIAS,
        }
    }

    /// The integer scale of weight `i`.
    pub(crate) fn scale(&self, i: usize) -> i32 {
        match F::SCALES {
            Scales::None => 1,
            Scales::Of16 => F::scale::<OneRow>(self, i / 16),
            Scales::Of32 => F::scale::<OneRow>(self, i / 32),
        }
    }

    /// The minimum of weight `i`, an integer or, for [`Offset::Added`], minus 1.
    pub(crate) fn min(&self, i: usize) -> i32 {
        match (F::OFFSET, F::SCALES) {
            (Offset::None | Offset::Deltas, _) => 0,
            (Offset::Added, _) => -1,
            (Offset::Mins, Scales::Of16) => F::min::<OneRow>(self, i / 16),
            (Offset::Mins, _) => F::min::<OneRow>(self, i / 32),
        }
    }
}

/// One byte's [`Columns::trit`].
pub(crate) fn trit(x: u8, n: usize) -> u8 {
    ((u16::from(x.wrapping_mul(POWERS_OF_THREE[n])) * 3) >> 8) as u8
}

/// What the digits of a byte in base three are moved up by.
pub(crate) const POWERS_OF_THREE: [u8; 5] = [1, 3, 9, 27, 81];

/// `2^(x - 128)` ([`Factor::Exponent`]), for which the least two have to be subnormal.
pub(crate) fn exponent(x: u8) -> f32 {
    f32::from_bits(match x {
        0..2 => 0x0020_0000 << x,
        _ => (u32::from(x) - 1) << 23,
    })
}

/// A row in f32. The product `d · scale` is rounded before it meets the quant, as in ggml.
pub(super) fn dequantize<F: Format>(row: &[u8], out: &mut [f32]) {
    for (bytes, out) in row.chunks_exact(F::BYTES).zip(out.chunks_exact_mut(F::LEN)) {
        let block = RowBlock::<F>::new(bytes);
        let (d, dmin) = (block.d(), block.dmin());
        for (sub, out) in out.chunks_exact_mut(16).enumerate() {
            let scale = d * block.scale(16 * sub) as f32;
            let min = dmin * block.min(16 * sub) as f32;
            for (i, out) in out.iter_mut().enumerate() {
                *out = scale * block.quant(16 * sub + i) as f32 - min;
            }
        }
    }
}
