//! What the host of a disk guest asks, and what the agent in there answers.

mod firewall;
mod message;
mod port;
mod serve;

pub use self::{
    message::{Answer, Ended, PORT, Request, Table},
    serve::serve,
};
