//! Explains a subscription: for each host of a user, if one client gets it, and why not.

use rand::Rng;

use crate::domain::ids::{HostId, NodeId};
use crate::domain::programs::Program;

use super::client_rules::ClientRules;
use super::format::Format;
use super::refusal::Reason;
use super::request::Request;
use super::{LeftOut, Rendered, render};

/// One client's subscription, host by host.
#[derive(Debug)]
pub struct Explanation {
    /// The format that the client gets; `None`: the web page, or nothing.
    pub format: Option<&'static Format>,
    /// The known program, if it is one.
    pub program: Option<&'static Program>,
    /// The version of its core, if the client tells it, as in `1.12.0`.
    pub core_version: Option<String>,
    /// The user's hosts, in the order of the document.
    pub hosts: Vec<ExplainedHost>,
    /// The document; `None`: the web page, or nothing.
    pub document: Option<String>,
}

/// One host of a user.
#[derive(Debug)]
pub struct ExplainedHost {
    /// The host.
    pub id: HostId,
    /// The name, with variables in braces.
    pub remark: String,
    /// The node of its inbound.
    pub node: Option<NodeId>,
    /// Why the host is not in the document; `None`: it is.
    pub left_out: Option<Reason>,
}

/// Explains what the client of the request gets: in this format, or in the one that the rules choose.
pub fn explain(
    format: Option<&'static Format>,
    rules: &ClientRules,
    request: &Request<'_>,
    rng: &mut dyn Rng,
) -> Explanation {
    let format = format.or_else(|| Format::from_rule_result(rules.result(request.client.user_agent())?));
    let program = request.client.program();
    let core_version = request.client.core_version().map(|version| version.to_string());
    let Some(format) = format else {
        return Explanation { format, program, core_version, hosts: Vec::new(), document: None };
    };
    let Rendered { body, left_out, .. } = render(format, request, rng);
    let hosts = hosts(&left_out, request);
    Explanation { format: Some(format), program, core_version, hosts, document: Some(body) }
}

/// Ids and names of the disabled hosts that the user of the request would get.
pub fn disabled_hosts<'a>(request: &'a Request<'_>) -> impl Iterator<Item = (HostId, &'a str)> {
    let hosts = request.catalogue.disabled_of_services(&request.variables.user().service_ids);
    hosts.map(|host| (host.id, host.spec.remark.as_str()))
}

fn hosts(left_out: &[LeftOut], request: &Request<'_>) -> Vec<ExplainedHost> {
    let inactive = request.is_for_placeholder().then_some("the account does not work: only its reason is shown");
    let seen = request.catalogue.of_services(&request.variables.user().service_ids);
    seen.map(|host| ExplainedHost {
        id: host.id,
        remark: host.spec.remark.clone(),
        node: host.node,
        left_out: inactive.or_else(|| left_out.iter().find(|left| left.host == host.id).map(|left| left.reason)),
    })
    .collect()
}
