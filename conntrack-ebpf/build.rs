//! Tells the programs for which architecture's kernel they are built.

fn main() -> aya_build::Result<()> {
    aya_build::emit_bpf_target_arch_cfg()
}
