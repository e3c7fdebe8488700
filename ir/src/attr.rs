//! Attributes of ops: the constants between braces in the textual form.

use std::fmt;

use smallvec::SmallVec;

use crate::parts::Parts;
use crate::types::DType;

/// The value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum Attr {
    /// A whole number.
    Int(u64),
    /// A number with a point or an exponent; printed so that it reads back to the same bits.
    Float(f32),
    /// A list of whole numbers.
    Ints(SmallVec<[u32; 4]>),
    /// A list of numbers with a point or an exponent.
    Floats(Vec<f32>),
    /// An element type.
    DType(DType),
    /// The indices that each rank has.
    Parts(Parts),
    /// Named constants that belong together; none of them is itself such a group.
    Group(Vec<(String, Attr)>),
    /// One case of several by its name, with the constants that it has; none of them is itself a
    /// case.
    Case(String, Vec<(String, Attr)>),
}

impl Attr {
    /// Whether a number in it is infinite or none.
    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Attr::Float(x) => x.is_finite(),
            Attr::Floats(list) => list.iter().all(|x| x.is_finite()),
            Attr::Group(fields) | Attr::Case(_, fields) => {
                fields.iter().all(|(_, attr)| attr.is_finite())
            }
            Attr::Int(_) | Attr::Ints(_) | Attr::DType(_) | Attr::Parts(_) => true,
        }
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(n) => write!(f, "{n}"),
            Attr::Float(x) => write!(f, "{x:?}"),
            Attr::Ints(v) => write!(f, "{:?}", v.as_slice()),
            Attr::Floats(v) => write!(f, "{v:?}"),
            Attr::DType(d) => write!(f, "{d}"),
            Attr::Parts(parts) => write!(f, "{parts}"),
            Attr::Group(fields) => write_fields(f, fields),
            Attr::Case(name, fields) if fields.is_empty() => f.write_str(name),
            Attr::Case(name, fields) => {
                write!(f, "{name} ")?;
                write_fields(f, fields)
            }
        }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[(String, Attr)]) -> fmt::Result {
    let fields = fields.iter().map(|(name, attr)| format!("{name} = {attr}"));
    write!(f, "{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// A Rust type that can stand as an attribute of an op.
pub trait AttrValue: Sized {
    /// What the parser says it expected.
    const KIND: &'static str;
    /// The attribute that holds this value; `None` where it is left out.
    fn to_attr(&self) -> Option<Attr>;
    /// The value of an attribute as given, if it is of this kind.
    fn from_attr(attr: Option<&Attr>) -> Option<Self>;
}

impl AttrValue for u32 {
    const KIND: &'static str = "a whole number below 2^32";
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Int(u64::from(*self)))
    }
    fn from_attr(attr: Option<&Attr>) -> Option<u32> {
        match attr? {
            Attr::Int(n) => u32::try_from(*n).ok(),
            Attr::Float(_)
            | Attr::Ints(_)
            | Attr::Floats(_)
            | Attr::DType(_)
            | Attr::Parts(_)
            | Attr::Group(_)
            | Attr::Case(..) => None,
        }
    }
}

impl AttrValue for f32 {
    const KIND: &'static str = "a finite number with a point or an exponent";
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Float(*self))
    }
    fn from_attr(attr: Option<&Attr>) -> Option<f32> {
        match attr? {
            Attr::Float(x) if x.is_finite() => Some(*x),
            Attr::Float(_)
            | Attr::Int(_)
            | Attr::Ints(_)
            | Attr::Floats(_)
            | Attr::DType(_)
            | Attr::Parts(_)
            | Attr::Group(_)
            | Attr::Case(..) => None,
        }
    }
}

impl AttrValue for SmallVec<[u32; 4]> {
    const KIND: &'static str = "a list of whole numbers";
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Ints(self.clone()))
    }
    fn from_attr(attr: Option<&Attr>) -> Option<Self> {
        match attr? {
            Attr::Ints(v) => Some(v.clone()),
            Attr::Int(_)
            | Attr::Float(_)
            | Attr::Floats(_)
            | Attr::DType(_)
            | Attr::Parts(_)
            | Attr::Group(_)
            | Attr::Case(..) => None,
        }
    }
}

impl AttrValue for DType {
    const KIND: &'static str = "an element type";
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::DType(*self))
    }
    fn from_attr(attr: Option<&Attr>) -> Option<DType> {
        match attr? {
            Attr::DType(d) => Some(*d),
            Attr::Int(_)
            | Attr::Float(_)
            | Attr::Ints(_)
            | Attr::Floats(_)
            | Attr::Parts(_)
            | Attr::Group(_)
            | Attr::Case(..) => None,
        }
    }
}

impl AttrValue for Option<u32> {
    const KIND: &'static str = "a whole number below 2^32, or nothing";
    fn to_attr(&self) -> Option<Attr> {
        self.and_then(|n| n.to_attr())
    }
    fn from_attr(attr: Option<&Attr>) -> Option<Self> {
        match attr {
            None => Some(None),
            Some(_) => u32::from_attr(attr).map(Some),
        }
    }
}

impl AttrValue for Option<f32> {
    const KIND: &'static str = "a finite number with a point or an exponent, or nothing";
    fn to_attr(&self) -> Option<Attr> {
        self.and_then(|x| x.to_attr())
    }
    fn from_attr(attr: Option<&Attr>) -> Option<Self> {
        match attr {
            None => Some(None),
            Some(_) => f32::from_attr(attr).map(Some),
        }
    }
}
