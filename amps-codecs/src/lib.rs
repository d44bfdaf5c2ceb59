//! Builders and shredders for the message formats of AMPS: FIX, NVFIX and composite messages.
