//! A blocking client for AMPS.
