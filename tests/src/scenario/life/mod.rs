//! What comes and goes while ctdrop observes: kernels, modules, namespaces, processors, ctdrop itself.

pub mod boots;
pub mod churn;
pub mod lifecycle;
pub mod module_life;
pub mod net_check;
