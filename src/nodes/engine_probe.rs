//! Asks the nodes every few seconds whether their engines run, also nodes whose sessions fail although they answer.
//!
//! An engine that does not run makes its node unhealthy, with the engine's own words. Only what is known counts: a node
//! that does not answer, or can't say, changes nothing. The node's word decides. Its log only explains: the lines that a node
//! remembers may be of an engine that it has started again since, and with the log level `error` no line says so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{NodeConnection, Target};
use super::engine_watch::buffered_reason;
use super::node_error::NodeError;
use super::session::Context;
use super::unfinished_changes;
use crate::domain::ids::NodeId;
use crate::domain::node::stopped_engine;
use crate::foundation::with_sources;
use crate::store::FenceError;
use crate::store::nodes::engines::{self, EngineRow, ReportedConfig};
use crate::store::nodes::sync_state;
use crate::store::nodes::{engine_changes, engine_configs};

/// Nodes that are asked at a time.
const AT_ONCE: usize = 64;
/// Time limit of an answer. A node that takes longer is asked again in the next pass.
const ANSWER: Duration = Duration::from_secs(3);
/// Time after which no further engine of a node is asked in a pass: all nodes wait for the slowest.
const NODE: Duration = Duration::from_secs(10);
/// Engines of a node that its message names.
const NAMED: usize = 3;

type Engine = (NodeId, String);

/// The knowledge of earlier passes.
#[derive(Debug, Default)]
struct EngineProbe {
    /// Engines that ran when they were last asked.
    ran: HashSet<Engine>,
    /// Engines whose configuration was asked for.
    read: HashSet<Engine>,
    /// Why engines do not run, as far as their logs say so.
    reasons: HashMap<Engine, Option<String>>,
}

/// A node's answer about an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Runs,
    Ended,
    /// The node does not know the call, or not for this engine.
    Unsupported,
    /// The node raised an error.
    Raised,
    Nothing,
}

/// The answers of a node.
struct Answers {
    node: NodeId,
    engines: Vec<(EngineRow, Answer)>,
    /// Why engines ended, as far as that was asked.
    reasons: HashMap<Engine, Option<String>>,
    configs: Vec<ReportedConfig>,
}

/// Takes over which engines did not run at the end of the last term, so that their nodes are not reported as healthy
/// until they are asked.
pub(super) async fn recall(context: &Context) {
    let rows = engines::all(context.fence.db()).await.unwrap_or_default();
    for row in rows.iter().filter(|row| !row.running) {
        context.health.set_engine_fault(NodeId(row.node_id), Some(text(&row.name, None)));
    }
}

/// Probes until `stop`.
pub(super) async fn probe_engines(context: &Arc<Context>, stop: &CancellationToken) {
    let mut probe = EngineProbe::default();
    let mut failing = false;
    while !stop.is_cancelled() {
        match stop.run_until_cancelled(probe.pass(context)).await {
            Some(Err(FenceError::Store(error))) if !std::mem::replace(&mut failing, true) => {
                let error = with_sources(&error);
                tracing::warn!(error, "could not read or save which engines run; trying again");
            }
            Some(Ok(())) => failing = false,
            _ => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(context.timing.probe_engines.0) => {}
            () = context.health.came_in_step() => {}
        }
    }
}

impl EngineProbe {
    /// Asks all nodes, and writes what changed.
    async fn pass(&mut self, context: &Arc<Context>) -> Result<(), FenceError> {
        let db = context.fence.db();
        let rows = sync_state::nodes(db).await?;
        let targets: HashMap<NodeId, Target> = rows.iter().map(|row| (NodeId(row.id), Target::from(row))).collect();
        // All nodes: the fault of one whose last engine is gone is over, too.
        let mut nodes: BTreeMap<NodeId, Vec<EngineRow>> = rows.iter().map(|row| (NodeId(row.id), Vec::new())).collect();
        for row in engines::all(db).await? {
            nodes.entry(NodeId(row.node_id)).or_default().push(row);
        }
        let mut sessions: HashMap<NodeId, NodeConnection> =
            context.health.connected().into_iter().map(|node| (node.id, node.connection)).collect();
        let asked = nodes.into_iter().filter_map(|(node, engines)| {
            let (session, target) = (sessions.remove(&node), targets.get(&node)?);
            Some(self.ask_node(context, node, engines, session, target))
        });
        let asked: Vec<_> = asked.collect();
        let open = engine_changes::all(db).await?;
        let mut answers: Vec<Answers> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        answers.sort_unstable_by_key(|answers| answers.node);

        self.forget_all_but(&answers);
        let (mut changes, mut configs) = (Vec::new(), Vec::new());
        for answers in answers {
            let of_node = open.iter().filter(|row| row.node_id == answers.node.0);
            let given_up: Vec<String> = of_node.filter_map(unfinished_changes::given_up).collect();
            configs.extend(self.learn(context, answers, given_up, &mut changes));
        }
        if !changes.is_empty() {
            self.log(&changes);
            engines::set_running(&context.fence, &changes).await?;
        }
        if !configs.is_empty() {
            engines::store_first(&context.fence, &configs, context.clock.now()).await?;
        }
        unfinished_changes::end_all(context, &targets, open, &self.ran);
        Ok(())
    }

    async fn ask_node(
        &self,
        context: &Context,
        node: NodeId,
        engines: Vec<EngineRow>,
        session: Option<NodeConnection>,
        target: &Target,
    ) -> Answers {
        let connection = match session {
            None if !engines.is_empty() && context.health.answers(node) => {
                let connecting = NodeConnection::connect(target, &context.identity);
                timeout(ANSWER, connecting).await.ok().and_then(Result::ok)
            }
            session => session,
        };
        let mut answers = Answers { node, engines: Vec::new(), reasons: HashMap::new(), configs: Vec::new() };
        let end = Instant::now() + NODE;
        for row in engines {
            let engine = (node, row.name.clone());
            let mut answer = Answer::Nothing;
            if let Some(connection) = connection.as_ref().filter(|_| Instant::now() < end) {
                answer = ask(connection, &row.name).await;
                if row.running && matches!(answer, Answer::Ended | Answer::Raised) {
                    // A restart takes a moment.
                    sleep(context.timing.probe_engines.1).await;
                    answer = ask(connection, &row.name).await;
                }
                let explains = answer != Answer::Nothing && !self.reasons.contains_key(&engine);
                if explains && self.has_ended(&row, answer, &engine) {
                    answers.reasons.insert(engine.clone(), buffered_reason(connection, &row.name).await);
                }
                if answer == Answer::Runs && self.needs_config(&row, &engine) {
                    answers.configs.extend(read_config(connection, node, &row.name).await);
                }
            }
            answers.engines.push((row, answer));
        }
        answers
    }

    fn has_ended(&self, row: &EngineRow, answer: Answer, engine: &Engine) -> bool {
        match answer {
            Answer::Runs | Answer::Unsupported => false,
            Answer::Ended => true,
            // An engine that never ran in this term may be one about which the node can't say anything.
            Answer::Raised => !row.running || self.ran.contains(engine),
            Answer::Nothing => !row.running,
        }
    }

    /// The first configuration is stored when the engine has run for two passes.
    fn needs_config(&self, row: &EngineRow, engine: &Engine) -> bool {
        !row.has_config && self.ran.contains(engine) && !self.read.contains(engine)
    }

    /// Takes a node's answers over. Returns configurations to store.
    fn learn(
        &mut self,
        context: &Context,
        answers: Answers,
        given_up: Vec<String>,
        changes: &mut Vec<(NodeId, String, bool)>,
    ) -> Vec<ReportedConfig> {
        let node = answers.node;
        self.reasons.extend(answers.reasons);
        let mut ended = Vec::new();
        for (row, answer) in answers.engines {
            let engine = (node, row.name.clone());
            let has_ended = self.has_ended(&row, answer, &engine);
            if answer == Answer::Runs && self.needs_config(&row, &engine) {
                self.read.insert(engine.clone());
            }
            match answer {
                Answer::Runs => drop(self.ran.insert(engine.clone())),
                _ if has_ended => drop(self.ran.remove(&engine)),
                _ => {}
            }
            if has_ended {
                let reason = self.reasons.get(&engine).and_then(Option::as_deref);
                ended.push(text(&engine.1, reason));
            } else {
                self.reasons.remove(&engine);
            }
            if row.running == has_ended {
                changes.push((node, row.name, !has_ended));
            }
        }
        ended.extend(given_up);
        context.health.set_engine_fault(node, summary(&ended));
        answers.configs
    }

    /// Forgets engines that no node has any more.
    fn forget_all_but(&mut self, answers: &[Answers]) {
        let rows = answers.iter().flat_map(|answers| answers.engines.iter().map(|(row, _)| (answers.node, &row.name)));
        let known: HashSet<Engine> = rows.map(|(node, name)| (node, name.clone())).collect();
        self.ran.retain(|engine| known.contains(engine));
        self.read.retain(|engine| known.contains(engine));
        self.reasons.retain(|engine, _| known.contains(engine));
    }

    fn log(&self, changes: &[(NodeId, String, bool)]) {
        for (node, engine, runs) in changes {
            if *runs {
                tracing::info!(node = node.0, engine, "an engine runs again");
            } else {
                let reason = self.reasons.get(&(*node, engine.clone())).cloned().flatten();
                tracing::warn!(node = node.0, engine, reason, "an engine does not run");
            }
        }
    }
}

async fn ask(connection: &NodeConnection, engine: &str) -> Answer {
    match timeout(ANSWER, connection.backend_stats(engine.to_owned())).await {
        Ok(Ok(stats)) if stats.running => Answer::Runs,
        Ok(Ok(_)) => Answer::Ended,
        Ok(Err(error)) if error.is_unsupported() => Answer::Unsupported,
        Ok(Err(NodeError::Refused { .. })) => Answer::Raised,
        Ok(Err(_)) | Err(_) => Answer::Nothing,
    }
}

async fn read_config(connection: &NodeConnection, node: NodeId, engine: &str) -> Option<ReportedConfig> {
    let read = timeout(ANSWER, connection.backend_config(engine.to_owned())).await.ok()?.ok()?;
    let (config, format) = (read.configuration, read.config_format);
    engine_configs::can_store(&config).then(|| ReportedConfig { node, engine: engine.to_owned(), config, format })
}

/// Returns that an engine does not run, and why.
fn text(engine: &str, reason: Option<&str>) -> String {
    let stopped = stopped_engine(engine);
    match reason {
        Some(reason) => format!("{stopped}: {reason}"),
        None => format!("{stopped}; see its log, and correct or restore its configuration"),
    }
}

fn summary(ended: &[String]) -> Option<String> {
    let named = ended.get(..NAMED).unwrap_or(ended).join("; ");
    match ended.len() {
        0 => None,
        count if count > NAMED => Some(format!("{named}; and {} more engines do not run", count - NAMED)),
        _ => Some(named),
    }
}
