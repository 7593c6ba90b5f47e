//! `watch --pcap`: writes the first bytes of refused packets to a file that Wireshark
//! reads (docs/pcap.md).
//!
//! `file` creates the file, limits its size and removes a partial block. `blocks` turns packets
//! into blocks of pcapng. `capture_news` says what becomes of the capture. Counting continues after
//! any error of the file.

mod blocks;
mod file;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::Result;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use self::{blocks::Blocks, file::CaptureFile};
use crate::{
    engine::{
        captured::Captured,
        header::Header,
        update::{Summary, Update},
    },
    subscribers::{
        Subscriber,
        capture_news::{News, NotCaptured, Outcome},
        recording::{Recording, What},
    },
};

/// Writes refused packets to a file.
pub struct Pcap {
    path: PathBuf,
    file: CaptureFile,
    /// None before the observation has begun.
    blocks: Option<Blocks>,
    counts: Counts,
    /// Whether no more packets are written.
    stopped: bool,
    news: UnboundedSender<Recording>,
}

/// What has become of the packets that came.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    written: u64,
    /// They came after the capture had stopped.
    after_stop: u64,
    /// They were dropped, because too many waited.
    given_up: u64,
}

impl Pcap {
    /// Creates the file, in which no more than so many bytes are written. What becomes of
    /// it is sent to the receiver.
    ///
    /// # Errors
    ///
    /// Why the file cannot be created.
    pub fn prepare(path: PathBuf, most: u64) -> Result<(Self, UnboundedReceiver<Recording>)> {
        let (news, events) = mpsc::unbounded_channel();
        let pcap = Self {
            file: CaptureFile::create(&path, most)?,
            path,
            blocks: None,
            counts: Counts::default(),
            stopped: false,
            news,
        };
        Ok((pcap, events))
    }

    fn begin(&mut self, header: &Header) -> Result<()> {
        let (blocks, section) = Blocks::begin(header)?;
        self.blocks = Some(blocks);
        self.tell(News::Captures {
            file: self.path.clone(),
        });
        self.write(&section);
        Ok(())
    }

    fn take(&mut self, captured: &Captured) -> Result<()> {
        self.counts.given_up += captured.given_up;
        for packet in &captured.packets {
            let Some(blocks) = self.blocks.as_mut().filter(|_| !self.stopped) else {
                self.counts.after_stop += 1;
                continue;
            };
            let block = blocks.packet(packet)?;
            if self.write(&block) {
                self.counts.written += 1;
                self.count_in(packet.netns);
            } else {
                self.counts.after_stop += 1;
            }
        }
        Ok(())
    }

    fn count_in(&mut self, netns: u32) {
        if let Some(blocks) = &mut self.blocks {
            blocks.count(netns);
        }
    }

    /// Writes a block, if there is room for the statistics after it. Otherwise stops the capture.
    /// Returns whether the block was written.
    fn write(&mut self, block: &[u8]) -> bool {
        let reserve = self.blocks.as_ref().map_or(0, Blocks::room_for_statistics);
        match self.file.write(block, reserve) {
            Ok(()) => true,
            Err(why) => {
                self.stopped = true;
                self.tell(News::Stopped {
                    file: self.path.clone(),
                    why: why.to_string(),
                });
                false
            }
        }
    }

    fn finish(&mut self, summary: &Summary) -> Result<()> {
        let outcome = self.outcome(summary);
        let Some(blocks) = &mut self.blocks else {
            return Ok(());
        };
        let lost_in = &summary.report.figures.by_netns;
        let statistics = blocks.statistics(lost_in, &outcome.sentence())?;
        // An error that stopped the capture is reported already.
        if let Err(why) = self.file.write(&statistics, 0)
            && !self.stopped
        {
            self.tell(News::Stopped {
                file: self.path.clone(),
                why: why.to_string(),
            });
        }
        self.tell(News::Captured(outcome));
        Ok(())
    }

    fn outcome(&self, summary: &Summary) -> Outcome {
        let Counts {
            written,
            after_stop,
            given_up,
        } = self.counts;
        let omitted = summary.omitted.unwrap_or_default();
        Outcome::new(
            self.path.clone(),
            summary.report.figures.total(),
            written,
            NotCaptured {
                flow_bound: omitted.flow_bound,
                rate_bound: omitted.rate_bound,
                other_protocol: omitted.other_protocol,
                unreadable: omitted.unreadable,
                late: omitted.no_room + given_up,
                after_stop,
                unseen: 0,
            },
        )
    }

    fn tell(&self, news: News) {
        // Fails if `watch` has failed, and nobody receives it.
        let _ = self.news.send(Recording::now(What::Capture(news)));
    }
}

impl Subscriber for Pcap {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Started(header) => self.begin(header),
            Update::Captured(captured) => self.take(captured),
            Update::Finished(summary) => self.finish(summary),
            _ => Ok(()),
        }
    }
}
