//! Stops threads of a process, as if they were blocked. Signals stop all threads, so single threads are
//! traced.
#![allow(dead_code, reason = "each user takes a part of it")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Name of the worker threads.
pub const WORKERS: &str = "sarban-worker";
/// Name of the thread of the lease and of the scheduler's loop.
pub const LEASE: &str = "sarban-lease";

/// Stops all threads whose name begins with `name` while `wait` runs. Blocks until then.
pub fn hold(process: u32, name: &str, wait: impl FnOnce() + Send) -> anyhow::Result<()> {
    // The kernel resumes all traced threads when the tracer, a thread, ends.
    std::thread::scope(|scope| scope.spawn(|| trace(process, name, wait)).join())
        .unwrap_or_else(|_| anyhow::bail!("the tracer panicked"))
}

fn trace(process: u32, name: &str, wait: impl FnOnce()) -> anyhow::Result<()> {
    let threads = threads_called(process, name)?;
    ensure!(!threads.is_empty(), "no thread of {process} is called {name}");
    for thread in &threads {
        // A running thread might hold a lock that all threads of the process need.
        while !is_waiting(process, *thread)? {
            std::thread::sleep(Duration::from_millis(1));
        }
        ptrace::seize(*thread, ptrace::Options::empty()).context("this host does not permit to trace threads")?;
        ptrace::interrupt(*thread)?;
    }
    for thread in &threads {
        waitpid(*thread, Some(WaitPidFlag::__WALL))?;
    }
    wait();
    for thread in threads {
        // The thread may have been killed meanwhile.
        let _ = ptrace::detach(thread, None);
    }
    Ok(())
}

/// True if the thread sleeps in a system call, waiting for a task or a reply.
fn is_waiting(process: u32, thread: Pid) -> anyhow::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).context("the thread has ended")?;
    // The thread's name is in parentheses and may contain any character.
    Ok(stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
}

fn threads_called(process: u32, name: &str) -> anyhow::Result<Vec<Pid>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let entry = entry?;
        // The thread may end before its name is read.
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.starts_with(name) {
            let id = entry.file_name().to_string_lossy().parse().context("a thread's number")?;
            threads.push(Pid::from_raw(id));
        }
    }
    Ok(threads)
}
