//! Makes some threads of a process stand still, as if they were blocked: signals stop whole processes only, so they are
//! traced.
#![allow(dead_code, reason = "each user takes a part of it")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Name of the workers' threads.
pub const WORKERS: &str = "sarban-worker";
/// Name of the thread of the lease and of the scheduler's loop.
pub const LEASE: &str = "sarban-lease";

/// Holds all threads whose name begins so for as long as `wait` takes. Blocks meanwhile.
pub fn hold(process: u32, name: &str, wait: impl FnOnce() + Send) -> anyhow::Result<()> {
    // A tracer is a thread: when this one ends, whatever it still holds is free again.
    std::thread::scope(|scope| scope.spawn(|| trace(process, name, wait)).join())
        .unwrap_or_else(|_| anyhow::bail!("the tracer panicked"))
}

fn trace(process: u32, name: &str, wait: impl FnOnce()) -> anyhow::Result<()> {
    let threads = called(process, name)?;
    ensure!(!threads.is_empty(), "no thread of {process} is called {name}");
    for thread in &threads {
        // In the middle of its work it might hold a lock that all threads of the process need.
        while !is_waiting(process, *thread)? {
            std::thread::sleep(Duration::from_millis(1));
        }
        ptrace::seize(*thread, ptrace::Options::empty()).context("this host lets nobody trace threads")?;
        ptrace::interrupt(*thread)?;
    }
    for thread in &threads {
        waitpid(*thread, Some(WaitPidFlag::__WALL))?;
    }
    wait();
    for thread in threads {
        // It may have been killed meanwhile.
        let _ = ptrace::detach(thread, None);
    }
    Ok(())
}

/// True if it sleeps in a system call, for a task or an answer.
fn is_waiting(process: u32, thread: Pid) -> anyhow::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).context("the thread has ended")?;
    // Its name is in brackets and may have any character in it.
    Ok(stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
}

fn called(process: u32, name: &str) -> anyhow::Result<Vec<Pid>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let entry = entry?;
        // It may end while it is looked at.
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.starts_with(name) {
            let id = entry.file_name().to_string_lossy().parse().context("a thread's number")?;
            threads.push(Pid::from_raw(id));
        }
    }
    Ok(threads)
}
