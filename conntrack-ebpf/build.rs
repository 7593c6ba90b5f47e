//! Tells the programs for which architecture's kernel they are built, and the
//! linker how.

use std::env;

fn main() -> aya_build::Result<()> {
    if env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|target| target == "bpf") {
        // Otherwise zeroing a few words calls a loop over bytes.
        println!("cargo:rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    }
    aya_build::emit_bpf_target_arch_cfg()
}
