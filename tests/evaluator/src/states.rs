//! What ops keep between runs.

use std::collections::BTreeMap;

use sharpi_ir::{DType, StateId, StateType, Symbols};

use crate::rounding::round_float;

/// All states of a module, by their number.
pub(crate) struct States(Vec<State>);

struct State {
    content: Content,
    /// Tokens that it has taken in.
    consumed: usize,
}

enum Content {
    /// Rows or matrices of f32, at first zeros.
    Recurrent(Vec<f64>),
    Cache(Cache),
}

/// Rows of keys and values by their position; at first zeros.
pub(crate) struct Cache {
    /// What keys and values are rounded to.
    types: [DType; 2],
    pub(crate) heads: usize,
    pub(crate) dim: usize,
    rows: BTreeMap<usize, [Vec<f64>; 2]>,
    /// What an indexer's cache is rounded to, as it is not cast when it is read,
    plain: [DType; 2],
    /// and its keys and pooled keys.
    pub(crate) plain_rows: [BTreeMap<usize, Vec<f64>>; 2],
}

impl Cache {
    fn new(k: DType, v: DType, heads: usize, dim: usize) -> Cache {
        // Whole rows are cast when attention reads them, as the reference casts them.
        let read = |ty| if ty == DType::F32 { DType::F16 } else { ty };
        Cache {
            types: [read(k), read(v)],
            heads,
            dim,
            rows: BTreeMap::new(),
            plain: [k, v],
            plain_rows: Default::default(),
        }
    }

    /// A query as it meets the keys: rounded as they are.
    pub(crate) fn query(&self, row: &[f64]) -> Result<Vec<f64>, String> {
        row.iter().map(|x| round_float(*x, self.types[0])).collect()
    }

    /// Keeps the keys and values of a position, rounded to the cache's types.
    pub(crate) fn store(&mut self, at: usize, keys: &[f64], values: &[f64]) -> Result<(), String> {
        let rounded = |row: &[f64], ty| row.iter().map(|x| round_float(*x, ty)).collect();
        let [k, v] = self.types;
        let (keys, values): (Result<_, _>, Result<_, _>) = (rounded(keys, k), rounded(values, v));
        self.rows.insert(at, [keys?, values?]);
        Ok(())
    }

    /// Keeps a row of an indexer's cache: of keys, or of pooled keys.
    pub(crate) fn store_plain(
        &mut self,
        side: usize,
        at: usize,
        row: &[f64],
    ) -> Result<(), String> {
        let rounded = row.iter().map(|x| round_float(*x, self.plain[side]));
        let rounded = rounded.collect::<Result<_, _>>()?;
        self.plain_rows[side].insert(at, rounded);
        Ok(())
    }

    /// Key and value of a head at a position; zeros where nothing was stored.
    pub(crate) fn head(&self, at: usize, head: usize) -> [Vec<f64>; 2] {
        let part = head * self.dim..(head + 1) * self.dim;
        match self.rows.get(&at) {
            Some([keys, values]) => [keys[part.clone()].to_vec(), values[part].to_vec()],
            None => [vec![0.0; self.dim], vec![0.0; self.dim]],
        }
    }
}

impl States {
    pub(crate) fn new(symbols: &Symbols) -> States {
        let fresh = |ty: &StateType| match ty {
            StateType::Recurrent(ty) => {
                Content::Recurrent(vec![0.0; ty.elements(&|_| 0).unwrap_or(0)])
            }
            StateType::Kv { k, v, heads, dim } => Content::Cache(Cache::new(*k, *v, *heads, *dim)),
        };
        let states = symbols.states().map(|(_, _, ty)| State {
            content: fresh(ty),
            consumed: 0,
        });
        States(states.collect())
    }

    pub(crate) fn recurrent(&mut self, id: StateId) -> Result<&mut Vec<f64>, String> {
        match &mut self.0[id.index()].content {
            Content::Recurrent(values) => Ok(values),
            Content::Cache(_) => Err("its state is a cache".into()),
        }
    }

    pub(crate) fn cache(&mut self, id: StateId) -> Result<&mut Cache, String> {
        match &mut self.0[id.index()].content {
            Content::Cache(cache) => Ok(cache),
            Content::Recurrent(_) => Err("its state is no cache".into()),
        }
    }

    /// Tokens that a state has taken in.
    pub(crate) fn consumed(&mut self, id: StateId) -> &mut usize {
        &mut self.0[id.index()].consumed
    }
}
