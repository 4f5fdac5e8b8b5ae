//! The built binary as a shell, a pipeline and a service manager see it: exit codes, what goes to which stream, and
//! how it ends.

#[path = "../binary/mod.rs"]
mod binary;
mod command_line;
mod compare;
mod dashboard;
mod local;
mod replay;
