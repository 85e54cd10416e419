//! Finds out how many nodes this process reaches: one TCP connection to each enabled node per round, closed at once. The
//! leader and every other panel do the same, so that their numbers compare.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::domain::node_reach::NodeReach;
use crate::foundation::with_sources;
use crate::store::Db;
use crate::store::nodes::sync_state;
use crate::store::nodes::sync_state::NodeRow;

/// Time limit of a connection, look-up of the name included.
const LIMIT: Duration = Duration::from_secs(3);
/// Connections that are open or being opened at the same time.
const AT_ONCE: usize = 32;

/// Intervals of the connections.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time of a round, over which its connections are spread.
    pub round: Duration,
    /// Shortest pause between two connections: many nodes take longer than a round.
    pub pause: Duration,
}

impl Default for Pace {
    /// A hundred nodes: three connections a second. A thousand: ten a second, and 100 s for a round.
    fn default() -> Self {
        Self { round: Duration::from_secs(30), pause: Duration::from_millis(100) }
    }
}

/// Connects to the nodes, round after round, and passes each result to `report`; `None` if the nodes can't be read.
pub async fn watch(db: Db, pace: Pace, report: impl Fn(Option<NodeReach>)) {
    loop {
        let begun = Instant::now();
        match sync_state::nodes(&db).await {
            Ok(mut nodes) => {
                nodes.retain(|node| node.is_enabled());
                let reach = round(nodes, pace).await;
                metrics::gauge!("nodes_reachable").set(f64::from(reach.reached));
                metrics::gauge!("nodes_probed").set(f64::from(reach.enabled));
                report(Some(reach));
            }
            Err(error) => {
                tracing::debug!(error = with_sources(&error), "could not read the nodes to connect to");
                report(None);
                sleep(pace.round / 10).await;
                continue;
            }
        }
        sleep_until(begun + pace.round).await;
    }
}

async fn round(nodes: Vec<NodeRow>, pace: Pace) -> NodeReach {
    let enabled = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let pause = (pace.round / enabled.max(1)).max(pace.pause);
    let begun = Instant::now();
    let paced = stream::iter((0..).zip(nodes)).then(move |(index, node)| async move {
        sleep_until(begun + pause * index).await;
        node
    });
    let reached = paced.map(accepts).buffer_unordered(AT_ONCE).filter(|accepts| std::future::ready(*accepts)).count();
    NodeReach { reached: u32::try_from(reached.await).unwrap_or(u32::MAX), enabled }
}

/// True if a TCP connection to the node can be opened.
async fn accepts(node: NodeRow) -> bool {
    let Ok(port) = u16::try_from(node.port) else { return false };
    let connecting = timeout(LIMIT, TcpStream::connect((node.address.as_str(), port)));
    matches!(connecting.await, Ok(Ok(_)))
}
