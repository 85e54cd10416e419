//! Findings about the nodes of a user.

use super::facts::{Facts, NodeFacts};
use super::finding::{Code, Details, Finding, Severity};
use crate::domain::node::{NodeStatus, names_stopped_engine};

pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    // Without any node that works, each is an error.
    let severity = if facts.nodes.iter().any(NodeFacts::works) { Severity::Warning } else { Severity::Error };
    if facts.nodes.is_empty() {
        // A user without services has a finding for that.
        let severity = if facts.has_way() { Severity::Info } else { Severity::Error };
        let text = "no node has an inbound of the user".to_owned();
        let object = facts.user_object();
        let none = Finding { code: Code::NoNode, severity, text, object, details: Details::default() };
        return if facts.services.is_empty() { Vec::new() } else { vec![none] };
    }
    let mut found: Vec<Finding> = facts.nodes.iter().flat_map(|node| of_node(node, severity)).collect();
    if let Some(since) = facts.waiting_since {
        let connected = |node: &&NodeFacts| node.connected && node.status == NodeStatus::Healthy;
        found.extend(facts.nodes.iter().filter(connected).map(|node| Finding {
            code: Code::ChangePending,
            severity: Severity::Warning,
            text: format!("the node {} may not have the change of {} yet", node.name, since.utc_iso()),
            object: node.object(),
            details: Details { since: Some(since), ..Details::default() },
        }));
    }
    found
}

fn of_node(node: &NodeFacts, severity: Severity) -> Vec<Finding> {
    let name = &node.name;
    let reason = || node.message.clone().filter(|message| !message.is_empty());
    let because = || reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    let finding =
        |code, severity, text: String, details| Finding { code, severity, text, object: node.object(), details };
    let since = Details { since: node.status_since, ..Details::default() };
    match (node.status, node.synced_at) {
        (NodeStatus::Disabled, _) => {
            let text = format!("the node {name} is disabled; enable it, or move the user to another service");
            vec![finding(Code::NodeDisabled, severity, text, since)]
        }
        (NodeStatus::Unhealthy, None) => {
            let text = format!("the panel has never been connected to the node {name}{}", because());
            vec![finding(Code::NodeNeverConnected, severity, text, Details { reason: reason(), ..Details::default() })]
        }
        (NodeStatus::Unhealthy, Some(_)) => {
            // A node whose engine ended is connected, and its message names the engine.
            let named = |engine: &&String| node.message.as_ref().is_none_or(|text| names_stopped_engine(text, engine));
            let stopped: Vec<_> = node.stopped_engines.iter().filter(named).collect();
            if stopped.is_empty() || !node.connected {
                let text = format!("the node {name} is unhealthy{}", because());
                return vec![finding(Code::NodeUnhealthy, severity, text, Details { reason: reason(), ..since })];
            }
            stopped.into_iter().map(|engine| stopped_engine(node, engine, severity)).collect()
        }
        (NodeStatus::Healthy, _) if !node.connected => {
            let text = format!("the node {name} waits for its full list of users; the panel is sending it");
            let details = Details { since: node.synced_at, ..Details::default() };
            vec![finding(Code::NodeOutOfStep, Severity::Warning, text, details)]
        }
        (NodeStatus::Healthy, _) => {
            let severity = if node.has_running_engine { Severity::Warning } else { severity };
            node.stopped_engines.iter().map(|engine| stopped_engine(node, engine, severity)).collect()
        }
    }
}

fn stopped_engine(node: &NodeFacts, engine: &str, severity: Severity) -> Finding {
    let reason = node.message.clone().filter(|message| names_stopped_engine(message, engine));
    let name = &node.name;
    let text = match &reason {
        Some(reason) => format!("on the node {name}, {reason}"),
        None => format!("the engine {engine} of the node {name} does not run; see its log"),
    };
    let details = Details { engine: Some(engine.to_owned()), reason, since: node.status_since, ..Details::default() };
    Finding { code: Code::EngineStopped, severity, text, object: node.object(), details }
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample::{NOW, codes, node, nothing_wrong};
    use super::*;
    use crate::domain::moment::HOUR;

    fn of(nodes: Vec<NodeFacts>) -> Vec<Finding> {
        findings(&Facts { nodes, ..nothing_wrong() })
    }

    fn unhealthy(id: i64, message: &str) -> NodeFacts {
        NodeFacts { status: NodeStatus::Unhealthy, message: Some(message.to_owned()), connected: false, ..node(id) }
    }

    #[test]
    fn node_out_of_service_is_an_error_only_while_no_other_works() {
        let disabled = NodeFacts { status: NodeStatus::Disabled, connected: false, ..node(1) };
        let never = NodeFacts { synced_at: None, ..unhealthy(2, "connection refused") };
        let broken = unhealthy(3, "timeout");
        let found = of(vec![disabled.clone(), never.clone(), broken.clone()]);
        assert_eq!(codes(&found), [Code::NodeDisabled, Code::NodeNeverConnected, Code::NodeUnhealthy]);
        assert!(found.iter().all(|finding| finding.severity == Severity::Error));
        assert_eq!(found[1].details.reason.as_deref(), Some("connection refused"));
        assert!(found[2].text.ends_with("the node node 3 is unhealthy: timeout"), "{}", found[2].text);
        assert_eq!(found[2].details.since, Some(NOW.plus(-HOUR)));
        let found = of(vec![disabled, never, broken, node(4)]);
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|finding| finding.severity == Severity::Warning));
    }

    #[test]
    fn reason_that_the_reader_may_not_see_is_not_in_the_text() {
        let found = of(vec![NodeFacts { message: None, ..unhealthy(1, "") }]);
        assert_eq!((found[0].text.as_str(), &found[0].details.reason), ("the node node 1 is unhealthy", &None));
    }

    #[test]
    fn ended_engine_of_a_connected_node_is_named_instead_of_the_node() {
        let message = "the engine xray does not run: out of memory";
        let engines = vec!["sing-box".to_owned(), "xray".to_owned()];
        let ended = NodeFacts {
            connected: true,
            stopped_engines: engines.clone(),
            has_running_engine: false,
            ..unhealthy(1, message)
        };
        let found = of(vec![ended.clone()]);
        assert_eq!(codes(&found), [Code::EngineStopped]);
        assert_eq!(found[0].details.engine.as_deref(), Some("xray"));
        assert_eq!((found[0].severity, found[0].details.reason.as_deref()), (Severity::Error, Some(message)));
        let hidden = of(vec![NodeFacts { message: None, ..ended.clone() }]);
        assert_eq!(codes(&hidden), [Code::EngineStopped, Code::EngineStopped]);
        let unreachable = NodeFacts { message: Some("timeout".to_owned()), ..ended };
        assert_eq!(codes(&of(vec![unreachable])), [Code::NodeUnhealthy]);
        let other_runs = NodeFacts { stopped_engines: engines, ..node(1) };
        let found = of(vec![other_runs]);
        assert!(found.len() == 2 && found.iter().all(|finding| finding.severity == Severity::Warning));
    }

    #[test]
    fn connected_nodes_may_lack_a_change_until_all_have_confirmed_it() {
        let facts =
            Facts { nodes: vec![node(1), unhealthy(2, "timeout")], waiting_since: Some(NOW), ..nothing_wrong() };
        let found = findings(&facts);
        assert_eq!(codes(&found), [Code::NodeUnhealthy, Code::ChangePending]);
        assert_eq!((found[1].object.id, found[1].details.since), (1, Some(NOW)));
    }

    #[test]
    fn healthy_node_without_its_full_list_is_out_of_step() {
        assert_eq!(codes(&of(vec![NodeFacts { connected: false, ..node(1) }])), [Code::NodeOutOfStep]);
    }

    #[test]
    fn no_node_is_an_error_unless_a_host_leads_elsewhere() {
        let found = findings(&Facts { nodes: Vec::new(), hosts: Vec::new(), ..nothing_wrong() });
        assert_eq!((codes(&found), found[0].severity), (vec![Code::NoNode], Severity::Error));
        let found = findings(&Facts { nodes: Vec::new(), ..nothing_wrong() });
        assert_eq!((codes(&found), found[0].severity), (vec![Code::NoNode], Severity::Info));
        assert_eq!(codes(&findings(&Facts { nodes: Vec::new(), services: Vec::new(), ..nothing_wrong() })), []);
    }
}
