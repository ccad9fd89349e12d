//! The `cta-forwarder` command.
fn main() {}
