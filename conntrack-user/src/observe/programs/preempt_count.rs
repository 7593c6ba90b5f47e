//! Where the running kernel counts what a CPU must not be taken from.

use crate::{btf::Btf, kernel::symbols::Symbols, observe::programs::blind_spots::NotFound};

/// Where the preemption count is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreemptCount {
    /// In the task, so many bytes from its start.
    InTask(u32),
    /// In each CPU's own memory: its address before the CPU's offset is added.
    OfCpu(u64),
}

/// Where a task has it: in 32 bits, on arm64 in that half of 64 which counts (the other says
/// whether to reschedule; `arch/arm64/include/asm/thread_info.h`, 5.0 to 7.3).
const IN_TASK: [&str; 2] = [
    "task_struct.thread_info.preempt.count",
    "task_struct.thread_info.preempt_count",
];

impl PreemptCount {
    /// Finds it. x86 has it in each CPU's own memory: by itself (up to 6.1, 6.15 and later) or
    /// among other much used numbers (6.2 to 6.14; `arch/x86/include/asm/preempt.h`,
    /// `current.h`).
    pub(super) fn find(btf: &Btf, symbols: &Symbols) -> Result<Self, NotFound> {
        let in_task = IN_TASK
            .iter()
            .filter_map(|path| btf.optional_field(path))
            .find(|field| field.size == 4);
        if let Some(field) = in_task {
            return Ok(Self::InTask(field.offset));
        }
        let (variable, within) = match btf.optional_field("pcpu_hot.preempt_count") {
            Some(field) => ("pcpu_hot", field.offset),
            None if symbols.has_variables() && !symbols.has("__preempt_count") => {
                return Err(NotFound::Field("task_struct.thread_info.preempt_count"));
            }
            None => ("__preempt_count", 0),
        };
        let address = symbols.address(variable)?;
        Ok(Self::OfCpu(address + u64::from(within)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{btf::builder::Builder, kernel::symbols::Unlocated};

    /// A kernel whose `thread_info` begins with flags, and then has what `fill` adds.
    fn kernel(fill: impl FnOnce(&mut Builder) -> Vec<(&'static str, u32, u32)>) -> Btf {
        let mut builder = Builder::new();
        let flags = builder.int("unsigned long", 8);
        let mut members = vec![("flags", flags, 0)];
        members.extend(fill(&mut builder));
        let info = builder.structure("thread_info", 24, &members);
        let members = [("state", flags, 0), ("thread_info", info, 64)];
        builder.structure("task_struct", 64, &members);
        Btf::parse(builder.build()).unwrap()
    }

    fn arm64() -> Btf {
        kernel(|builder| {
            let half = builder.int("u32", 4);
            let whole = builder.int("u64", 8);
            let halves = [("count", half, 0), ("need_resched", half, 32)];
            let preempt = builder.structure("", 8, &halves);
            let both = [("preempt_count", whole, 0), ("preempt", preempt, 0)];
            vec![("", builder.union("", 8, &both), 64)]
        })
    }

    const HIDDEN: &str = "0 D init_task\n0 D __preempt_count\n";

    #[test]
    fn a_task_of_arm64_counts_in_one_half_and_needs_no_symbol() {
        let found = PreemptCount::find(&arm64(), &Symbols::of(HIDDEN));
        assert_eq!(found, Ok(PreemptCount::InTask(16)));
    }

    #[test]
    fn others_count_in_all_of_it() {
        let riscv = kernel(|builder| vec![("preempt_count", builder.int("int", 4), 64)]);
        let found = PreemptCount::find(&riscv, &Symbols::of(""));
        assert_eq!(found, Ok(PreemptCount::InTask(16)));
    }

    #[test]
    fn x86_counts_in_memory_of_the_cpu_whose_address_may_be_hidden() {
        let x86 = kernel(|_| Vec::new());
        let find = |text| PreemptCount::find(&x86, &Symbols::of(text));
        let shown = "10 D init_task\n30 D __preempt_count\n";
        assert_eq!(find(shown), Ok(PreemptCount::OfCpu(0x30)));
        assert_eq!(find(HIDDEN), Err(Unlocated::Hidden.into()));
        let functions = Unlocated::FunctionsAlone;
        assert_eq!(find("10 T _text\n"), Err(functions.into()));
        let unknown = NotFound::Field("task_struct.thread_info.preempt_count");
        assert_eq!(find("10 D init_task\n"), Err(unknown));
    }

    #[test]
    fn it_may_be_among_other_numbers_of_the_cpu() {
        let mut builder = Builder::new();
        let number = builder.int("int", 4);
        builder.structure("pcpu_hot", 64, &[("preempt_count", number, 64)]);
        let btf = Btf::parse(builder.build()).unwrap();
        let symbols = Symbols::of("10 D init_task\n30 D pcpu_hot\n");
        assert_eq!(
            PreemptCount::find(&btf, &symbols),
            Ok(PreemptCount::OfCpu(0x38))
        );
    }
}
