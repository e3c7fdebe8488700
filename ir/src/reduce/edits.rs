//! Ways to make a module smaller or simpler, one part each.

use super::sketch::{Body, Input, Line, Sketch, Slot, Source};
use crate::attr::Attr;
use crate::op::Op;
use crate::types::{DType, Dim, Shape, StateType, TensorType};

/// One part made simpler. An edit whose part is gone does nothing.
#[derive(Clone)]
pub(super) enum Edit {
    Graph(usize),
    Output(usize, usize),
    /// An op; its users take an operand of its type.
    Bypass(usize, usize),
    /// An op; its users take inputs, and outputs go with it.
    Cut(usize, usize),
    /// An operand becomes the first value, weight or state of its type.
    Operand(usize, usize, usize),
    /// The last operand of an op.
    LastOperand(usize, usize),
    /// An attribute becomes the simplest of its kind.
    Attribute(usize, usize, &'static str),
    Input(usize, usize),
    /// The range of a symbol.
    Bound(usize, usize),
    Weight(usize),
    State(usize),
    /// The element type of a weight becomes f32.
    Plain(usize),
    /// The names of an op's results and of the inputs.
    Labels(usize, usize),
    /// Every dimension of this size becomes that one.
    Size(usize, usize),
}

/// Kinds of edits, those that take away most first: each lists the edits that may be made.
pub(super) const KINDS: &[fn(&Sketch) -> Vec<Edit>] = &[
    graphs,
    outputs,
    |s| each_op(s, Edit::Bypass),
    |s| each_op(s, Edit::Cut),
    inputs,
    bounds,
    operands,
    |s| each_op(s, Edit::LastOperand),
    |s| (0..s.weights.len()).map(Edit::Weight).collect(),
    |s| (0..s.states.len()).map(Edit::State).collect(),
    attributes,
    |s| (0..s.weights.len()).map(Edit::Plain).collect(),
    |s| each_op(s, Edit::Labels),
    sizes,
];

fn bodies(sketch: &Sketch) -> impl Iterator<Item = (usize, &Body)> {
    let graphs = sketch.graphs.iter().enumerate();
    graphs.filter_map(|(g, body)| Some((g, body.as_ref()?)))
}

fn lines(sketch: &Sketch) -> impl Iterator<Item = (usize, usize, &Line)> {
    bodies(sketch).flat_map(|(g, body)| {
        let ops = body.ops.iter().enumerate();
        ops.filter_map(move |(i, line)| Some((g, i, line.as_ref()?)))
    })
}

fn graphs(sketch: &Sketch) -> Vec<Edit> {
    bodies(sketch).map(|(g, _)| Edit::Graph(g)).collect()
}

fn outputs(sketch: &Sketch) -> Vec<Edit> {
    let of = |(g, body): (usize, &Body)| {
        let count = body.outputs.len();
        (0..count).map(move |i| Edit::Output(g, i))
    };
    bodies(sketch).flat_map(of).collect()
}

/// From the last to the first, as users stand behind what they use.
fn each_op(sketch: &Sketch, edit: fn(usize, usize) -> Edit) -> Vec<Edit> {
    let mut edits: Vec<Edit> = lines(sketch).map(|(g, i, _)| edit(g, i)).collect();
    edits.reverse();
    edits
}

fn inputs(sketch: &Sketch) -> Vec<Edit> {
    let of = |(g, body): (usize, &Body)| {
        let count = body.inputs.len();
        (0..count).rev().map(move |i| Edit::Input(g, i))
    };
    bodies(sketch).flat_map(of).collect()
}

fn bounds(sketch: &Sketch) -> Vec<Edit> {
    let of = |(g, body): (usize, &Body)| {
        let count = body.bounds.len();
        (0..count).map(move |i| Edit::Bound(g, i))
    };
    bodies(sketch).flat_map(of).collect()
}

fn operands(sketch: &Sketch) -> Vec<Edit> {
    let of = |(g, i, line): (usize, usize, &Line)| {
        let count = line.operands.len();
        (0..count).map(move |slot| Edit::Operand(g, i, slot))
    };
    lines(sketch).flat_map(of).collect()
}

fn attributes(sketch: &Sketch) -> Vec<Edit> {
    let of = |(g, i, line): (usize, usize, &Line)| {
        let attrs = line.op.attrs().into_iter();
        attrs.map(move |(name, _)| Edit::Attribute(g, i, name))
    };
    lines(sketch).flat_map(of).collect()
}

/// Each size by itself becomes 1, or half of it.
fn sizes(sketch: &Sketch) -> Vec<Edit> {
    let mut sizes: Vec<usize> = Vec::new();
    sizes_of(sketch, &mut |n| sizes.push(*n));
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    let smaller = |n: usize| [Edit::Size(n, 1), Edit::Size(n, n / 2)];
    sizes
        .into_iter()
        .filter(|n| *n > 1)
        .flat_map(smaller)
        .collect()
}

impl Edit {
    pub(super) fn apply(&self, sketch: &mut Sketch) {
        match *self {
            Edit::Graph(g) => sketch.graphs[g] = None,
            Edit::Weight(w) => sketch.weights[w] = None,
            Edit::State(s) => sketch.states[s] = None,
            Edit::Plain(w) => {
                if let Some((_, weight)) = &mut sketch.weights[w] {
                    weight.ty.dtype = DType::F32;
                }
            }
            Edit::Size(from, to) => resize(sketch, from, to),
            Edit::Operand(g, i, slot) => simplify_operand(sketch, g, i, slot),
            Edit::Output(g, i) => in_body(sketch, g, |body| body.outputs[i] = None),
            Edit::Bypass(g, i) => in_body(sketch, g, |body| bypass(body, i)),
            Edit::Cut(g, i) => in_body(sketch, g, |body| cut(body, i)),
            Edit::Input(g, i) => in_body(sketch, g, |body| drop_input(body, i)),
            Edit::Bound(g, i) => in_body(sketch, g, |body| body.bounds[i] = None),
            Edit::LastOperand(g, i) => in_line(sketch, g, i, |line| {
                line.operands.pop();
            }),
            Edit::Labels(g, i) => in_body(sketch, g, |body| {
                body.inputs
                    .iter_mut()
                    .flatten()
                    .for_each(|x| x.label = None);
                body.ops[i].iter_mut().for_each(|line| line.labels.clear());
            }),
            Edit::Attribute(g, i, name) => in_line(sketch, g, i, |line| simplify(line, name)),
        }
    }
}

fn in_body(sketch: &mut Sketch, g: usize, edit: impl FnOnce(&mut Body)) {
    if let Some(body) = &mut sketch.graphs[g] {
        edit(body);
    }
}

fn in_line(sketch: &mut Sketch, g: usize, i: usize, edit: impl FnOnce(&mut Line)) {
    in_body(sketch, g, |body| {
        if let Some(line) = &mut body.ops[i] {
            edit(line);
        }
    });
}

fn bypass(body: &mut Body, i: usize) {
    let Some(line) = body.ops[i].clone() else {
        return;
    };
    let stand_in = |ty: &TensorType| {
        let values = line.operands.iter().filter_map(|slot| match slot {
            Slot::Value(source) => Some(*source),
            Slot::Weight(_) | Slot::State(_) => None,
        });
        values
            .into_iter()
            .find(|source| body.ty(*source) == Some(ty))
    };
    let stand_ins: Vec<Option<Source>> = line.types.iter().map(stand_in).collect();
    for read in body.reads() {
        if let Source::Op(op, result) = *read
            && op == i
            && let Some(Some(stand_in)) = stand_ins.get(result)
        {
            *read = *stand_in;
        }
    }
    body.ops[i] = None;
}

fn cut(body: &mut Body, i: usize) {
    let Some(line) = body.ops[i].take() else {
        return;
    };
    let made = |source: &Source| matches!(source, Source::Op(op, _) if *op == i);
    for output in &mut body.outputs {
        if output.as_ref().is_some_and(|(_, source)| made(source)) {
            *output = None;
        }
    }
    for (result, ty) in line.types.into_iter().enumerate() {
        let (of, new) = (Source::Op(i, result), Source::Input(body.inputs.len()));
        let mut read = false;
        for source in body.reads().filter(|source| **source == of) {
            *source = new;
            read = true;
        }
        if read {
            let name = format!("cut.{i}.{result}");
            let label = None;
            body.inputs.push(Some(Input { name, ty, label }));
        }
    }
}

/// What read the input takes the first other of its type, if there is one.
fn drop_input(body: &mut Body, i: usize) {
    let Some(input) = body.inputs[i].take() else {
        return;
    };
    let same = |other: &Option<Input>| other.as_ref().is_some_and(|other| other.ty == input.ty);
    if let Some(other) = body.inputs.iter().position(same) {
        for source in body.reads().filter(|source| **source == Source::Input(i)) {
            *source = Source::Input(other);
        }
    }
}

fn simplify_operand(sketch: &mut Sketch, g: usize, i: usize, slot: usize) {
    let first_like = |w: usize| {
        let ty = |w: &Option<(String, crate::module::Weight)>| Some(w.as_ref()?.1.ty.clone());
        let wanted = ty(&sketch.weights[w])?;
        sketch
            .weights
            .iter()
            .position(|other| ty(other).as_ref() == Some(&wanted))
    };
    let Some(body) = &sketch.graphs[g] else {
        return;
    };
    let operand = body.ops[i]
        .as_ref()
        .and_then(|line| line.operands.get(slot));
    let simple = match operand {
        Some(Slot::Value(source)) => {
            let wanted = body.ty(*source);
            let same = |input: &Option<Input>| input.as_ref().map(|input| &input.ty) == wanted;
            let input = body
                .inputs
                .iter()
                .position(same)
                .filter(|_| wanted.is_some());
            input.map(|input| Slot::Value(Source::Input(input)))
        }
        Some(Slot::Weight(w)) => first_like(*w).map(Slot::Weight),
        Some(Slot::State(_)) | None => None,
    };
    if let Some(simple) = simple {
        in_line(sketch, g, i, |line| line.operands[slot] = simple);
    }
}

/// Leaves the attribute out, or gives it the simplest value that the op takes.
fn simplify(line: &mut Line, name: &str) {
    let attrs = line.op.attrs().into_iter();
    let attrs: Vec<(String, Attr)> = attrs.map(|(name, attr)| (name.to_string(), attr)).collect();
    let without = attrs.iter().filter(|(n, _)| n != name).cloned();
    let without: Vec<(String, Attr)> = without.collect();
    let simple = attrs.iter().map(|(n, attr)| match n == name {
        true => (n.clone(), simplest(attr)),
        false => (n.clone(), attr.clone()),
    });
    let simple: Vec<(String, Attr)> = simple.collect();
    let mnemonic = line.op.mnemonic();
    let simpler = Op::from_parts(mnemonic, &without).or_else(|_| Op::from_parts(mnemonic, &simple));
    if let Ok(op) = simpler {
        line.op = op;
    }
}

fn simplest(attr: &Attr) -> Attr {
    match attr {
        Attr::Int(_) => Attr::Int(1),
        Attr::Float(_) => Attr::Float(1.0),
        Attr::DType(_) => Attr::DType(DType::F32),
        Attr::Ints(_) | Attr::Floats(_) | Attr::Parts(_) | Attr::Group(_) | Attr::Case(..) => {
            attr.clone()
        }
    }
}

/// Calls `each` with every fixed size in types and lists.
fn sizes_of(sketch: &Sketch, each: &mut dyn FnMut(&mut usize)) {
    visit_sizes(&mut sketch.clone(), each);
}

fn resize(sketch: &mut Sketch, from: usize, to: usize) {
    visit_sizes(sketch, &mut |n| {
        if *n == from {
            *n = to;
        }
    });
}

fn visit_sizes(sketch: &mut Sketch, each: &mut dyn FnMut(&mut usize)) {
    for (_, weight) in sketch.weights.iter_mut().flatten() {
        visit_shape(&mut weight.ty.shape, each);
    }
    for (_, state) in sketch.states.iter_mut().flatten() {
        match state {
            StateType::Recurrent(ty) => visit_shape(&mut ty.shape, each),
            StateType::Kv { heads, dim, .. } => {
                each(heads);
                each(dim);
            }
        }
    }
    for body in sketch.graphs.iter_mut().flatten() {
        for input in body.inputs.iter_mut().flatten() {
            visit_shape(&mut input.ty.shape, each);
        }
        for line in body.ops.iter_mut().flatten() {
            (line.types.iter_mut()).for_each(|ty| visit_shape(&mut ty.shape, each));
            visit_lists(&mut line.op, each);
        }
    }
}

fn visit_shape(shape: &mut Shape, each: &mut dyn FnMut(&mut usize)) {
    for dim in shape {
        if let Dim::Fixed(n) = dim {
            each(n);
        }
    }
}

/// Sizes among an op's attributes.
fn visit_lists(op: &mut Op, each: &mut dyn FnMut(&mut usize)) {
    let mut attrs: Vec<(String, Attr)> = Vec::new();
    for (name, mut attr) in op.attrs() {
        if let Attr::Ints(list) = &mut attr {
            for n in list {
                let mut size = *n as usize;
                each(&mut size);
                *n = u32::try_from(size).unwrap_or(*n);
            }
        }
        attrs.push((name.to_string(), attr));
    }
    if let Ok(resized) = Op::from_parts(op.mnemonic(), &attrs) {
        *op = resized;
    }
}
