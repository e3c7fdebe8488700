//! llama.cpp with a model: flash attention.

use std::ffi::CString;
use std::mem;
use std::num::NonZeroU32;
use std::path::Path;
use std::ptr::NonNull;

use anyhow::{Context, Result, bail, ensure};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams, LlamaContextType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::speculative::{MtpSpeculative, MtpSpeculativeParams};
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;
use sharpi_compile::ir::DType;

use crate::watch;

/// A loaded model.
pub struct Llama {
    backend: &'static LlamaBackend,
    model: LlamaModel,
}

/// How a context is to be.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Positions it has room for.
    pub positions: usize,
    /// Type of the cached keys and values.
    pub cache_type: DType,
    /// Threads to compute with.
    pub threads: usize,
    /// Sequences that share the positions.
    pub sequences: usize,
    /// Whether what is computed is watched.
    pub watched: bool,
}

impl Llama {
    /// Loads a model with its MTP head, with weights repacked for this machine or as they are in
    /// the file.
    pub fn load(backend: &'static LlamaBackend, path: &Path, repack: bool) -> Result<Llama> {
        Llama::open(backend, path, |params| {
            params.use_extra_bufts = repack;
            params.load_mtp = true;
            params.n_gpu_layers = 0;
        })
    }

    /// Loads the vocabulary of a file alone.
    pub fn load_vocabulary(backend: &'static LlamaBackend, path: &Path) -> Result<Llama> {
        Llama::open(backend, path, |params| params.vocab_only = true)
    }

    fn open(
        backend: &'static LlamaBackend,
        path: &Path,
        set: impl FnOnce(&mut sys::llama_model_params),
    ) -> Result<Llama> {
        let name = path
            .to_str()
            .with_context(|| format!("the path of {} is not UTF-8", path.display()))?;
        ensure!(path.is_file(), "there is no file {name}");
        let name = CString::new(name)?;
        // The bindings' parameters cannot turn repacking off, so the model is loaded without them.
        // SAFETY: the defaults are plain data; of its pointers none is set here.
        let mut params = unsafe { sys::llama_model_default_params() };
        set(&mut params);
        // SAFETY: the backend is initialised, the name ends with NUL and outlives the call.
        let model = unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        let model = NonNull::new(model)
            .with_context(|| format!("llama.cpp cannot load {}", path.display()))?;
        // SAFETY: `LlamaModel` is a transparent wrapper of this very pointer, and takes over its
        // ownership as it does in its own `load_from_file`.
        let model = unsafe { mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(model) };
        Ok(Llama { backend, model })
    }

    /// Fails if the model has no head to draft with.
    pub fn expect_head(&self) -> Result<()> {
        let architecture = self.model.meta_val_str("general.architecture")?;
        let key = format!("{architecture}.nextn_predict_layers");
        match self.model.meta_val_str(&key).as_deref() {
            Err(_) | Ok("0") => bail!(
                "the model has no MTP head: its metadata lack `{key}`; convert it again from a \
                 checkpoint with its `mtp` tensors, or give --draft-max 0"
            ),
            Ok(_) => Ok(()),
        }
    }

    /// Ids of a text, special tokens recognised.
    pub fn tokenize(&self, text: &str) -> Vec<LlamaToken> {
        self.model.vocab().tokenize(text.as_bytes(), true, true)
    }

    /// Ids of a text whose special tokens are text too, behind the token that begins one.
    pub fn plain_tokens(&self, text: &str) -> Vec<LlamaToken> {
        self.model.vocab().tokenize(text.as_bytes(), true, false)
    }

    /// The token that begins a text, if the model wants one.
    pub fn bos(&self) -> Option<LlamaToken> {
        let vocab = self.model.vocab();
        vocab.should_add_bos().then(|| vocab.bos())
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.model.n_vocab() as usize
    }

    /// Text of ids, special tokens included.
    pub fn text(&self, ids: &[u32]) -> String {
        let vocab = self.model.vocab();
        let pieces = ids
            .iter()
            .map(|&id| vocab.token_to_piece(LlamaToken(id as i32), true, None));
        String::from_utf8_lossy(&pieces.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Ids that end a text.
    pub fn end_of_text(&self) -> Vec<u32> {
        let vocab = self.model.vocab();
        let ids = vocab.tokens().filter(|&id| vocab.is_eog(id));
        ids.map(|id| id.0 as u32).collect()
    }

    /// A context that decodes.
    pub fn context(&self, shape: Shape) -> Result<LlamaContext<'_>> {
        let params = params(shape, LlamaContextType::Default)?;
        Ok(self.model.new_context(self.backend, params)?)
    }

    /// A context that decodes, with another beside it that drafts up to `n_max` ids.
    pub fn drafting(&self, shape: Shape, n_max: usize) -> Result<MtpSpeculative<'_>> {
        let n_max = u32::try_from(n_max)?;
        // A state of each position that a round may have to go back to.
        let target = params(shape, LlamaContextType::Default)?.with_n_rs_seq(n_max);
        let target = self.model.new_context(self.backend, target)?;
        let head = params(shape, LlamaContextType::Mtp)?;
        let head = self
            .model
            .new_context_with_ctx_other(self.backend, head, &target)?;
        let params = MtpSpeculativeParams {
            n_max: n_max as i32,
            n_min: 0,
            p_min: 0.0,
        };
        Ok(MtpSpeculative::new(target, head, params)?)
    }
}

fn params(shape: Shape, kind: LlamaContextType) -> Result<LlamaContextParams> {
    let positions = u32::try_from(shape.positions)?;
    let threads = i32::try_from(shape.threads)?;
    let cache = match shape.cache_type {
        DType::F32 => KvCacheType::F32,
        DType::F16 => KvCacheType::F16,
        DType::BF16 => KvCacheType::BF16,
        DType::Q8_0 => KvCacheType::Q8_0,
        DType::Q4_0 => KvCacheType::Q4_0,
        other => bail!("a cache of {} is not captured", other.name()),
    };
    let params = LlamaContextParams::default()
        .with_context_type(kind)
        .with_n_ctx(NonZeroU32::new(positions))
        .with_n_batch(positions)
        .with_n_seq_max(u32::try_from(shape.sequences)?)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_flash_attention_policy(sys::LLAMA_FLASH_ATTN_TYPE_ENABLED)
        .with_type_k(cache)
        .with_type_v(cache);
    Ok(match shape.watched {
        true => watch::watched(params, kind == LlamaContextType::Mtp),
        false => params,
    })
}
