//! Packets as blocks of pcapng: each network namespace is an interface, and each packet
//! has a comment that says why it was refused.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    mem,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use conntrack_ebpf::capture::SNAP_LENGTH;
use pcap_file::{
    DataLink, Endianness,
    pcapng::{
        PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{
                InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
            },
            interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption},
            opt_common::CommonOption,
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};

use crate::{
    engine::{captured::Packet, header::Header},
    say::text::plain,
};

/// Bytes that the statistics of an interface take at most, with a comment as long as any.
const STATISTICS: u64 = 1024;

/// At most so many characters of the name of a namespace are written.
const NAME: usize = 200;

/// Makes blocks.
pub(super) struct Blocks {
    writer: PcapNgWriter<Vec<u8>>,
    /// By inode of the namespace.
    interfaces: BTreeMap<u32, Interface>,
}

struct Interface {
    id: u32,
    packets: u64,
}

impl Blocks {
    /// Begins a file. Also returns its first block.
    pub(super) fn begin(header: &Header) -> Result<(Self, Vec<u8>)> {
        let about = format!(
            "Packets that conntrack refused, by ctdrop watch --pcap on host {}",
            plain(&header.host)
        );
        let application = format!(
            "ctdrop {} (backend {})",
            env!("CARGO_PKG_VERSION"),
            header.backend
        );
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::OS(format!("Linux {}", plain(&header.release)).into()),
                SectionHeaderOption::UserApplication(application.into()),
                SectionHeaderOption::Common(comment(about)),
            ],
            ..SectionHeaderBlock::default()
        };
        let mut blocks = Self {
            writer: PcapNgWriter::with_section_header(Vec::new(), section).context(CANNOT)?,
            interfaces: BTreeMap::new(),
        };
        let section = blocks.take();
        Ok((blocks, section))
    }

    /// A packet. Before the first one of a namespace, the interface of this namespace.
    pub(super) fn packet(&mut self, packet: &Packet) -> Result<Vec<u8>> {
        let name: String = plain(&packet.netns_name).chars().take(NAME).collect();
        let interface_id = self.interface(packet.netns, &name)?;
        let said = format!(
            "refused: {}; network namespace {name} ({}); packet {} of its flow",
            packet.reason, packet.netns, packet.number
        );
        self.write(EnhancedPacketBlock {
            interface_id,
            timestamp: since_1970(packet.at),
            original_len: packet.length,
            data: Cow::Borrowed(&packet.bytes),
            options: vec![EnhancedPacketOption::Common(comment(said))],
        })?;
        Ok(self.take())
    }

    fn interface(&mut self, netns: u32, name: &str) -> Result<u32> {
        if let Some(interface) = self.interfaces.get(&netns) {
            return Ok(interface.id);
        }
        let description = format!("packets refused in network namespace {netns}");
        self.write(InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: u32::try_from(SNAP_LENGTH)?,
            options: vec![
                InterfaceDescriptionOption::IfName(name.into()),
                InterfaceDescriptionOption::IfDescription(description.into()),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ],
        })?;
        let id = u32::try_from(self.interfaces.len())?;
        self.interfaces.insert(netns, Interface { id, packets: 0 });
        Ok(id)
    }

    /// A packet of that namespace was written.
    pub(super) fn count(&mut self, netns: u32) {
        if let Some(interface) = self.interfaces.get_mut(&netns) {
            interface.packets += 1;
        }
    }

    /// The statistics of all interfaces that were written, with how many packets were
    /// refused in each namespace; the first one with a comment on the whole.
    pub(super) fn statistics(
        &mut self,
        refused: &BTreeMap<u32, u64>,
        said: &str,
    ) -> Result<Vec<u8>> {
        let mut comments = vec![InterfaceStatisticsOption::Common(comment(said.to_owned()))];
        let now = since_1970(SystemTime::now());
        let interfaces = mem::take(&mut self.interfaces).into_iter();
        let written = interfaces.filter(|(_, interface)| interface.packets > 0);
        for (netns, Interface { id, packets }) in written {
            let refused = refused.get(&netns).copied().unwrap_or(packets);
            let mut options = mem::take(&mut comments);
            options.extend([
                InterfaceStatisticsOption::IsbEndTime(now),
                InterfaceStatisticsOption::IsbIfRecv(refused),
                InterfaceStatisticsOption::IsbIfDrop(refused.saturating_sub(packets)),
                InterfaceStatisticsOption::IsbUsrDeliv(packets),
            ]);
            self.write(InterfaceStatisticsBlock {
                interface_id: id,
                timestamp: now,
                options,
            })?;
        }
        Ok(self.take())
    }

    /// Bytes that [`Self::statistics`] take at most, with one more interface.
    pub(super) fn room_for_statistics(&self) -> u64 {
        STATISTICS * (self.interfaces.len() as u64 + 1)
    }

    fn write<'a>(&mut self, block: impl PcapNgBlock<'a>) -> Result<()> {
        self.writer
            .write_pcapng_block(block)
            .context(CANNOT)
            .map(drop)
    }

    /// What was made since the last time.
    fn take(&mut self) -> Vec<u8> {
        mem::take(self.writer.get_mut())
    }
}

const CANNOT: &str = "cannot make a block of pcapng";

fn comment(text: String) -> CommonOption<'static> {
    CommonOption::Comment(text.into())
}

/// pcapng has no earlier times.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
