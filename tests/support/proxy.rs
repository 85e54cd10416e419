//! A TCP proxy that can hold, delay, half-open and cut what goes through it, in either direction.
#![allow(dead_code, reason = "each user takes a part of it")]

use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The fault that a proxy applies to its traffic. Held bytes are delivered when the fault is over: late, not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    Clear,
    /// Nothing passes.
    Hold,
    /// Nothing passes to the server.
    HoldRequests,
    /// Nothing passes to the client.
    HoldAnswers,
    /// Everything passes after this delay.
    Delay(Duration),
    /// New connections are accepted and not forwarded; open ones go on.
    HalfOpen,
    /// New connections are closed at once; open ones were cut.
    Down,
    /// Nothing passes on any connection, open or new, not even when the fault is over, and none is closed: a frozen proxy,
    /// whose kernel goes on acknowledging. Connections that are made afterwards work.
    Lost,
    /// The same, and the kernel acknowledges nothing on connections that were open: a host lost its power, or a firewall
    /// forgot its connections.
    Vanished,
}

/// A proxy between one process and one server.
pub struct Proxy {
    pub port: u16,
    server_port: watch::Sender<u16>,
    fault: watch::Sender<ProxyFault>,
    cuts: watch::Sender<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

impl Proxy {
    pub async fn start(server_port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (fault, faults) = watch::channel(ProxyFault::Clear);
        let (cuts, cut) = watch::channel(0);
        let (server_port, target) = watch::channel(server_port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server_port = *target.borrow();
                tokio::spawn(carry(client, server_port, faults.clone(), cut.clone()));
            }
        });
        Ok(Self { port, server_port, fault, cuts })
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, server_port: u16) {
        self.server_port.send_replace(server_port);
    }

    pub fn set(&self, fault: ProxyFault) {
        self.fault.send_replace(fault);
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(
    client: TcpStream,
    server_port: u16,
    mut faults: watch::Receiver<ProxyFault>,
    mut cuts: watch::Receiver<u64>,
) {
    cuts.mark_unchanged();
    let losses = faults.clone();
    let both = async {
        let fault = *faults.borrow();
        match fault {
            ProxyFault::Down => return,
            ProxyFault::Lost | ProxyFault::Vanished => std::future::pending().await,
            _ => {}
        }
        if faults.wait_for(|fault| *fault != ProxyFault::HalfOpen).await.is_err() {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // The ends stay here: one that is dropped would close its connection.
        let (mut client_reads, mut client_writes) = client.into_split();
        let (mut server_reads, mut server_writes) = server.into_split();
        tokio::select! {
            biased;
            fault = lost(losses) => {
                if fault == ProxyFault::Vanished {
                    drop_packets(client_reads.as_ref()).and_then(|()| drop_packets(server_reads.as_ref())).expect("a filter");
                }
                std::future::pending::<()>().await;
            }
            () = pump(&mut client_reads, &mut server_writes, Direction::Requests, faults.clone()) => {}
            () = pump(&mut server_reads, &mut client_writes, Direction::Answers, faults.clone()) => {}
        }
    };
    tokio::select! {
        () = both => {}
        _ = cuts.changed() => {}
    }
}

async fn lost(mut faults: watch::Receiver<ProxyFault>) -> ProxyFault {
    let is_lost = |fault: &ProxyFault| matches!(fault, ProxyFault::Lost | ProxyFault::Vanished);
    faults.wait_for(is_lost).await.map_or(ProxyFault::Lost, |fault| *fault)
}

/// Has the kernel drop every packet that arrives for a connection, without an acknowledgement.
fn drop_packets(connection: &TcpStream) -> std::io::Result<()> {
    /// BPF's `ret #0`: no byte of the packet passes.
    const RETURN: u16 = 0x06;
    SockRef::from(connection).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    direction: Direction,
    mut faults: watch::Receiver<ProxyFault>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        let delay = match *faults.borrow() {
            ProxyFault::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        tokio::time::sleep(delay).await;
        let passes = |fault: &ProxyFault| match fault {
            ProxyFault::Hold | ProxyFault::Lost | ProxyFault::Vanished => false,
            ProxyFault::HoldRequests => direction != Direction::Requests,
            ProxyFault::HoldAnswers => direction != Direction::Answers,
            _ => true,
        };
        if faults.wait_for(passes).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
