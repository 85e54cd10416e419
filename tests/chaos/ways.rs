//! Injects faults into the connections between panels, servers and the node.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use sqlx::Connection;
use tokio::time::sleep;

use super::cover::{Need, disturb_all};
use super::panels::Panel;
use super::proxy::{Proxy, ProxyFault};
use super::world::World;

pub async fn database_way(world: &World, panel: &Panel, fault: ProxyFault, time: Duration) -> Result<bool> {
    let Ok(_way) = panel.database_way.try_lock() else { return Ok(false) };
    let away = world.cover.disturb(&panel.name, Need::Source);
    world.witness.excuse(&panel.name);
    apply(&panel.database, fault, time).await;
    drop(away);
    world.settle(&panel.name);
    if fault == ProxyFault::Lost {
        world.recover(&[panel]).await;
    }
    Ok(true)
}

pub async fn redis_way(world: &World, panel: &Panel, fault: ProxyFault, time: Duration) -> Result<bool> {
    let Ok(_way) = panel.redis_way.try_lock() else { return Ok(false) };
    apply(&panel.redis, fault, time).await;
    if fault == ProxyFault::Lost {
        world.recover(&[panel]).await;
    }
    Ok(true)
}

/// The way from all panels to the node.
pub async fn node_way(world: &World, fault: ProxyFault, time: Duration) -> Result<bool> {
    let Ok(_way) = world.node_way.try_lock() else { return Ok(false) };
    // A reply that is on its way at the beginning, or to a request that arrives at the end, has no receiver any more.
    world.record_process_fault("node", "cut");
    apply(&world.node_proxy, fault, time).await;
    world.record_process_fault("node", "healed");
    Ok(true)
}

/// The host of the database loses its power in the middle of statements: changes of all panels wait for a lock, nothing is
/// answered and no connection is closed. The server comes back before the network does.
pub async fn database_host_lost(world: &World, time: Duration) -> Result<bool> {
    let Ok(mut postgres) = world.postgres.try_lock() else { return Ok(false) };
    let mut ways = Vec::new();
    for panel in &world.panels {
        let Ok(way) = panel.database_way.try_lock() else { return Ok(false) };
        ways.push(way);
    }
    let _away = disturb_all(world, Need::Source);
    world.witness.excuse("");
    let url = format!("postgresql://postgres@127.0.0.1:{}/sarban", postgres.port);
    let mut holder = sqlx::PgConnection::connect(&url).await?;
    sqlx::raw_sql("BEGIN; SELECT 1 FROM users FOR UPDATE").execute(&mut holder).await?;
    // Statements of several changes wait by then.
    sleep(Duration::from_millis(500)).await;
    for panel in &world.panels {
        panel.database.set(ProxyFault::Lost);
    }
    let restarted = postgres.restart(Signal::QUIT).await;
    sleep(time).await;
    for panel in &world.panels {
        panel.database.set(ProxyFault::Clear);
    }
    let panels: Vec<&Panel> = world.panels.iter().map(|panel| &**panel).collect();
    restarted?;
    world.recover(&panels).await;
    world.settle("");
    drop((ways, holder));
    Ok(true)
}

async fn apply(proxy: &Proxy, fault: ProxyFault, time: Duration) {
    proxy.set(fault);
    if matches!(fault, ProxyFault::Clear | ProxyFault::Down) {
        proxy.cut();
    }
    sleep(time).await;
    proxy.set(ProxyFault::Clear);
}
