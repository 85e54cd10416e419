//! Traffic over time, for one user, one node, or all users that an admin sees.

use super::Panel;
use super::users::{self, UserError};
use crate::domain::admin::Admin;
use crate::domain::ids::{AdminId, NodeId, UserId};
use crate::domain::usage_series::{Series, Span, Step};
use crate::store::StoreError;
use crate::store::usage::series::{self, Unfolded};

/// A user's traffic by the hour on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnNode {
    /// The node and its name; `None`: all nodes that are gone.
    pub node: Option<(NodeId, String)>,
    /// The traffic.
    pub series: Series,
}

/// A user's traffic by the hour, on each node where it had any in the span.
pub async fn of_user(
    panel: &Panel,
    admin: &Admin,
    username: &str,
    span: Span,
    unfolded: Unfolded,
) -> Result<Vec<OnNode>, UserError> {
    let user = users::get(panel, admin, username).await?;
    let nodes = series::of_user_by_node(&panel.db, user.id, span, unfolded).await?;
    let on_node =
        |node: series::NodeHours| OnNode { node: node.node, series: Series::new(span, Step::Hour, node.hours) };
    Ok(nodes.into_iter().map(on_node).collect())
}

/// A user's traffic on all nodes together, by the hour, or by the day when the span is long.
pub async fn of_subscription(panel: &Panel, user: UserId, span: Span) -> Result<Series, StoreError> {
    // Without what is not folded yet, for which all nodes' replies of the last minutes are read: anybody with a link may ask.
    let hours = series::of_user(&panel.db, user, span, Unfolded::Ignored).await?;
    Ok(Series::new(span, span.step_for_subscription(), hours))
}

/// The traffic of all users on a node, by the hour. `None`: there is no such node.
pub async fn of_node(panel: &Panel, node: NodeId, span: Span) -> Result<Option<Series>, StoreError> {
    let hours = series::of_node(&panel.db, node, span).await?;
    Ok(hours.map(|hours| Series::new(span, Step::Hour, hours)))
}

/// The traffic of an admin's users, or of all users, on all nodes, by the hour.
pub async fn of_all(
    panel: &Panel,
    owner: Option<AdminId>,
    span: Span,
    unfolded: Unfolded,
) -> Result<Series, StoreError> {
    let hours = match owner {
        None => series::of_all(&panel.db, span).await?,
        Some(owner) => series::of_owner(&panel.db, owner, span, unfolded).await?,
    };
    Ok(Series::new(span, Step::Hour, hours))
}
