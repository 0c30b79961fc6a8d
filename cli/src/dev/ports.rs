//! Ports that nobody else uses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::error::DevError;
use super::place::Place;

/// The first port that is taken at an address that only one domain has.
const FIRST: u16 = 7000;

/// Free ports of a domain's address.
pub(super) struct Ports<'a> {
    pub(super) place: Option<&'a Place>,
    next: u16,
    held: Vec<Socket>,
}

/// Holds a port.
enum Socket {
    Tcp { _held: TcpListener },
    Udp { _held: UdpSocket },
}

impl<'a> Ports<'a> {
    pub(super) fn of(place: Option<&'a Place>) -> Self {
        Self { place, next: FIRST, held: Vec::new() }
    }

    pub(super) fn tcp(&mut self) -> Result<SocketAddr, DevError> {
        let find = || {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            Ok((socket.local_addr()?, Socket::Tcp { _held: socket }))
        };
        self.take(find)
    }

    pub(super) fn udp(&mut self) -> Result<SocketAddr, DevError> {
        let find = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            Ok((socket.local_addr()?, Socket::Udp { _held: socket }))
        };
        self.take(find)
    }

    /// The next one of the domain's own address, which nobody else uses, or else what the system has.
    fn take(
        &mut self,
        find: impl FnOnce() -> io::Result<(SocketAddr, Socket)>,
    ) -> Result<SocketAddr, DevError> {
        if let Some(place) = self.place {
            let port = self.next;
            self.next += 1;
            return Ok(SocketAddr::from((place.address, port)));
        }
        let (address, socket) = find().map_err(DevError::io("find", Path::new("a free port")))?;
        self.held.push(socket);
        Ok(address)
    }

    pub(super) fn address(&self) -> IpAddr {
        self.place.map_or(Ipv4Addr::LOCALHOST.into(), |place| place.address)
    }
}
