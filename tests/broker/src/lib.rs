//! A stand-in for an AMPS server: for tests, examples and trying things out.
