//! Keys and counts as they lie in the maps of the programs.

use anyhow::{Context as _, Result};
use bytes::Buf as _;
use conntrack_ebpf::{
    FlowCount, FlowKey, Sender, ServiceKey, TotalCounts, TotalKey,
    capture::{CapturedPacket, SNAP_LENGTH},
};

/// Reads a flow key as it lies in the map.
pub(crate) fn decode_flow(mut bytes: &[u8]) -> Result<FlowKey> {
    let (mut src, mut dst) = ([0; 16], [0; 16]);
    bytes.try_copy_to_slice(&mut src).context(SHORT)?;
    bytes.try_copy_to_slice(&mut dst).context(SHORT)?;
    let key = FlowKey {
        src,
        dst,
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        sport: bytes.try_get_u16_ne().context(SHORT)?,
        dport: bytes.try_get_u16_ne().context(SHORT)?,
        zone: bytes.try_get_u16_ne().context(SHORT)?,
        family: bytes.try_get_u8().context(SHORT)?,
        protocol: bytes.try_get_u8().context(SHORT)?,
        reason: bytes.try_get_u32_ne().context(SHORT)?,
        sender: bytes.try_get_u32_ne().context(SHORT)?,
    };
    Ok(key)
}

/// Reads a sender as it lies in the map.
pub(crate) fn decode_sender(mut bytes: &[u8]) -> Result<Sender> {
    let mut comm = [0; 16];
    let cgroup = bytes.try_get_u64_ne().context(SHORT)?;
    bytes.try_copy_to_slice(&mut comm).context(SHORT)?;
    Ok(Sender { cgroup, comm })
}

/// Reads a flow's count as it lies in the map.
pub(crate) fn decode_count(mut bytes: &[u8]) -> Result<FlowCount> {
    Ok(FlowCount {
        packets: bytes.try_get_u64_ne().context(SHORT)?,
        first: bytes.try_get_u64_ne().context(SHORT)?,
        last: bytes.try_get_u64_ne().context(SHORT)?,
    })
}

/// Reads a packet as it lies in the ring buffer.
pub(crate) fn decode_captured(mut bytes: &[u8]) -> Result<CapturedPacket> {
    let mut packet = CapturedPacket {
        at: bytes.try_get_u64_ne().context(SHORT)?,
        number: bytes.try_get_u64_ne().context(SHORT)?,
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        reason: bytes.try_get_u32_ne().context(SHORT)?,
        length: bytes.try_get_u32_ne().context(SHORT)?,
        linear: bytes.try_get_u32_ne().context(SHORT)?,
        bytes: [0; SNAP_LENGTH],
    };
    bytes.try_copy_to_slice(&mut packet.bytes).context(SHORT)?;
    Ok(packet)
}

/// Reads a service key as it lies in the map.
pub(crate) fn decode_service(mut bytes: &[u8]) -> Result<ServiceKey> {
    let mut dst = [0; 16];
    bytes.try_copy_to_slice(&mut dst).context(SHORT)?;
    Ok(ServiceKey {
        dst,
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        dport: bytes.try_get_u16_ne().context(SHORT)?,
        family: bytes.try_get_u8().context(SHORT)?,
        protocol: bytes.try_get_u8().context(SHORT)?,
        reason: bytes.try_get_u32_ne().context(SHORT)?,
    })
}

/// Reads the key of totals as it lies in the map.
pub(crate) fn decode_total_key(mut bytes: &[u8]) -> Result<TotalKey> {
    Ok(TotalKey {
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        epoch: bytes.try_get_u32_ne().context(SHORT)?,
    })
}

/// Reads the totals of one CPU as they lie in the map.
pub(crate) fn decode_totals(mut bytes: &[u8]) -> Result<TotalCounts> {
    let mut counts = TotalCounts::default();
    for slot in &mut counts.slots {
        *slot = bytes.try_get_u64_ne().context(SHORT)?;
    }
    Ok(counts)
}

const SHORT: &str = "an eBPF map gave a shorter entry than it was made for";

#[cfg(test)]
mod tests {
    use conntrack_ebpf::Reason;

    use super::*;

    fn bytes_of(key: &FlowKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(key.src);
        bytes.extend(key.dst);
        bytes.extend(key.netns.to_ne_bytes());
        bytes.extend(key.sport.to_ne_bytes());
        bytes.extend(key.dport.to_ne_bytes());
        bytes.extend(key.zone.to_ne_bytes());
        bytes.extend([key.family, key.protocol]);
        bytes.extend(key.reason.to_ne_bytes());
        bytes.extend(key.sender.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_flow_key_survives_the_map() {
        let key = FlowKey {
            src: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            dst: [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            netns: 4_026_531_840,
            sport: 40_000,
            dport: 53,
            zone: 7,
            family: 2,
            protocol: 17,
            reason: Reason::Clash as u32,
            sender: 4711,
        };
        let bytes = bytes_of(&key);
        assert_eq!(bytes.len(), size_of::<FlowKey>());
        assert_eq!(decode_flow(&bytes).unwrap(), key);
        assert!(decode_flow(&bytes[..51]).is_err());
    }

    #[test]
    fn a_packet_survives_the_ring_buffer() {
        let mut bytes = Vec::new();
        bytes.extend([1_u64, 2].map(u64::to_ne_bytes).as_flattened());
        bytes.extend([3_u32, 4, 5, 6].map(u32::to_ne_bytes).as_flattened());
        bytes.extend([7; SNAP_LENGTH]);
        assert_eq!(bytes.len(), size_of::<CapturedPacket>());
        let packet = CapturedPacket {
            at: 1,
            number: 2,
            netns: 3,
            reason: 4,
            length: 5,
            linear: 6,
            bytes: [7; SNAP_LENGTH],
        };
        assert_eq!(decode_captured(&bytes).unwrap(), packet);
        assert!(decode_captured(&bytes[..159]).is_err());
    }
}
