//! Edges under test: real processes that follow the panels through proxies of their own, and the faults of the ways between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::cover::{Cover, Need};
use super::disks::Disk;
use super::panels::{Panel, Serving, start};
use super::ports::free_port;
use super::programs::Programs;
use super::proxy::{Proxy, ProxyFault};
use super::servers::Server;
use super::world::World;

/// An edge.
pub struct Edge {
    name: String,
    port: u16,
    /// To each panel, in the order in which the edge asks them.
    ways: Vec<Proxy>,
    /// Locked by a fault of the ways.
    way: Mutex<()>,
    process: Mutex<Option<Server>>,
    disk: Disk,
    programs: Arc<Programs>,
    folder: PathBuf,
    token: String,
    cover: Arc<Cover>,
}

impl Edge {
    /// An edge that follows these panels, `first` before the others.
    pub async fn new(number: usize, panels: &[Arc<Panel>], token: String) -> Result<Self> {
        let settings = &panels[0].settings;
        let name = format!("edge-{number}");
        let mut ways = Vec::new();
        // Each begins with another one.
        for place in 0..panels.len() {
            ways.push(Proxy::start(panels[(place + 2 * number) % panels.len()].port).await?);
        }
        Ok(Self {
            port: free_port(),
            ways,
            way: Mutex::new(()),
            process: Mutex::new(None),
            disk: Disk::create(settings.folder.join(&name), "16m")?,
            programs: settings.programs.clone(),
            folder: settings.folder.clone(),
            token,
            cover: settings.cover.clone(),
            name,
        })
    }
}

impl Serving for Edge {
    fn name(&self) -> &str {
        &self.name
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn is_edge(&self) -> bool {
        true
    }

    fn process(&self) -> &Mutex<Option<Server>> {
        &self.process
    }

    fn disk(&self) -> &Disk {
        &self.disk
    }

    fn cover(&self) -> &Arc<Cover> {
        &self.cover
    }

    fn spawn(&self) -> Result<Server> {
        let panels: Vec<String> = self.ways.iter().map(|way| format!("http://127.0.0.1:{}", way.port)).collect();
        let environment = [
            ("EDGE_PANELS", panels.join(",")),
            ("EDGE_TOKEN", self.token.clone()),
            ("INSTANCE_NAME", self.name.clone()),
            ("UVICORN_WORKERS", "2".to_owned()),
            ("UVICORN_HOST", "127.0.0.1".to_owned()),
            ("UVICORN_PORT", self.port.to_string()),
            ("DATA_DIR", self.disk.folder.display().to_string()),
            ("SUBSCRIPTION_MISSES_PER_MINUTE", "0".to_owned()),
        ];
        start(&self.name, "edge", self.programs.next(&self.name), &self.folder, &environment)
    }
}

/// Disturbs the ways of an edge to all panels, or to half of them.
pub async fn edge_way(world: &World, edge: &Edge, fault: ProxyFault, is_whole: bool, time: Duration) -> Result<bool> {
    let Ok(_way) = edge.way.try_lock() else { return Ok(false) };
    let _away = world.cover.disturb(&edge.name, Need::Source);
    let ways = if is_whole { &edge.ways[..] } else { &edge.ways[..edge.ways.len() / 2] };
    for way in ways {
        way.set(fault);
        if matches!(fault, ProxyFault::Clear | ProxyFault::Down) {
            way.cut();
        }
    }
    sleep(time).await;
    for way in ways {
        way.set(ProxyFault::Clear);
    }
    Ok(true)
}
