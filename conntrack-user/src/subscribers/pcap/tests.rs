//! Captures, read back by another half of the library than the one that writes them.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use pcap_file::pcapng::{
    Block, PcapNgReader,
    blocks::{
        enhanced_packet::EnhancedPacketOption, interface_description::InterfaceDescriptionOption,
        interface_statistics::InterfaceStatisticsOption, opt_common::CommonOption,
        section_header::SectionHeaderOption,
    },
};
use tempfile::TempDir;

use super::*;
use crate::{
    engine::{captured::Packet, fake, options::Options},
    observe::capture::Omitted,
};

/// A header and a summary, as an observation has them.
fn observed() -> (Update, Summary) {
    let options = Options {
        duration: Some(Duration::from_millis(500)),
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut engine = fake::Fake::default().engine(options, std::future::pending());
        let mut header = None;
        while let Some(update) = engine.next().await.unwrap() {
            match update {
                Update::Started(_) => header = Some(update),
                Update::Finished(summary) => return (header.unwrap(), *summary),
                _ => {}
            }
        }
        panic!("no totals");
    })
}

fn packet(netns: u32, number: u64, bytes: &[u8]) -> Packet {
    Packet {
        at: SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789),
        netns,
        netns_name: Arc::from(format!("pod/a\n{netns}")),
        reason: "table_full".to_owned(),
        number,
        length: 1500,
        bytes: bytes.to_vec(),
    }
}

fn captured(packets: Vec<Packet>) -> Update {
    Update::Captured(Captured {
        packets,
        given_up: 0,
    })
}

/// A capture, and what it tells.
struct Stage {
    directory: TempDir,
    pcap: Pcap,
    events: UnboundedReceiver<Recording>,
}

impl Stage {
    fn new(most: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (pcap, events) = Pcap::prepare(directory.path().join("x.pcapng"), most).unwrap();
        Self {
            directory,
            pcap,
            events,
        }
    }

    fn told(&mut self) -> Vec<News> {
        let told = std::iter::from_fn(|| self.events.try_recv().ok());
        told.map(|recording| match recording.what {
            What::Capture(news) => news,
            other => panic!("{other:?}"),
        })
        .collect()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("x.pcapng")
    }
}

fn blocks(path: &Path) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(fs::File::open(path).unwrap()).unwrap();
    let mut blocks = vec![Block::SectionHeader(reader.section().clone())];
    while let Some(block) = reader.next_block() {
        let block = block.unwrap();
        blocks.push(block.0.into_owned());
    }
    blocks
}

#[test]
fn a_capture_says_where_when_and_why() {
    let (header, summary) = observed();
    let refused = summary.report.figures.total();
    let mut stage = Stage::new(1 << 20);
    stage.pcap.update(&header).unwrap();
    let packets = vec![
        packet(fake::NETNS, 1, &[0x45, 1, 2]),
        packet(9, 4, &[0x60; 128]),
        packet(fake::NETNS, 2, &[0x45]),
    ];
    stage.pcap.update(&captured(packets)).unwrap();
    stage
        .pcap
        .update(&Update::Finished(Box::new(summary)))
        .unwrap();
    let blocks = blocks(&stage.path());
    let [section, one, first, other, second, third, statistics @ ..] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    let Block::SectionHeader(section) = section else {
        panic!("{section:?}");
    };
    let by = format!("ctdrop {} (backend fexit)", env!("CARGO_PKG_VERSION"));
    assert!(
        section
            .options
            .contains(&SectionHeaderOption::UserApplication(by.into()))
    );
    let names = [one, other].map(|block| match block {
        Block::InterfaceDescription(interface) => interface.options[0].clone(),
        other => panic!("{other:?}"),
    });
    let name = |name: &'static str| InterfaceDescriptionOption::IfName(name.into());
    assert_eq!(names, [name("pod/a\u{fffd}7"), name("pod/a\u{fffd}9")]);
    let shown = [first, second, third].map(|block| match block {
        Block::EnhancedPacket(packet) => {
            let [EnhancedPacketOption::Common(CommonOption::Comment(said))] = &packet.options[..]
            else {
                panic!("{packet:?}");
            };
            assert_eq!(packet.original_len, 1500);
            assert_eq!(packet.timestamp, Duration::new(1_800_000_000, 123_456_789));
            (packet.interface_id, packet.data.len(), said.to_string())
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(
        shown[0].2,
        "refused: table_full; network namespace pod/a\u{fffd}7 (7); packet 1 of its flow"
    );
    assert!(shown[1].2.ends_with("(9); packet 4 of its flow"));
    let places = shown.map(|(interface, bytes, _)| (interface, bytes));
    assert_eq!(places, [(0, 3), (1, 128), (0, 1)]);
    let Block::InterfaceStatistics(statistics) = &statistics[0] else {
        panic!("{statistics:?}");
    };
    assert!(
        statistics
            .options
            .contains(&InterfaceStatisticsOption::IsbIfRecv(refused))
    );
    assert!(
        statistics
            .options
            .contains(&InterfaceStatisticsOption::IsbUsrDeliv(2))
    );
}

#[test]
fn it_stops_at_its_bound_and_counts_on() {
    let (header, summary) = observed();
    let mut stage = Stage::new(6000);
    stage.pcap.update(&header).unwrap();
    for number in 1..=100 {
        let packets = vec![packet(fake::NETNS, number, &[0x45; 128])];
        stage.pcap.update(&captured(packets)).unwrap();
    }
    stage
        .pcap
        .update(&Update::Finished(Box::new(summary)))
        .unwrap();
    let told = stage.told();
    let [
        News::Captures { .. },
        News::Stopped { why, .. },
        News::Captured(outcome),
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(why, "it has reached the 6,000 bytes of --pcap-size");
    assert!(outcome.captured > 10, "{outcome:?}");
    assert_eq!(outcome.captured + outcome.not_captured.after_stop, 100);
    let length = fs::metadata(stage.path()).unwrap().len();
    assert!(length <= 6000, "{length}");
    let blocks = blocks(&stage.path());
    let packets = blocks
        .iter()
        .filter(|block| matches!(block, Block::EnhancedPacket(_)));
    assert_eq!(packets.count() as u64, outcome.captured);
    assert!(matches!(blocks.last(), Some(Block::InterfaceStatistics(_))));
}

#[test]
fn a_full_disk_is_told_once() {
    let (header, mut summary) = observed();
    summary.omitted = Some(Omitted {
        flow_bound: 1,
        ..Omitted::default()
    });
    let (mut pcap, mut events) = Pcap::prepare("/dev/full".into(), 1 << 20).unwrap();
    pcap.update(&header).unwrap();
    for _ in 0..3 {
        pcap.update(&captured(vec![packet(7, 1, &[0x45])])).unwrap();
    }
    pcap.update(&Update::Finished(Box::new(summary))).unwrap();
    let mut lines = Vec::new();
    while let Ok(recording) = events.try_recv() {
        lines.extend(recording.lines());
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "captures packets to /dev/full");
    assert!(lines[1].contains("No space left on device"), "{}", lines[1]);
    assert!(
        lines[1].ends_with("ctdrop goes on counting"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains("captured 0 of") && lines[2].contains("3 after the capture had stopped"),
        "{}",
        lines[2]
    );
}
