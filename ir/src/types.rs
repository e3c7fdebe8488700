//! Element types, symbolic shapes and tensor types.

use std::fmt;

use smallvec::SmallVec;

/// Defines the element types once: name, name in the textual form, elements and bytes of a block,
/// and the type to which activations are rounded before they meet a weight of this type.
macro_rules! dtypes {
    ($($name:ident $text:literal $len:literal $bytes:literal $activation:expr;)*) => {
        /// Element type of a tensor. Block-quantised types name ggml's block layouts.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[allow(non_camel_case_types, missing_docs)]
        pub enum DType {
            $($name,)*
        }

        impl DType {
            /// Every type, in the order of the enum.
            pub const ALL: [DType; [$(DType::$name),*].len()] = [$(DType::$name),*];

            fn layout(self) -> BlockLayout {
                use DType::*;
                match self {
                    $($name => BlockLayout {
                        name: $text,
                        block_len: $len,
                        block_bytes: $bytes,
                        activation: $activation,
                    },)*
                }
            }
        }
    };
}

struct BlockLayout {
    name: &'static str,
    block_len: usize,
    block_bytes: usize,
    activation: Option<DType>,
}

dtypes! {
    F32 "f32" 1 4 Some(F32);
    F16 "f16" 1 2 Some(F16);
    BF16 "bf16" 1 2 Some(BF16);
    I32 "i32" 1 4 None;
    Q8_0 "q8_0" 32 34 Some(Q8_0);
    Q8_1 "q8_1" 32 36 None;
    Q4_0 "q4_0" 32 18 Some(Q8_0);
    Q4_1 "q4_1" 32 20 Some(Q8_1);
    Q5_0 "q5_0" 32 22 Some(Q8_0);
    Q5_1 "q5_1" 32 24 Some(Q8_1);
    Q2_K "q2_k" 256 84 Some(Q8_K);
    Q3_K "q3_k" 256 110 Some(Q8_K);
    Q4_K "q4_k" 256 144 Some(Q8_K);
    Q5_K "q5_k" 256 176 Some(Q8_K);
    Q6_K "q6_k" 256 210 Some(Q8_K);
    Q8_K "q8_k" 256 292 None;
    IQ4_NL "iq4_nl" 32 18 Some(Q8_0);
    IQ4_XS "iq4_xs" 256 136 Some(Q8_K);
    MXFP4 "mxfp4" 32 17 Some(Q8_0);
    IQ2_XXS "iq2_xxs" 256 66 Some(Q8_K);
    IQ2_XS "iq2_xs" 256 74 Some(Q8_K);
    IQ2_S "iq2_s" 256 82 Some(Q8_K);
    IQ3_XXS "iq3_xxs" 256 98 Some(Q8_K);
    IQ3_S "iq3_s" 256 110 Some(Q8_K);
    IQ1_S "iq1_s" 256 50 Some(Q8_K);
    IQ1_M "iq1_m" 256 56 Some(Q8_K);
    TQ1_0 "tq1_0" 256 54 Some(Q8_K);
    TQ2_0 "tq2_0" 256 66 Some(Q8_K);
    NVFP4 "nvfp4" 64 36 Some(Q8_0);
    Q1_0 "q1_0" 128 18 Some(Q8_0);
    Q2_0 "q2_0" 64 18 Some(Q8_0);
}

impl DType {
    /// The name in the textual form, `q4_k`.
    pub fn name(self) -> &'static str {
        self.layout().name
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Elements in one block; 1 for plain types.
    pub fn block_len(self) -> usize {
        self.layout().block_len
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.layout().block_bytes
    }

    /// The type that an f32 activation row is rounded to before it is multiplied with a weight of
    /// this type, as ggml pairs them; `None` where the type cannot be a matmul weight.
    pub fn activation(self) -> Option<DType> {
        self.layout().activation
    }

    /// Bytes of a row of `len` elements; `None` where `len` is no multiple of the block or the
    /// product overflows.
    pub fn row_bytes(self, len: usize) -> Option<usize> {
        if !len.is_multiple_of(self.block_len()) {
            return None;
        }
        (len / self.block_len()).checked_mul(self.block_bytes())
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A size known only when a graph runs, written as one capital letter: `T` tokens of the run,
/// `R` rows whose logits are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Symbol(char);

impl Symbol {
    /// Tokens in the run.
    pub const TOKENS: Symbol = Symbol('T');
    /// Rows of logits asked for.
    pub const ROWS: Symbol = Symbol('R');

    /// The symbol of that letter; `None` unless it is one of `A`–`Z`.
    pub fn new(letter: char) -> Option<Symbol> {
        letter.is_ascii_uppercase().then_some(Symbol(letter))
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One dimension of a shape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dim {
    /// A size known at compile time.
    Fixed(usize),
    /// A size bound when the graph runs.
    Sym(Symbol),
}

impl Dim {
    /// The compile-time size, if it is one.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Dim::Fixed(n) => Some(n),
            Dim::Sym(_) => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Fixed(n)
    }
}

impl From<Symbol> for Dim {
    fn from(s: Symbol) -> Dim {
        Dim::Sym(s)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Sym(s) => write!(f, "{s}"),
        }
    }
}

/// Dimensions, slowest first.
pub type Shape = SmallVec<[Dim; 4]>;

/// What whole numbers count: what a kernel may take for granted about them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Index {
    /// Each is one of `0..n`: ids of a table of n rows, tokens of a run, experts.
    Below(Dim),
    /// Positions in the sequence that a token belongs to. Those of a run's tokens follow each other
    /// in each sequence, from where its states stand.
    Position,
}

/// Element type and shape; the last dimension is contiguous in memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// What its numbers count, if they are whole; written in place of the element type, as
    /// `index<2048>[T]`, `index<T>[R]` or `position[T]`.
    pub index: Option<Index>,
    /// Dimensions, slowest first.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor type from dimensions, slowest first.
    pub fn new(dtype: DType, dims: impl IntoIterator<Item = Dim>) -> TensorType {
        TensorType {
            dtype,
            index: None,
            shape: dims.into_iter().collect(),
        }
    }

    /// Whole numbers, each one of `0..below`.
    pub fn index(below: impl Into<Dim>, dims: impl IntoIterator<Item = Dim>) -> TensorType {
        TensorType {
            index: Some(Index::Below(below.into())),
            ..TensorType::new(DType::I32, dims)
        }
    }

    /// Positions.
    pub fn position(dims: impl IntoIterator<Item = Dim>) -> TensorType {
        TensorType {
            index: Some(Index::Position),
            ..TensorType::new(DType::I32, dims)
        }
    }

    /// A type whose dimensions are all known.
    pub fn fixed(dtype: DType, dims: &[usize]) -> TensorType {
        TensorType::new(dtype, dims.iter().map(|&n| Dim::Fixed(n)))
    }

    /// The symbols that it names, in its shape or as the bound of its numbers.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        let below = match self.index {
            Some(Index::Below(dim)) => Some(dim),
            Some(Index::Position) | None => None,
        };
        let dims = self.shape.iter().copied().chain(below);
        dims.filter_map(|dim| match dim {
            Dim::Sym(symbol) => Some(symbol),
            Dim::Fixed(_) => None,
        })
    }

    /// The same shape with another element type.
    pub fn with_dtype(&self, dtype: DType) -> TensorType {
        TensorType::new(dtype, self.shape.iter().copied())
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The last (contiguous) dimension, 1 for a scalar.
    pub fn last(&self) -> Dim {
        self.shape.last().copied().unwrap_or(Dim::Fixed(1))
    }

    /// Number of elements once symbols are bound; `None` on overflow.
    pub fn elements(&self, bind: &dyn Fn(Symbol) -> usize) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, d| {
            n.checked_mul(match d {
                Dim::Fixed(n) => *n,
                Dim::Sym(s) => bind(*s),
            })
        })
    }

    /// Bytes once symbols are bound; `None` where the last dimension is no whole number of blocks
    /// or the size overflows.
    pub fn bytes(&self, bind: &dyn Fn(Symbol) -> usize) -> Option<usize> {
        let last = match self.last() {
            Dim::Fixed(n) => n,
            Dim::Sym(s) => bind(s),
        };
        if !last.is_multiple_of(self.dtype.block_len()) {
            return None;
        }
        let blocks = self.elements(bind)? / self.dtype.block_len();
        blocks.checked_mul(self.dtype.block_bytes())
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => write!(f, "{}[", self.dtype)?,
            Some(Index::Below(n)) => write!(f, "index<{n}>[")?,
            Some(Index::Position) => f.write_str("position[")?,
        }
        for (i, d) in self.shape.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{d}")?;
        }
        f.write_str("]")
    }
}

/// What a state holds between runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StateType {
    /// A tensor overwritten by every run: DeltaNet's convolution window and scan matrix.
    Recurrent(TensorType),
    /// A key and a value row per position: `heads × dim` elements each.
    Kv {
        /// Element type of stored keys.
        k: DType,
        /// Element type of stored values.
        v: DType,
        /// Key-value heads.
        heads: usize,
        /// Elements of one head.
        dim: usize,
    },
}

impl fmt::Display for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateType::Recurrent(t) => write!(f, "{t}"),
            StateType::Kv { k, v, heads, dim } if k == v => write!(f, "kv<{k}>[{heads}, {dim}]"),
            StateType::Kv { k, v, heads, dim } => write!(f, "kv<{k}, {v}>[{heads}, {dim}]"),
        }
    }
}
