//! The AMPS protocol, the synchronous socket client and its receive thread.
