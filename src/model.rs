//! A model file: the door to everything else.

use std::path::Path;
use std::sync::Arc;

use sharpi_ir::Module;
use sharpi_passes::{Shard, Stage};

use crate::error::Error;
use crate::exec::{Executable, LoadOptions, Progress};
use crate::gguf::{Gguf, Value};
use crate::lower::{
    Architecture, Hparams, LowerError, LowerOptions, Note, lower, not_a_model, notes, with_head,
};
use crate::ranks::{Command, Compile, Leader, Origin, Ranks, file_hash};
use crate::tokenizer::{Tokenizer, Vocabulary};

/// The model that is part of the program.
#[cfg(feature = "embedded")]
static EMBEDDED: &[u8] = include_bytes!("../fixtures/models/tiny-dense-Q4_K_M.gguf");

/// An opened model file; cheap to clone.
#[derive(Clone)]
pub struct Model {
    gguf: Arc<Gguf>,
    origin: Origin,
    architectures: Vec<Arc<dyn Architecture>>,
}

sharpi_passes::option_struct! {
    /// How a model is lowered and which passes run.
    #[derive(Clone, Debug)]
    pub struct CompileOptions {
        /// The graphs' sizes and cache types.
        pub lower: LowerOptions = LowerOptions::default(),
        /// The pipeline.
        pub passes: sharpi_passes::Options = sharpi_passes::Options::default(),
        /// How weights are held.
        pub load: LoadOptions = LoadOptions::default(),
        /// Who runs it; all have a share of the weights.
        pub ranks: Ranks = Ranks::default(),
    }
}

impl Model {
    /// Opens a GGUF file, or the first part of a split one. Weights stay mapped, not read.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        let path = path.as_ref();
        let model = Model::from_gguf(Gguf::open(path)?);
        Ok(model.with_origin(Origin::Files(path.into(), None)))
    }

    /// Opens a GGUF file, with the multi-token-prediction head of another file in the place of its
    /// own, if it has one.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed, a second file without a head, or one of another
    /// model.
    pub fn open_with_head(path: impl AsRef<Path>, head: impl AsRef<Path>) -> Result<Model, Error> {
        let (path, head) = (path.as_ref(), head.as_ref());
        let model = Model::from_gguf(with_head(Gguf::open(path)?, Gguf::open(head)?)?);
        Ok(model.with_origin(Origin::Files(path.into(), Some(head.into()))))
    }

    /// The small model that is part of the program.
    ///
    /// # Errors
    /// None in a sound build.
    #[cfg(feature = "embedded")]
    pub fn embedded() -> Result<Model, Error> {
        let model = Model::from_gguf(Gguf::from_static(EMBEDDED)?);
        Ok(model.with_origin(Origin::Embedded))
    }

    /// A model from an opened file.
    pub fn from_gguf(gguf: Gguf) -> Model {
        Model {
            gguf: Arc::new(gguf),
            origin: Origin::Memory,
            architectures: Vec::new(),
        }
    }

    fn with_origin(self, origin: Origin) -> Model {
        Model { origin, ..self }
    }

    /// The same file, which may also be of this architecture; before those that are known already
    /// if they have the same name.
    pub fn with_architecture(mut self, architecture: impl Architecture + 'static) -> Model {
        self.architectures.insert(0, Arc::new(architecture));
        self
    }

    /// The architecture of one's own that the file is of.
    fn own_architecture(&self) -> Option<&dyn Architecture> {
        let name = self.gguf.get("general.architecture");
        let name = name.and_then(Value::as_str)?;
        let mut known = self.architectures.iter().map(|known| &**known);
        known.find(|known| known.name() == name)
    }

    /// The file.
    pub fn gguf(&self) -> &Gguf {
        &self.gguf
    }

    pub(crate) fn shared_gguf(&self) -> &Arc<Gguf> {
        &self.gguf
    }

    /// Sizes and constants from the metadata.
    ///
    /// # Errors
    /// An unsupported architecture, a missing or unusable key.
    pub fn hparams(&self) -> Result<Hparams, Error> {
        Ok(Hparams::read(&self.gguf)?)
    }

    /// What is in the file that the computation does not use; of an architecture of one's own
    /// nothing is known.
    ///
    /// # Errors
    /// See [`lower`](crate::lower::lower): a model that cannot be run, or a file whose result may
    /// depend on what is not used.
    pub fn notes(&self) -> Result<Vec<Note>, Error> {
        match self.own_architecture() {
            Some(_) => Ok(Vec::new()),
            None => Ok(notes(&self.gguf)?),
        }
    }

    /// The tokeniser of the file's vocabulary.
    ///
    /// # Errors
    /// A vocabulary that is missing, inconsistent, or of an unknown kind.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        match Vocabulary::read(&self.gguf) {
            Ok(vocabulary) => Ok(Tokenizer::new(vocabulary)?),
            // What kind of file it is tells more than which key it lacks.
            Err(error) => Err(match not_a_model(&self.gguf) {
                Some(what) => LowerError::NoModel(what).into(),
                None => error.into(),
            }),
        }
    }

    /// The graphs as imported, before any pass.
    ///
    /// # Errors
    /// See [`lower`](crate::lower::lower).
    pub fn lower(&self, options: &LowerOptions) -> Result<Module, Error> {
        let module = match self.own_architecture() {
            Some(own) => own.lower(&self.gguf, options)?,
            None => lower(&self.gguf, options)?,
        };
        Stage::Imported.check(&module)?;
        Ok(module)
    }

    /// Lowers the model, runs the passes, binds the plan to kernels and loads the weights.
    ///
    /// # Errors
    /// What [`Model::lower`] and the passes refuse; weights that cannot be loaded.
    pub fn compile(&self, options: &CompileOptions) -> Result<Executable, Error> {
        self.compile_watched(options, &|_, _| ())
    }

    /// [`Model::compile`], which tells how many bytes of how many are loaded.
    ///
    /// # Errors
    /// As [`Model::compile`].
    pub fn compile_watched(
        &self,
        options: &CompileOptions,
        progress: Progress<'_>,
    ) -> Result<Executable, Error> {
        let module = self.lower(&options.lower)?;
        self.compile_module(module, options, progress)
    }

    /// Runs the passes over graphs on this model's weights, lowered or made in some other way,
    /// binds the plan to kernels and loads the weights. How to lower is of no account here.
    ///
    /// # Errors
    /// What the passes refuse; weights that the file does not hold or that cannot be loaded; ops
    /// without a kernel.
    pub fn compile_module(
        &self,
        module: Module,
        options: &CompileOptions,
        progress: Progress<'_>,
    ) -> Result<Executable, Error> {
        match options.ranks.leader() {
            Some(leader) => self.compile_shared(module, options, leader, progress),
            None => self.compile_own(module, &options.passes, &options.load, progress),
        }
    }

    fn compile_own(
        &self,
        module: Module,
        passes: &sharpi_passes::Options,
        load: &LoadOptions,
        progress: Progress<'_>,
    ) -> Result<Executable, Error> {
        let compiled = sharpi_passes::compile(module, passes)?;
        Ok(Executable::new(compiled, &self.gguf, load, progress)?)
    }

    /// Compiles the share of rank 0, while the others compile theirs.
    fn compile_shared(
        &self,
        module: Module,
        options: &CompileOptions,
        leader: &Arc<Leader>,
        progress: Progress<'_>,
    ) -> Result<Executable, Error> {
        let (remote, passes, load) = (leader.number(), &options.passes, &options.load);
        let one_file = leader.share(&self.gguf);
        let compile = Compile {
            id: remote.id,
            model: self.origin.clone(),
            file_hash: (!one_file).then(|| file_hash(&self.gguf)),
            module: sharpi_ir::text::print(&module),
            only: passes.only.clone(),
            skip: passes.skip.clone(),
            fuel: passes.fuel,
            repack: load.repack,
            cache: load.cache.clone(),
            lock: load.lock,
            threads: load.threads,
        };
        let talk = leader.talk();
        talk.tell(&Command::Compile(Box::new(compile)))?;
        let ranks = leader.transport().ranks();
        let passes = passes.clone().shard(Some(Shard { ranks, rank: 0 }));
        let own = self.compile_own(module.clone(), &passes, load, progress);
        let others = talk.answers::<()>();
        drop(talk);
        let mut executable = own?;
        others?;
        executable.lead(module, remote);
        Ok(executable)
    }
}
