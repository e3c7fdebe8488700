//! Ops that move elements and compute nothing.

use sharpi_ir::Parts;

use crate::tensor::Tensor;

/// Entries of the first dimension by their numbers, as f32.
pub(crate) fn get_rows(x: &Tensor, chosen: &Tensor) -> Result<Tensor, String> {
    let mut data = Vec::new();
    for i in 0..chosen.data().len() {
        data.extend_from_slice(x.entry(chosen.index(i, x.dims()[0])?));
    }
    let mut dims = x.dims().to_vec();
    dims[0] = chosen.data().len();
    Tensor::new(dims, data)
}

/// Entries of a table for each number, one or several of each token.
pub(crate) fn embed(table: &Tensor, ids: &Tensor) -> Result<Tensor, String> {
    let dims = [ids.dims(), &table.dims()[1..]].concat();
    Ok(get_rows(table, ids)?.with_dims(dims))
}

/// Elements before, along and behind an axis.
fn around(dims: &[usize], axis: usize) -> [usize; 3] {
    let product = |dims: &[usize]| dims.iter().product();
    [
        product(&dims[..axis]),
        dims[axis],
        product(&dims[axis + 1..]),
    ]
}

pub(crate) fn concat(a: &Tensor, b: &Tensor, axis: usize) -> Tensor {
    let ([_, n_a, after], [_, n_b, _]) = (around(a.dims(), axis), around(b.dims(), axis));
    let mut dims = a.dims().to_vec();
    dims[axis] = n_a + n_b;
    Tensor::from_fn(dims, |place| {
        let (rest, inner) = (place / after, place % after);
        let (outer, along) = (rest / (n_a + n_b), rest % (n_a + n_b));
        match along.checked_sub(n_a) {
            None => a.data()[(outer * n_a + along) * after + inner],
            Some(along) => b.data()[(outer * n_b + along) * after + inner],
        }
    })
}

/// The whole of what each rank has a part of along an axis.
pub(crate) fn all_gather(
    of_ranks: &[Tensor],
    axis: usize,
    parts: &Parts,
) -> Result<Tensor, String> {
    let first = of_ranks.first().ok_or("there are no ranks")?;
    let whole = parts.whole().ok_or("the parts are no whole")?;
    let (mut dims, [_, _, after]) = (first.dims().to_vec(), around(first.dims(), axis));
    dims[axis] = whole;
    // Which rank has an index, and in which place.
    let place = |index: usize| {
        let found = of_ranks.iter().zip(parts.iter()).find_map(|(x, part)| {
            let mut has = part.ranges().iter().cloned().flatten();
            Some((x, has.position(|has| has == index)?))
        });
        found.ok_or_else(|| format!("no rank has index {index}"))
    };
    let places = (0..whole).map(place).collect::<Result<Vec<_>, String>>()?;
    let gathered = Tensor::from_fn(dims, |at| {
        let (rest, inner) = (at / after, at % after);
        let (x, along) = places[rest % whole];
        let n = x.dims()[axis];
        x.data()[(rest / whole * n + along) * after + inner]
    });
    Ok(gathered.with_dtype(first.dtype()))
}

pub(crate) fn split(x: &Tensor, axis: usize, sizes: &[usize]) -> Vec<Tensor> {
    let [_, n, after] = around(x.dims(), axis);
    let mut start = 0;
    let parts = sizes.iter().map(|&size| {
        let mut dims = x.dims().to_vec();
        dims[axis] = size;
        let first = start;
        start += size;
        Tensor::from_fn(dims, |place| {
            let (rest, inner) = (place / after, place % after);
            let (outer, along) = (rest / size, rest % size);
            x.data()[(outer * n + first + along) * after + inner]
        })
    });
    parts.collect()
}

/// Other dimensions behind the first.
pub(crate) fn reshape(x: &Tensor, dims: &[usize]) -> Tensor {
    let dims = [&x.dims()[..1], dims].concat();
    x.clone().with_dims(dims)
}
