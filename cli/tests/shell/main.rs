//! The built binary as a shell, a pipeline and a service manager see it: exit codes, what goes to which stream, and
//! how it ends.

mod command_line;
mod compare;
mod dashboard;
mod local;
mod replay;
mod run;
