//! Runs scenarios in virtual machines with stock kernels.

mod apt;
pub mod architecture;
mod binaries;
mod cache;
mod command;
mod cpio;
pub mod disk;
mod disk_guest;
mod elf;
pub mod image;
pub mod initramfs;
pub mod kernels;
mod modules;
pub mod packages;
pub mod python;
pub mod qemu;
mod shared;
pub mod systems;
mod tools;
mod trial;
pub mod unpacked;

pub use self::{
    binaries::Binaries,
    disk_guest::{Content, DiskGuest, File},
    shared::Shared,
    trial::{LIMIT, bench, on_system, run},
};
