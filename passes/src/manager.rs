//! Runs the pipeline: pass by pass, each over every graph of the module, with verification,
//! timing, checks at the stages' boundaries, and dumps.

use std::fs;
use std::path::Path;
use std::time::Instant;

use indexmap::IndexMap;
use sharpi_ir::plain::Plain;
use sharpi_ir::{Module, verify};

use crate::error::CompileError;
use crate::fuel::Fuel;
use crate::options::{Options, Verify};
use crate::pass::{Context, Decisions, Pass};
use crate::print::print_snapshot;
use crate::report::{PassReport, Report};
use crate::shard::shard;
use crate::stage::Stage;
use crate::trace::{Rewrite, Traced};

/// A module on its way through the pipeline.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The module as the passes that ran have left it.
    pub module: Module,
    /// What they have decided about each graph.
    pub decisions: IndexMap<String, Decisions>,
    /// The stage last reached.
    pub stage: Stage,
    /// What was done so far.
    pub report: Report,
    /// The module as imported and after each pass that ran, if [`Options::trace`] asked for it.
    pub trace: Vec<Traced>,
}

/// Runs the pipeline as far as the options say.
///
/// # Errors
/// Options that name no pass; a module that does not verify; a pass that gives up; a stage that
/// is not reached; a dump that cannot be written.
pub fn run(module: Module, options: &Options) -> Result<Snapshot, CompileError> {
    options.check()?;
    let dumps = options.dump_after_each.as_deref();
    let module = match options.shard {
        Some(which) => shard(&module, which)?,
        None => module,
    };
    let mut at = Snapshot::imported(module)?;
    at.dump(dumps, 0, Stage::Imported.name())?;
    if options.trace {
        at.trace.push(Traced::new(&at, None, IndexMap::new()));
    }
    if options.stops_after(Stage::Imported.name()) {
        return Ok(at);
    }
    let mut fuel = Fuel::new(options.fuel);
    let mut number = 0;
    'pipeline: for phase in options.pipeline.phases() {
        for (i, pass) in phase.passes.iter().enumerate() {
            let pass = &**pass;
            number += 1;
            if options.runs(pass) {
                let fuel = match pass.required() {
                    true => &mut Fuel::default(),
                    false => &mut fuel,
                };
                let mut log = options.trace.then(IndexMap::new);
                at.run_pass(pass, fuel, options.verify, log.as_mut())?;
                at.dump(dumps, number, pass.name())?;
                if let Some(log) = log {
                    at.trace.push(Traced::new(&at, Some(pass.name()), log));
                }
            }
            let complete = i + 1 == phase.passes.len();
            if complete {
                at.reach(phase.stage)?;
                let last = at.trace.last_mut();
                last.into_iter().for_each(|last| last.stage = phase.stage);
            }
            if options.stops_after(pass.name())
                || (complete && options.stops_after(phase.stage.name()))
            {
                break 'pipeline;
            }
        }
    }
    at.report.last_rewrite = fuel.last();
    if options.verify == Verify::Ends {
        at.verify(|| "at the end".into())?;
    }
    Ok(at)
}

/// Runs just these passes, with verification after each and no checks of stages: for tests of one
/// pass.
///
/// # Errors
/// A module that does not verify, before or after; a pass that gives up.
pub fn run_exactly(module: Module, passes: &[&dyn Pass]) -> Result<Snapshot, CompileError> {
    let mut at = Snapshot::imported(module)?;
    for pass in passes {
        at.run_pass(*pass, &mut Fuel::default(), Verify::Each, None)?;
    }
    Ok(at)
}

impl Snapshot {
    fn imported(module: Module) -> Result<Snapshot, CompileError> {
        let names = module.graphs.keys().cloned();
        let mut at = Snapshot {
            decisions: names.map(|name| (name, Decisions::default())).collect(),
            module,
            stage: Stage::Imported,
            report: Report::default(),
            trace: Vec::new(),
        };
        at.verify(|| "as imported".into())?;
        Ok(at)
    }

    fn run_pass(
        &mut self,
        pass: &dyn Pass,
        fuel: &mut Fuel,
        when: Verify,
        mut log: Option<&mut IndexMap<String, Vec<Rewrite>>>,
    ) -> Result<(), CompileError> {
        let mut changed = false;
        let symbols = &mut self.module.symbols;
        let graphs = self.module.graphs.iter_mut();
        for ((name, graph), decisions) in graphs.zip(self.decisions.values_mut()) {
            let ops_before = graph.op_count();
            let start = Instant::now();
            let mut context = Context {
                pass: pass.name(),
                name,
                symbols,
                decisions,
                fuel,
                log: (log.as_mut()).map(|log| log.entry(name.clone()).or_default()),
            };
            let stats = pass.run(graph, &mut context);
            let stats = stats.map_err(|source| CompileError::Pass {
                pass: pass.name(),
                graph: name.clone(),
                source,
            })?;
            changed |= stats.changed();
            self.report.passes.push(PassReport {
                pass: pass.name(),
                graph: name.clone(),
                time: start.elapsed(),
                ops_before,
                ops_after: graph.op_count(),
                stats,
            });
        }
        if changed && when == Verify::Each {
            self.verify(|| format!("after pass `{}`", pass.name()))?;
        }
        Ok(())
    }

    fn verify(&mut self, when: impl Fn() -> String) -> Result<(), CompileError> {
        let start = Instant::now();
        let verdict = verify(&self.module);
        self.report.checking += start.elapsed();
        verdict.map_err(|source| CompileError::Verify {
            when: when(),
            source,
        })
    }

    /// Checks that every graph has reached the stage.
    fn reach(&mut self, stage: Stage) -> Result<(), CompileError> {
        let start = Instant::now();
        let mut offences = Vec::new();
        for ((name, graph), decisions) in self.module.graphs.iter().zip(self.decisions.values()) {
            let found = stage.offences(graph, &self.module.symbols, decisions);
            offences.extend(found.iter().map(|o| format!("@{}: {o}", Plain(name))));
        }
        self.report.checking += start.elapsed();
        if !offences.is_empty() {
            return Err(CompileError::Stage { stage, offences });
        }
        self.stage = stage;
        Ok(())
    }

    fn dump(&self, folder: Option<&Path>, number: usize, name: &str) -> Result<(), CompileError> {
        let Some(folder) = folder else { return Ok(()) };
        let write = |path: &Path, result: std::io::Result<()>| {
            result.map_err(|source| CompileError::Dump {
                path: path.to_path_buf(),
                source,
            })
        };
        write(folder, fs::create_dir_all(folder))?;
        let path = folder.join(format!("{number:02}-{name}.sir"));
        write(&path, fs::write(&path, print_snapshot(self)))
    }
}
