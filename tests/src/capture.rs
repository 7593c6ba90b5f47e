//! Reads what `ctdrop watch --pcap` has written.

use std::{
    fs::File,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use pcap_file::pcapng::{
    Block, PcapNgReader,
    blocks::{enhanced_packet::EnhancedPacketOption, opt_common::CommonOption},
};

/// A packet of a capture.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it was refused.
    pub at: SystemTime,
    /// Its bytes from the network header on, as far as they were captured.
    pub bytes: Vec<u8>,
    /// How many it had.
    pub length: usize,
    /// What is said of it.
    pub comment: String,
}

/// All packets of a file.
pub fn read(path: &Path) -> Result<Vec<Packet>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = PcapNgReader::new(file)?;
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let (block, _) = block?;
        let Block::EnhancedPacket(packet) = block else {
            continue;
        };
        let [EnhancedPacketOption::Common(CommonOption::Comment(comment))] = &packet.options[..]
        else {
            bail!("a packet without a comment, or with more: {packet:?}");
        };
        packets.push(Packet {
            at: SystemTime::UNIX_EPOCH + packet.timestamp,
            bytes: packet.data.to_vec(),
            length: usize::try_from(packet.original_len)?,
            comment: comment.to_string(),
        });
    }
    Ok(packets)
}

/// The time of a packet as seconds since 1970, as tshark writes it.
pub fn epoch(at: SystemTime) -> String {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}
