//! Injects faults into processes and servers; those of the connections between them are in `ways`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Connection;
use tokio::time::{Instant, sleep};

use super::cover::{ALL, Need, disturb_all};
use super::edges::edge_way;
use super::kinds::Kind;
use super::panels::{Panel, Serving, ensure_running, terminate};
use super::proxy::ProxyFault;
use super::ways::{database_host_lost, database_way, node_way, redis_way};
use super::world::World;
use super::{backups, copies, fetches, threads};

use Kind::{
    BackUpDiskFull, BackUpKilled, BackUpUnderFaults, BackendStopped11Ttl, BackendStopped22Ttl, BackendStoppedHalfTtl,
    BackendsTerminated, CopyDiskFull, CopyFileDamaged, CopyFileDeleted, DatabaseCrashed, DatabaseFull,
    DatabaseHostLost, DatabaseReadOnly, DatabaseRestarted, DatabaseWayCut, DatabaseWayDelayed, DatabaseWayDown,
    DatabaseWayHalfOpen, DatabaseWayHeld, DatabaseWayHeldOneWay, DatabaseWayLost, EdgeDiskFull, EdgeFileDamaged,
    EdgeFileDeleted, EdgeKilled, EdgeStopped22Ttl, EdgeTerminated, EdgeWayCut, EdgeWayDown, EdgeWayHalfOpen,
    EdgeWayHeld, EdgeWayLost, LeaseThreadBlocked, NodeWayDelayed, NodeWayHeld, NodeWayLost, ProcessKilled,
    ProcessStopped11Ttl, ProcessStopped22Ttl, ProcessStoppedHalfTtl, ProcessStoppedInTransaction, ProcessTerminated,
    ProcessesAllTerminated, RedisClientPause, RedisFlushed, RedisKilledKeepsData, RedisKilledLosesData,
    RedisStopped11Ttl, RedisStopped22Ttl, RedisStoppedHalfTtl, RedisWayCut, RedisWayDelayed, RedisWayDown,
    RedisWayHalfOpen, RedisWayHeld, RedisWayHeldOneWay, RedisWayLost, ScheduledBackUpKilled, SentinelFailover,
    SpoolFull, WorkersBlocked,
};

/// Injects one fault and undoes it. Returns false if another fault holds the target, and nothing was done.
pub async fn inject(kind: Kind, world: Arc<World>, seed: u64) -> Result<bool> {
    let mut rng = StdRng::seed_from_u64(seed);
    let panel = world.pick(&mut rng);
    let edge = world.edges[rng.random_range(0..world.edges.len())].clone();
    let ttl = world.ttl;
    let _slow = kind.disturbs_subscriptions().then(|| world.cover.disturb(ALL, Need::Pace));
    let random_time = |rng: &mut StdRng| ttl.mul_f64([0.5, 1.1, 2.2][rng.random_range(0..3)]);
    match kind {
        ProcessKilled => killed(&world, &*panel, rng.random_range(100..2_000)).await,
        ProcessTerminated => terminated(&world, &*panel).await,
        ProcessStoppedHalfTtl => stopped(&world, &*panel, ttl.mul_f64(0.5)).await,
        ProcessStopped11Ttl => stopped(&world, &*panel, ttl.mul_f64(1.1)).await,
        ProcessStopped22Ttl => stopped(&world, &*panel, ttl.mul_f64(2.2)).await,
        ProcessStoppedInTransaction => stopped_in_transaction(&world, ttl.mul_f64(2.2)).await,
        ProcessesAllTerminated => rolling_restart(&world).await,
        WorkersBlocked => workers_blocked(&world, &panel, ttl * 2).await,
        LeaseThreadBlocked => lease_thread_blocked(&world, &panel, ttl.mul_f64(2.2)).await,
        RedisStoppedHalfTtl => redis_stopped(&world, ttl.mul_f64(0.5)).await,
        RedisStopped11Ttl => redis_stopped(&world, ttl.mul_f64(1.1)).await,
        RedisStopped22Ttl => redis_stopped(&world, ttl.mul_f64(2.2)).await,
        RedisKilledKeepsData => redis_killed(&world, false, rng.random_range(50..2_000)).await,
        RedisKilledLosesData => redis_killed(&world, true, rng.random_range(50..2_000)).await,
        RedisFlushed => world.redis_command(&["FLUSHALL"]).await,
        RedisClientPause => {
            world.redis_command(&["CLIENT", "PAUSE", &random_time(&mut rng).as_millis().to_string()]).await
        }
        SentinelFailover => failover(&world).await,
        BackendStoppedHalfTtl => backend_stopped(&world, &panel, ttl.mul_f64(0.5)).await,
        BackendStopped11Ttl => backend_stopped(&world, &panel, ttl.mul_f64(1.1)).await,
        BackendStopped22Ttl => backend_stopped(&world, &panel, ttl.mul_f64(2.2)).await,
        BackendsTerminated => backends_terminated(&world, &panel).await,
        DatabaseRestarted => database_restarted(&world, Signal::INT).await,
        DatabaseCrashed => database_restarted(&world, Signal::QUIT).await,
        DatabaseFull => database_full(&world, ttl).await,
        DatabaseWayHeld => database_way(&world, &panel, ProxyFault::Hold, random_time(&mut rng)).await,
        DatabaseWayHeldOneWay => {
            let fault = if rng.random_bool(0.5) { ProxyFault::HoldRequests } else { ProxyFault::HoldAnswers };
            database_way(&world, &panel, fault, random_time(&mut rng)).await
        }
        DatabaseWayDelayed => {
            let fault = ProxyFault::Delay(Duration::from_millis(rng.random_range(20..300)));
            database_way(&world, &panel, fault, random_time(&mut rng)).await
        }
        DatabaseWayHalfOpen => database_way(&world, &panel, ProxyFault::HalfOpen, random_time(&mut rng)).await,
        DatabaseWayCut => database_way(&world, &panel, ProxyFault::Clear, Duration::ZERO).await,
        DatabaseWayDown => database_way(&world, &panel, ProxyFault::Down, random_time(&mut rng)).await,
        DatabaseWayLost => database_way(&world, &panel, ProxyFault::Lost, random_time(&mut rng)).await,
        DatabaseHostLost => database_host_lost(&world, random_time(&mut rng)).await,
        RedisWayHeld => redis_way(&world, &panel, ProxyFault::Hold, random_time(&mut rng)).await,
        RedisWayHeldOneWay => {
            let fault = if rng.random_bool(0.5) { ProxyFault::HoldRequests } else { ProxyFault::HoldAnswers };
            redis_way(&world, &panel, fault, random_time(&mut rng)).await
        }
        RedisWayDelayed => {
            let fault = ProxyFault::Delay(Duration::from_millis(rng.random_range(20..300)));
            redis_way(&world, &panel, fault, random_time(&mut rng)).await
        }
        RedisWayHalfOpen => redis_way(&world, &panel, ProxyFault::HalfOpen, random_time(&mut rng)).await,
        RedisWayCut => redis_way(&world, &panel, ProxyFault::Clear, Duration::ZERO).await,
        RedisWayDown => redis_way(&world, &panel, ProxyFault::Down, random_time(&mut rng)).await,
        RedisWayLost => redis_way(&world, &panel, ProxyFault::Lost, random_time(&mut rng)).await,
        NodeWayHeld => node_way(&world, ProxyFault::Hold, random_time(&mut rng)).await,
        NodeWayDelayed => {
            let fault = ProxyFault::Delay(Duration::from_millis(rng.random_range(20..300)));
            node_way(&world, fault, random_time(&mut rng)).await
        }
        NodeWayLost => node_way(&world, ProxyFault::Lost, random_time(&mut rng)).await,
        SpoolFull => world.fill_spool(ttl).await,
        CopyFileDamaged => copies::damaged(&world, &*panel, &mut rng).await,
        CopyFileDeleted => copies::deleted(&world, &*panel).await,
        CopyDiskFull => copies::disk_filled(&*panel, ttl * 2).await,
        DatabaseReadOnly => database_read_only(&world, ttl).await,
        EdgeKilled => killed(&world, &*edge, rng.random_range(100..2_000)).await,
        EdgeTerminated => terminated(&world, &*edge).await,
        EdgeStopped22Ttl => stopped(&world, &*edge, ttl.mul_f64(2.2)).await,
        EdgeFileDamaged => copies::damaged(&world, &*edge, &mut rng).await,
        EdgeFileDeleted => copies::deleted(&world, &*edge).await,
        EdgeDiskFull => copies::disk_filled(&*edge, ttl * 2).await,
        EdgeWayHeld => edge_way(&world, &edge, ProxyFault::Hold, rng.random_bool(0.5), random_time(&mut rng)).await,
        EdgeWayHalfOpen => {
            edge_way(&world, &edge, ProxyFault::HalfOpen, rng.random_bool(0.5), random_time(&mut rng)).await
        }
        EdgeWayCut => edge_way(&world, &edge, ProxyFault::Clear, true, Duration::ZERO).await,
        EdgeWayDown => edge_way(&world, &edge, ProxyFault::Down, rng.random_bool(0.5), random_time(&mut rng)).await,
        EdgeWayLost => edge_way(&world, &edge, ProxyFault::Lost, rng.random_bool(0.5), random_time(&mut rng)).await,
        BackUpKilled => backups::killed(&world, &mut rng).await,
        BackUpDiskFull => backups::disk_filled(&world).await,
        BackUpUnderFaults => backups::under_faults(&world, &panel).await,
        ScheduledBackUpKilled => backups::scheduled_killed(&world, &mut rng).await,
    }
}

pub async fn killed(world: &World, server: &dyn Serving, down_ms: u64) -> Result<bool> {
    let Ok(mut process) = server.process().try_lock() else { return Ok(false) };
    let Some(mut running) = process.take() else { return Ok(false) };
    let _gone = world.cover.disturb(server.name(), Need::Process);
    world.witness.excuse(server.name());
    world.record_process_fault(server.name(), "killed");
    running.kill();
    world.cover.forget(server.name(), fetches::IN_MEMORY);
    sleep(Duration::from_millis(down_ms)).await;
    ensure_running(server, &mut process)?;
    world.settle(server.name());
    Ok(true)
}

/// Sends SIGTERM to a process, and starts it again when it has exited.
pub async fn terminated(world: &World, server: &dyn Serving) -> Result<bool> {
    let Ok(mut process) = server.process().try_lock() else { return Ok(false) };
    let _gone = world.cover.disturb(server.name(), Need::Process);
    world.witness.excuse(server.name());
    world.record_process_fault(server.name(), "terminated");
    terminate(server, &mut process).await?;
    ensure_running(server, &mut process)?;
    world.settle(server.name());
    Ok(true)
}

async fn rolling_restart(world: &World) -> Result<bool> {
    let mut any = false;
    for panel in &world.panels {
        any |= terminated(world, &**panel).await?;
        let end = Instant::now() + Duration::from_secs(10);
        while panel.health(&world.http).await.is_none() && Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(any)
}

async fn stopped(world: &World, server: &dyn Serving, time: Duration) -> Result<bool> {
    let Ok(process) = server.process().try_lock() else { return Ok(false) };
    let Some(running) = &*process else { return Ok(false) };
    let _gone = world.cover.disturb(server.name(), Need::Process);
    world.witness.excuse(server.name());
    if time > world.ttl {
        world.record_process_fault(server.name(), "stopped");
    }
    running.signal(Signal::STOP);
    sleep(time).await;
    running.signal(Signal::CONT);
    world.settle(server.name());
    Ok(true)
}

/// Stops the leader inside a task's transaction for longer than the lease: another process leads when the leader
/// continues and commits, and the fence must refuse the commit.
async fn stopped_in_transaction(world: &World, time: Duration) -> Result<bool> {
    const WRITING: &str = "SELECT l.host FROM scheduler_lease AS l
        JOIN pg_stat_activity AS a ON a.application_name = 'sarban-task-' || l.holder
        WHERE l.id = 1 AND NOT l.released AND a.xact_start IS NOT NULL LIMIT 1";
    let end = Instant::now() + world.ttl;
    while Instant::now() < end {
        let writing: Option<String> = sqlx::query_scalar(WRITING).fetch_optional(&world.witness.pool).await?;
        let panel = world.panels.iter().find(|panel| Some(&panel.name) == writing.as_ref());
        if let Some(panel) = panel {
            return stopped(world, &**panel, time).await;
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(false)
}

/// Blocks the worker threads of a process. The leader must keep the lease, so this fault excuses no change of leader.
async fn workers_blocked(world: &World, panel: &Panel, time: Duration) -> Result<bool> {
    let Ok(process) = panel.process.try_lock() else { return Ok(false) };
    let Some(server) = &*process else { return Ok(false) };
    hold(world, server.id(), threads::WORKERS, time).await
}

/// Blocks the thread of the lease and of the scheduler's loop: the worker threads go on and must notice.
async fn lease_thread_blocked(world: &World, panel: &Panel, time: Duration) -> Result<bool> {
    let Ok(process) = panel.process.try_lock() else { return Ok(false) };
    let Some(server) = &*process else { return Ok(false) };
    world.witness.excuse(&panel.name);
    let held = hold(world, server.id(), threads::LEASE, time).await;
    world.settle(&panel.name);
    held
}

async fn hold(world: &World, process: u32, name: &'static str, time: Duration) -> Result<bool> {
    match tokio::task::spawn_blocking(move || threads::hold(process, name, || std::thread::sleep(time))).await? {
        Ok(()) => Ok(true),
        Err(error) => {
            println!("{:7.1} s  no threads were held: {error:#}", world.witness.seconds());
            Ok(false)
        }
    }
}

async fn redis_stopped(world: &World, time: Duration) -> Result<bool> {
    let Ok(redis) = world.redis.try_lock() else { return Ok(false) };
    redis[0].signal(Signal::STOP);
    sleep(time).await;
    redis[0].signal(Signal::CONT);
    Ok(true)
}

async fn redis_killed(world: &World, loses_data: bool, down_ms: u64) -> Result<bool> {
    let Ok(mut redis) = world.redis.try_lock() else { return Ok(false) };
    redis[0].kill();
    if loses_data {
        redis[0].lose_data()?;
    }
    sleep(Duration::from_millis(down_ms)).await;
    redis[0].start_again(None).await?;
    Ok(true)
}

/// Kills the master before its replica has the last writes.
async fn failover(world: &World) -> Result<bool> {
    let Some(sentinels) = &world.sentinels else { return Ok(false) };
    let Ok(mut redis) = world.redis.try_lock() else { return Ok(false) };
    let port = sentinels.master().await?;
    let master = redis
        .iter()
        .position(|server| server.port == port)
        .context("the master is not one of the harness's servers")?;
    redis[1 - master].signal(Signal::STOP);
    sleep(world.ttl.mul_f64(0.4)).await;
    redis[master].kill();
    redis[1 - master].signal(Signal::CONT);
    let end = Instant::now() + Duration::from_secs(15);
    while sentinels.master().await? == port && Instant::now() < end {
        sleep(Duration::from_millis(50)).await;
    }
    let new = sentinels.master().await?;
    redis[master].start_again((new != port).then_some(new)).await?;
    // The Sentinels need time to find the old master as a replica.
    sleep(Duration::from_secs(2)).await;
    Ok(true)
}

async fn backend_stopped(world: &World, panel: &Panel, time: Duration) -> Result<bool> {
    let Ok(_way) = panel.database_way.try_lock() else { return Ok(false) };
    const BUSY: &str =
        "SELECT pid FROM pg_stat_activity WHERE application_name = $1 OR application_name LIKE 'sarban-task-%'
        ORDER BY state = 'active' DESC, random() LIMIT 1";
    let name = format!("sarban-lease-{}", panel.name);
    let pid: Option<i32> = sqlx::query_scalar(BUSY).bind(name).fetch_optional(&world.witness.pool).await?;
    let Some(pid) = pid.and_then(Pid::from_raw) else { return Ok(false) };
    // The backend may belong to any panel, and may hold a lock that the other panels need.
    let _away = disturb_all(world, Need::Source);
    world.witness.excuse("");
    let stopped = kill_process(pid, Signal::STOP).is_ok();
    sleep(time).await;
    let _ = kill_process(pid, Signal::CONT);
    world.settle("");
    Ok(stopped)
}

async fn backends_terminated(world: &World, panel: &Panel) -> Result<bool> {
    let Ok(_way) = panel.database_way.try_lock() else { return Ok(false) };
    let _away = disturb_all(world, Need::Source);
    world.witness.excuse(&panel.name);
    const TERMINATE: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name LIKE 'sarban%' AND application_name LIKE '%' || $1 OR application_name LIKE 'sarban-task-%'";
    let _: i64 = sqlx::query_scalar(TERMINATE).bind(&panel.name).fetch_one(&world.witness.pool).await?;
    world.settle(&panel.name);
    Ok(true)
}

async fn database_restarted(world: &World, how: Signal) -> Result<bool> {
    let Ok(mut postgres) = world.postgres.try_lock() else { return Ok(false) };
    let _away = disturb_all(world, Need::Source);
    world.witness.excuse("");
    postgres.restart(how).await?;
    world.settle("");
    Ok(true)
}

/// Opens every connection that the server has left, and holds them for `time`.
async fn database_full(world: &World, time: Duration) -> Result<bool> {
    let Ok(postgres) = world.postgres.try_lock() else { return Ok(false) };
    let _away = disturb_all(world, Need::Source);
    world.witness.excuse("");
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port);
    let mut taken = Vec::new();
    while let Ok(connection) = sqlx::PgConnection::connect(&url).await {
        taken.push(connection);
    }
    sleep(time).await;
    drop(taken);
    world.settle("");
    Ok(true)
}

/// Makes the server refuse changes, as it does while it is a replica or its disk is full.
async fn database_read_only(world: &World, time: Duration) -> Result<bool> {
    let Ok(postgres) = world.postgres.try_lock() else { return Ok(false) };
    let _away = disturb_all(world, Need::Source);
    world.witness.excuse("");
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port);
    let mut session = sqlx::PgConnection::connect(&url).await?;
    for (statement, pause) in
        [("SET default_transaction_read_only = on", time), ("RESET default_transaction_read_only", Duration::ZERO)]
    {
        let statements = [&*format!("ALTER SYSTEM {statement}"), "SELECT pg_reload_conf()"];
        for statement in statements {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut session).await?;
        }
        sleep(pause).await;
    }
    world.settle("");
    Ok(true)
}
