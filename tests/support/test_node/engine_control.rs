//! Controls of the engines' processes.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::control::Inner;
use super::engine::Event;
use super::process::{self, Behaviour};

impl Inner {
    /// Sets the behaviour of the engines.
    pub fn behave(&self, behaviour: Behaviour) {
        self.engine().processes.behaviour = behaviour;
    }

    /// Restarts the engines by themselves, which get the users in the node's memory.
    pub fn restart_engines(&self) {
        self.engine().restart();
    }

    /// Fails the next `calls` calls of RestartBackend.
    pub fn fail_restarts(&self, calls: u32) {
        self.restart_failures.store(calls, SeqCst);
    }

    /// Kills the real program.
    pub fn kill_program(&self) {
        if let Some(real) = &mut self.engine().processes.real {
            real.end();
        }
    }

    /// Ends an engine, which writes `line` to its log.
    pub fn kill_engine(&self, name: &str, line: &str) {
        let processes = &mut self.engine().processes;
        processes.dead.insert(name.to_owned());
        self.log(&format!("{line}\n"));
    }

    /// Starts an engine that ended.
    pub fn revive_engine(&self, name: &str) {
        let processes = &mut self.engine().processes;
        processes.dead.remove(name);
        self.log("2026/11/29 02:26:47.817257 [Warning] core: Xray 25.1.1 started\n");
    }

    /// Returns whether an engine runs, in fact.
    pub fn engine_runs(&self, name: &str) -> bool {
        self.engine().processes.run(name)
    }

    /// Returns the configuration that the node has stored for an engine.
    pub fn config(&self, name: &str) -> Option<String> {
        self.engine().configs.get(name).map(|(config, _)| config.clone())
    }

    /// Returns the number of calls of RestartBackend.
    pub fn restarts(&self) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::RestartBegan { .. })).count()
    }

    /// Returns the number of calls of GetBackendStats.
    pub fn stats_calls(&self) -> u64 {
        self.engine().processes.stats_calls
    }

    /// Replaces the stored configuration of an engine, without a restart.
    pub fn set_config(&self, name: &str, config: &str) {
        self.engine().configs.insert(name.to_owned(), (config.to_owned(), 1));
    }

    pub(super) fn takes_restart_failure(&self) -> bool {
        self.restart_failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// Saves a configuration and restarts the engine with it, as nodes do. The error: the node raises.
    pub(super) fn restart_engine(self: &Arc<Self>, name: &str, config: String, format: i32) -> Result<(), ()> {
        let verdict = process::verdict(&config);
        let behaviour = {
            let mut engine = self.engine();
            if let Some(inbounds) = process::inbounds(&config)
                && let Some(backend) = engine.backends.iter_mut().find(|backend| backend.name == name)
            {
                backend.inbounds = inbounds;
            }
            engine.restart();
            if let Some(real) = engine.processes.real.as_mut().filter(|real| real.name() == name) {
                real.restart(&config, self);
                engine.configs.insert(name.to_owned(), (config, format));
                return Ok(());
            }
            engine.processes.behaviour.clone()
        };
        let result = self.start_engine(name, verdict, &behaviour);
        self.engine().configs.insert(name.to_owned(), (config, format));
        result
    }

    fn start_engine(
        self: &Arc<Self>,
        name: &str,
        verdict: Result<(), String>,
        behaviour: &Behaviour,
    ) -> Result<(), ()> {
        let is_quiet = behaviour.is_quiet;
        if verdict.is_ok() || !behaviour.dies_after.is_zero() {
            if is_quiet {
                self.engine().processes.dead.remove(name);
            } else {
                self.revive_engine(name);
            }
        }
        let Err(line) = verdict else { return Ok(()) };
        let line = if is_quiet { String::new() } else { line };
        if behaviour.dies_after.is_zero() {
            self.kill_engine(name, &line);
            return if behaviour.raises { Err(()) } else { Ok(()) };
        }
        let (node, name, dies_after) = (self.clone(), name.to_owned(), behaviour.dies_after);
        tokio::spawn(async move {
            tokio::time::sleep(dies_after).await;
            node.kill_engine(&name, &line);
        });
        Ok(())
    }
}
