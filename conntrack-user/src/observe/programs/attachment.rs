//! The programs of one backend, attached, and the maps that they count in.

use anyhow::Result;
use conntrack_ebpf::{
    Fault, Phase,
    capture::{CaptureOrder, CapturedPacket},
};

use crate::{
    kernel::{counters::Counters, module, surroundings::Surroundings},
    observe::{
        arming::Attach,
        backend::Backend,
        bpf::object::Object,
        capture::{Captures, Left, Omitted},
        counts::{
            drain::Counts,
            drop_counters::DropCounters,
            health::{Faults, Missed, RunsByProgram},
            senders::Senders,
            sink::Sink,
            totals::TotalsByNetns,
        },
        failure::{LoadFailure, Step},
        programs::{
            blind_spots::{self, BlindSpot},
            confirmations::{Confirmations, Moment},
            load::Programs,
            pressure_signal::PressureSignal,
            requirements,
            table::When,
            types::Types,
        },
    },
};

/// Flows that each of the two flow maps has room for. An entry takes some 130
/// bytes of kernel memory, made available in advance.
const FLOWS: u32 = 131_072;

/// What all backends with programs need, made ready for this kernel.
pub(crate) struct Prepared {
    types: Types,
    counts: Counts,
    pressure: PressureSignal,
    drop_counters: DropCounters,
    confirmations: Confirmations,
    /// If copies of packets are wanted.
    captures: Option<Captures>,
}

impl Prepared {
    /// Reads the kernel's types and creates the maps. Packets are copied if there is an
    /// order.
    pub(crate) fn new(capture: Option<&CaptureOrder>) -> Result<Self, LoadFailure> {
        let types = Types::read()?;
        Self::with_types(types, capture).map_err(|error| LoadFailure::of(Step::CreateMaps, &error))
    }

    fn with_types(types: Types, capture: Option<&CaptureOrder>) -> Result<Self> {
        let mut object = Object::load(&types.layout, FLOWS, capture)?;
        Ok(Self {
            pressure: PressureSignal::new(&mut object)?,
            drop_counters: DropCounters::new(&mut object)?,
            confirmations: Confirmations::new(&mut object)?,
            captures: capture.map(|_| Captures::new(&mut object)).transpose()?,
            counts: Counts::new(object)?,
            types,
        })
    }

    /// Loads the programs of a backend and attaches them. Of the programs that may rest, it
    /// attaches only those to begin with. They count nothing yet.
    pub(crate) fn attach(
        &mut self,
        backend: Backend,
        begin: Attach,
        around: &Surroundings,
    ) -> Result<Attached, LoadFailure> {
        let capture = self.captures.is_some();
        requirements::check(backend, &self.types, capture, around)?;
        let object = self.counts.object();
        let mut programs = Programs::load(backend, object, &self.types, capture)?;
        let begin = if backend.can_rest() {
            begin
        } else {
            Attach::All
        };
        let confirming = begin == Attach::All;
        let (phase, besides) = match begin {
            Attach::AtRest => (Phase::AtRest, When::Witnessing),
            Attach::Armed | Attach::All => (Phase::Armed, When::Armed),
        };
        programs.attach(besides, object)?;
        if confirming {
            programs.attach(When::Rare, object)?;
        }
        programs.attach(When::Always, object)?;
        Ok(Attached {
            programs,
            phase,
            confirming,
        })
    }
}

/// The module that the functions are in, where it is one.
const MODULE: &str = "nf_conntrack";

/// The programs of a backend, attached.
#[derive(Debug)]
pub(crate) struct Attached {
    programs: Programs,
    phase: Phase,
    /// Whether the programs that see refused confirmations are attached.
    confirming: bool,
}

/// Programs attached, counting.
pub(crate) struct Attachment {
    prepared: Prepared,
    attached: Attached,
}

impl Attachment {
    /// Lets them count.
    pub(crate) fn begin(mut prepared: Prepared, attached: Attached) -> Result<Self> {
        let now = Moment::now();
        prepared.counts.begin(attached.phase)?;
        if attached.confirming {
            prepared.confirmations.count_since(now)?;
        }
        prepared.pressure.request()?;
        Ok(Self { prepared, attached })
    }

    /// Whether the programs are attached that see refused allocations. They run for each new
    /// flow.
    pub(crate) const fn is_armed(&self) -> bool {
        self.attached.phase.is_armed()
    }

    /// Whether the programs that see refused confirmations are attached, too.
    pub(crate) const fn is_confirming(&self) -> bool {
        self.attached.confirming
    }

    /// Attaches the programs that see refused allocations. When this returns, they have
    /// seen every packet that is on its way.
    pub(crate) fn arm(&mut self) -> Result<()> {
        self.attach(When::Armed)?;
        self.begin_phase(Phase::Arming)?;
        self.begin_phase(Phase::Armed)?;
        self.attached.programs.detach(When::Witnessing);
        Ok(())
    }

    /// Attaches the programs that see rare refusals, mainly refused confirmations. They count
    /// from now on.
    pub(crate) fn confirm(&mut self) -> Result<()> {
        self.attach(When::Rare)?;
        let now = Moment::now();
        self.wait_for_packets()?;
        self.prepared.confirmations.count_since(now)?;
        self.attached.confirming = true;
        Ok(())
    }

    /// Detaches them.
    pub(crate) fn end_confirming(&mut self) -> Result<()> {
        self.prepared.confirmations.end()?;
        self.attached.programs.detach(When::Rare);
        self.attached.confirming = false;
        Ok(())
    }

    fn attach(&mut self, when: When) -> Result<(), LoadFailure> {
        let object = self.prepared.counts.object();
        self.attached.programs.attach(when, object)
    }

    fn begin_phase(&mut self, phase: Phase) -> Result<()> {
        self.prepared.counts.begin(phase)?;
        self.attached.phase = phase;
        Ok(())
    }

    /// If the kernel has skipped a program, attaches the programs that see the same as others.
    pub(crate) fn reinforce_if_skipped(&mut self) -> Result<()> {
        if self.attached.phase == Phase::Armed && self.missed()? != Missed::default() {
            self.reinforce()?;
            self.attach(When::Skipping)?;
        }
        Ok(())
    }

    /// From then on programs see a refusal also at the exit of `early_drop`.
    fn reinforce(&mut self) -> Result<()> {
        self.attach(When::Witnessing)?;
        self.begin_phase(Phase::Reinforced)
    }

    /// Detaches them, when no packet is on its way whose count was left to
    /// them.
    pub(crate) fn rest(&mut self) -> Result<()> {
        self.end_confirming()?;
        // Otherwise no program would count a packet that has left `early_drop` already.
        self.reinforce()?;
        self.begin_phase(Phase::AtRest)?;
        self.attached.programs.detach(When::Skipping);
        self.attached.programs.detach(When::Armed);
        self.prepared.pressure.request()
    }

    /// Waits until every packet has left conntrack that the programs have
    /// counted before. At rest they count it before the kernel does, which may
    /// write a message to a slow console in between.
    pub(crate) fn wait_for_packets(&mut self) -> Result<()> {
        self.prepared.counts.begin(self.attached.phase)
    }

    /// Asks for the next sign of pressure.
    pub(crate) fn request_wake(&mut self) -> Result<()> {
        self.prepared.pressure.request()
    }

    /// Ends when the programs see the first sign of pressure since they were
    /// attached, came to rest, or were asked for the next one.
    pub(crate) async fn pressure(&mut self) -> Result<()> {
        self.prepared.pressure.received().await
    }

    /// Hands what was counted since the last time to `sink`; gives all totals.
    pub(crate) fn drain(&mut self, sink: &mut impl Sink) -> Result<TotalsByNetns> {
        self.prepared.counts.turn(sink)
    }

    /// Counts no more, and hands the rest to `sink`; gives all totals.
    pub(crate) fn end(&mut self, sink: &mut impl Sink) -> Result<TotalsByNetns> {
        self.prepared.counts.end(sink)
    }

    /// Notes who has sent packets that were refused.
    pub(crate) fn learn(&self, senders: &mut Senders) -> Result<()> {
        self.prepared
            .counts
            .senders(|process, sender| senders.learn(process, sender))
    }

    /// What was counted until now.
    pub(crate) fn totals_now(&self) -> Result<TotalsByNetns> {
        self.prepared.counts.totals_now()
    }

    /// Has the tracepoint's program follow the counter `drop` of a namespace from what
    /// was read.
    pub(crate) fn follow_drops(&mut self, netns: u32, counters: &Counters) -> Result<()> {
        self.prepared.drop_counters.follow(netns, counters)
    }

    /// A namespace has ended.
    pub(crate) fn forget_drops(&mut self, netns: u32) -> Result<()> {
        self.prepared.drop_counters.forget(netns)
    }

    /// Takes out the packets that were copied.
    pub(crate) fn take_packets(&mut self, packets: &mut Vec<CapturedPacket>) -> Result<()> {
        match &mut self.prepared.captures {
            Some(captures) => captures.take(packets),
            None => Ok(()),
        }
    }

    /// Moves the copied packets to `left`, when the programs are detached for good.
    pub(crate) fn leave_packets(&mut self, left: &mut Left) -> Result<()> {
        match &mut self.prepared.captures {
            Some(captures) => left.keep(captures),
            None => Ok(()),
        }
    }

    /// How many packets were not copied.
    pub(crate) fn omitted(&self) -> Result<Omitted> {
        let captures = self.prepared.captures.as_ref();
        captures.map_or_else(|| Ok(Omitted::default()), Captures::omitted)
    }

    /// CPUs of this host, plugged in or not.
    pub(crate) const fn cpus(&self) -> u64 {
        self.prepared.counts.cpus()
    }

    pub(crate) fn missed(&self) -> Result<Missed> {
        self.attached.programs.missed()
    }

    pub(crate) fn runs(&self) -> Result<RunsByProgram> {
        self.attached.programs.runs()
    }

    pub(crate) fn faults(&self) -> Result<Faults> {
        let counts = &self.prepared.counts;
        Ok(Faults {
            unreadable: counts.faults(Fault::Unreadable)?,
            join_lost: counts.faults(Fault::JoinLost)?,
        })
    }

    /// What the programs of a backend cannot tell, and why, in words.
    pub(crate) fn warnings(&self, backend: Backend) -> Vec<String> {
        let spots = self.prepared.types.blind_spots.iter();
        let inside = |spot: &&BlindSpot| backend.can_rest() || !spot.unseen.is_inside();
        blind_spots::sentences(spots.filter(inside))
    }

    /// Whether nobody but these programs keeps the module loaded. Each loaded
    /// program holds it (`check_attach_btf_id`, `kernel/bpf/verifier.c`,
    /// 6.2 and later), or each function that one is
    /// attached to (`bpf_trampoline_module_get`, `kernel/bpf/trampoline.c`, 5.11
    /// to 6.1).
    pub(crate) fn is_all_that_holds(&self) -> bool {
        let programs = &self.attached.programs;
        [programs.count(), programs.functions()]
            .into_iter()
            .any(|ours| module::is_idle(MODULE, ours))
    }
}

/// Which load of the module is there now; none if it is not loaded.
pub(crate) fn instance() -> Option<u64> {
    module::instance(MODULE)
}

/// Whether conntrack is loaded as a module that nobody needs.
pub(crate) fn is_idle() -> bool {
    module::is_idle(MODULE, 0)
}
