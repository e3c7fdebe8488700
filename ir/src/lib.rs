//! The typed op graph of `sharpi-compile` and nothing else: no file format, no kernel.
//!
//! A [`Module`] holds weights, states and named [`Graph`]s that share them. Graphs are made by
//! [`Builder`], rewritten by [`Patch`], checked by [`verify`] and written and read by [`text`].
#![forbid(unsafe_code)]

pub mod attr;
mod builder;
mod dot;
mod epilogue;
mod graph;
mod hash;
mod infer;
mod module;
mod ngram;
mod op;
mod order;
mod parts;
mod patch;
pub mod plain;
pub mod reduce;
mod rollback;
mod rope;
mod rows;
mod signature;
pub mod text;
mod types;
mod verify;

pub use attr::Attr;
pub use builder::{BuildError, Builder};
pub use dot::dot;
pub use epilogue::{
    Bias, Epilogue, Gating, KeyHeads, Onto, OutputGate, ScanGate, SharedExpert, Sums,
};
pub use graph::{Graph, NodeId, NodeKind, Operand, Operands, ResultInfo, Value};
pub use infer::{OperandType, ResultTypes, TypeError, infer};
pub use module::{Module, Redeclared, StateId, Symbols, Weight, WeightId};
pub use ngram::NgramHash;
pub use op::{NO_BLOCK, Op, OpError, slot};
pub use parts::Parts;
pub use patch::{Applied, Patch, PatchError, PatchOperand};
pub use rollback::rollback_bytes;
pub use rope::RopeScaling;
pub use rows::RowSet;
pub use signature::{AttrSpec, Facts, OperandKind, OperandSpec, ProductSlots, Signature, SlotName};
pub use types::{DType, Dim, Index, Shape, StateType, Symbol, TensorType};
pub use verify::{Fault, VerifyError, verify, verify_graph};
