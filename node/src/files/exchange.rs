//! A file from node to node: in parts over a stream of its own, hashed as it arrives.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_net::link::AnyLink;
use bailiwick_net::{AnySender, FrameReceiver, Lane, LaneKind, Mesh};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{ModelPart, ModelRequest};
use prost::Message as _;
use tokio::time::timeout;

use super::{Arrival, Content, Folder};
use crate::control::ControlState;
use crate::raft::offload::Offload;
use crate::store::StoreError;

/// Version of the messages.
const FORMAT: u32 = 1;
/// Bytes of one part: this much of a file is in memory on either side.
const PART_BYTES: u64 = 1 << 20;
/// A peer that sends nothing for this long is given up.
const PART_WITHIN: Duration = Duration::from_secs(10);
/// A file may take this long, and a second for each so many of its bytes.
const FILE_WITHIN: Duration = Duration::from_secs(60);
const BYTES_A_SECOND_MIN: u64 = 256 << 10;

/// How this node sends files to peers and fetches them.
pub struct Exchange {
    /// Its name.
    pub name: NodeName,
    /// Where it stands.
    pub domain: DomainId,
    /// The peers.
    pub mesh: Arc<Mesh>,
    /// Who there is.
    pub control: Arc<ControlState>,
    /// Where work runs that blocks.
    pub offload: Offload,
}

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Broken, error.to_string())
}

fn lost(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Unavailable, error.to_string())
}

/// A stream for bulk to a peer of either side.
pub async fn bulk(link: &AnyLink, lane: Lane) -> Result<(AnySender, FrameReceiver), Failure> {
    let opened = match link {
        AnyLink::Domestic(link) => {
            link.bulk(lane).await.map(|(tx, rx)| (AnySender::Domestic(tx), rx))
        }
        AnyLink::Foreign(link) => {
            link.bulk(lane).await.map(|(tx, rx)| (AnySender::Foreign(tx), rx))
        }
    };
    opened.map_err(|error| lost(&error))
}

impl Exchange {
    /// Sends the file that a peer asks for.
    pub async fn send(&self, folder: &Folder, mut tx: AnySender, mut rx: FrameReceiver) {
        match self.send_file(folder, &mut tx, &mut rx).await {
            Ok(()) => tx.finish(),
            Err(failure) => {
                let _ = tx.fail(&failure).await;
            }
        }
    }

    async fn send_file(
        &self,
        folder: &Folder,
        tx: &mut AnySender,
        rx: &mut FrameReceiver,
    ) -> Result<(), Failure> {
        let asked = rx.recv().await.map_err(|error| lost(&error))?;
        let asked = asked.ok_or_else(|| Failure::new(Kind::Invalid, "no file is asked for"))?;
        let request = ModelRequest::decode(asked);
        let request = request.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?;
        let content = Content::named(&request.sha256, 0);
        let content = content.ok_or_else(|| Failure::new(Kind::Invalid, "a hash has 32 bytes"))?;
        let path = folder.file(&content.sha256);
        let opened = self.offload.call(move || File::open(path)).await;
        let missing = |_| Failure::new(Kind::NotFound, "this node has no such file");
        let mut file = opened.map_err(|error| broken(&error))?.map_err(missing)?;
        loop {
            let read = self.offload.call(move || read_part(file)).await;
            let (bytes, rest) = read.map_err(|error| broken(&error))?.map_err(|e| broken(&e))?;
            if bytes.is_empty() {
                return Ok(());
            }
            file = rest;
            tx.send(&ModelPart { bytes }).await.map_err(|error| lost(&error))?;
        }
    }

    /// Fetches a file from the first peer that has it whole: `first`, if any is named, then nodes of this
    /// domain, then others.
    ///
    /// # Errors
    /// [`Failure`]: of a peer that could not be asked, if there is one, for it may have the file; else of
    /// the last that was asked.
    pub async fn fetch(
        &self,
        lane: u8,
        content: Content,
        folder: &Arc<Folder>,
        first: Option<&NodeName>,
    ) -> Result<(), Failure> {
        let view = self.control.view();
        let mut peers: Vec<_> = view.nodes.values().map(|node| &node.site).collect();
        peers.retain(|site| site.name != self.name);
        peers.sort_by_key(|site| {
            let named = first == Some(&site.name);
            (!self.mesh.reachable(&site.name), !named, site.domain != self.domain)
        });
        let mut last = Failure::new(Kind::NotFound, "there is no other node");
        for site in peers {
            match self.fetch_from(&site.name, lane, content, folder).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    tracing::info!(peer = %site.name, %failure, "a file was not fetched");
                    if last.kind != Kind::Unavailable {
                        last = failure;
                    }
                }
            }
        }
        Err(last)
    }

    /// Fetches a file from a node.
    ///
    /// # Errors
    /// [`Failure`] when it does not have it, is lost or slow, or sends something else.
    pub async fn fetch_from(
        &self,
        node: &NodeName,
        lane: u8,
        content: Content,
        folder: &Arc<Folder>,
    ) -> Result<(), Failure> {
        let within = FILE_WITHIN + Duration::from_secs(content.length / BYTES_A_SECOND_MIN);
        let fetched = timeout(within, self.receive(node, lane, content, folder)).await;
        fetched.unwrap_or_else(|_| Err(lost(&"the peer is too slow")))
    }

    async fn receive(
        &self,
        node: &NodeName,
        lane: u8,
        content: Content,
        folder: &Arc<Folder>,
    ) -> Result<(), Failure> {
        let link = self.mesh.link(node).await.map_err(|error| lost(&error))?;
        let (mut tx, mut rx) = bulk(&link, Lane::plain(LaneKind::Custom(lane))).await?;
        let request = ModelRequest { format: FORMAT, sha256: content.sha256.to_vec() };
        tx.send(&request).await.map_err(|error| lost(&error))?;
        let into = Arc::clone(folder);
        let mut arrival = self.disk(move || into.begin(content)).await?;
        loop {
            let part = timeout(PART_WITHIN, rx.recv()).await;
            let part = part.map_err(|_| lost(&"the peer sends nothing"))?;
            let Some(part) = part.map_err(|error| lost(&error))? else { break };
            let part = ModelPart::decode(part).map_err(|error| broken(&error))?;
            arrival = self.disk(move || written(arrival, &part.bytes)).await?;
        }
        tx.finish();
        self.disk(move || arrival.finish()).await
    }

    /// Does work that blocks on the disk.
    async fn disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        self.offload.call(work).await.map_err(|e| broken(&e))?.map_err(|e| broken(&e))
    }
}

fn written(mut arrival: Arrival, bytes: &[u8]) -> Result<Arrival, StoreError> {
    arrival.write(bytes).map(|()| arrival)
}

/// The next bytes of a file, none at its end.
fn read_part(mut file: File) -> std::io::Result<(Vec<u8>, File)> {
    let mut bytes = Vec::new();
    file.by_ref().take(PART_BYTES).read_to_end(&mut bytes)?;
    Ok((bytes, file))
}
