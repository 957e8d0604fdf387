//! The exit codes of all programs, named once.
//!
//! They are those of `sysexits.h`, so that a script or an init system can tell a mistake of the operator (64, 77,
//! 78) from a fault of the machine (71, 73, 74), from something to try again (75), and from a defect of pha (70).

/// All went well.
pub const OK: i32 = 0;
/// The command line was wrong.
pub const USAGE: i32 = 64;
/// A defect of the program itself.
pub const SOFTWARE: i32 = 70;
/// The operating system refused something that should work.
pub const OS_ERR: i32 = 71;
/// A file that must be written could not be created.
pub const CANT_CREATE: i32 = 73;
/// Reading or writing failed.
pub const IO_ERR: i32 = 74;
/// Not now: trying again later may work.
pub const TEMP_FAIL: i32 = 75;
/// The user lacks a permission.
pub const NO_PERM: i32 = 77;
/// The configuration is wrong.
pub const CONFIG: i32 = 78;
