//! What is fixed about an op: the kinds of its operands and attributes, and what is true of it.

/// What may stand in an operand slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperandKind {
    /// A value of the graph.
    Value,
    /// A weight of the module, read as it is.
    Weight,
    /// A weight of the module that values are multiplied with row by row.
    Matrix,
    /// A value or a weight.
    ValueOrWeight,
    /// One such weight or more, behind all other operands.
    Matrices,
    /// A recurrent state of the module, read and written.
    State,
    /// A KV cache of the module, of which rows are forgotten for nothing.
    Cache,
}

impl OperandKind {
    /// Whether a state of the module stands there.
    pub fn is_state(self) -> bool {
        match self {
            OperandKind::State | OperandKind::Cache => true,
            OperandKind::Value
            | OperandKind::Weight
            | OperandKind::Matrix
            | OperandKind::ValueOrWeight
            | OperandKind::Matrices => false,
        }
    }

    /// Whether what stands there is multiplied row by row, and so pays for a layout of its own.
    pub fn is_matrix(self) -> bool {
        match self {
            OperandKind::Matrix | OperandKind::Matrices => true,
            OperandKind::Value
            | OperandKind::Weight
            | OperandKind::ValueOrWeight
            | OperandKind::State
            | OperandKind::Cache => false,
        }
    }
}

/// Name and kind of an operand slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperandSpec {
    /// The operand's name in the documentation and in errors.
    pub name: &'static str,
    /// What may stand there.
    pub kind: OperandKind,
}

/// Name and kind of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttrSpec {
    /// The attribute's name in the textual form.
    pub name: &'static str,
    /// What it holds, in words.
    pub kind: &'static str,
}

/// An operand of an op by its name; [`slot`](crate::slot) has those of every op.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotName {
    /// Place in the op's declaration.
    pub(crate) index: usize,
    /// Which of several weights under that name.
    pub(crate) nth: usize,
}

impl SlotName {
    /// The first operand of an op, whatever it is called.
    pub const FIRST: SlotName = SlotName::of(0);

    pub(crate) const fn of(index: usize) -> SlotName {
        SlotName { index, nth: 0 }
    }

    /// The `n`-th of several weights under one name, from 0 on.
    pub const fn nth(self, n: usize) -> SlotName {
        SlotName { nth: n, ..self }
    }
}

/// How a product stands in an op's operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProductSlots {
    /// The activation.
    pub x: SlotName,
    /// The weight, in whose activation type they meet.
    pub weight: SlotName,
}

/// Operands whose rows an op logs are declared before this place.
const LOGGED_SLOTS: usize = 8;

/// What is true of an op beyond its operands and types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Whether lowering makes it; all others only passes make.
    pub imported: bool,
    /// Whether its result is its operand's bytes under another type; nothing runs.
    pub view: bool,
    /// The operands that it multiplies as they are, if it is a product.
    pub product: Option<ProductSlots>,
    /// The operand whose bytes its result may take: each chunk reads of it just what it then writes.
    pub in_place: Option<SlotName>,
    /// What it logs of a token that may be taken back, where its state is recurrent: how many times
    /// the row of each operand,
    logged: [u8; LOGGED_SLOTS],
    /// and of its result.
    logged_result: u8,
}

impl Facts {
    pub(crate) const fn of_op() -> Facts {
        Facts {
            imported: false,
            view: false,
            product: None,
            in_place: None,
            logged: [0; LOGGED_SLOTS],
            logged_result: 0,
        }
    }

    pub(crate) const fn imported(mut self) -> Facts {
        self.imported = true;
        self
    }

    pub(crate) const fn view(mut self) -> Facts {
        self.view = true;
        self
    }

    pub(crate) const fn product(mut self, x: SlotName, weight: SlotName) -> Facts {
        self.product = Some(ProductSlots { x, weight });
        self
    }

    pub(crate) const fn in_place(mut self, slot: SlotName) -> Facts {
        self.in_place = Some(slot);
        self
    }

    pub(crate) const fn logs(mut self, slot: SlotName) -> Facts {
        self.logged[slot.index] = 1;
        self
    }

    /// Once for the run that writes, once for the next, which reads meanwhile.
    pub(crate) const fn logs_twice(mut self, slot: SlotName) -> Facts {
        self.logged[slot.index] = 2;
        self
    }

    pub(crate) const fn logs_result(mut self) -> Facts {
        self.logged_result = 1;
        self
    }

    /// How many times the rows of operands are logged; those that are not are left out.
    pub fn logged_operands(&self) -> impl Iterator<Item = (SlotName, usize)> + use<> {
        let logged = (0..).map(SlotName::of).zip(self.logged);
        (logged.filter(|(_, times)| *times > 0)).map(|(slot, times)| (slot, usize::from(times)))
    }

    /// How many times the row of the result is logged.
    pub fn logged_result(&self) -> usize {
        usize::from(self.logged_result)
    }

    /// Whether anything is logged.
    pub fn logs_rows(&self) -> bool {
        self.logged_result > 0 || self.logged_operands().next().is_some()
    }
}

/// What is fixed about an op.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The name in the textual form.
    pub mnemonic: &'static str,
    /// One sentence or more, from the op's doc comment.
    pub doc: &'static str,
    /// Operands in order, of which an op has some only with certain attributes.
    pub operands: &'static [OperandSpec],
    /// Attributes in order.
    pub attrs: &'static [AttrSpec],
    /// What else is true of the op.
    pub facts: Facts,
}
